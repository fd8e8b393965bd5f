"""What lies on disk and how it is held: runs, studies, members and what was found of them; free of torch."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.runs.config import RecordedProblem as RecordedProblem
    from speedlimits.runs.config import RunConfig as RunConfig
    from speedlimits.runs.kernel import KernelRecord as KernelRecord
    from speedlimits.runs.kernel import KernelView as KernelView
    from speedlimits.runs.loading import load as load
    from speedlimits.runs.member import MemberStore as MemberStore
    from speedlimits.runs.noisy import NoisyConfig as NoisyConfig
    from speedlimits.runs.noisy import NoisyRun as NoisyRun
    from speedlimits.runs.recording import Recording as Recording
    from speedlimits.runs.recording import RecordingConfig as RecordingConfig
    from speedlimits.runs.recording import load_recording as load_recording
    from speedlimits.runs.run import Plan as Plan
    from speedlimits.runs.run import Run as Run
    from speedlimits.runs.run import RunFolder as RunFolder
    from speedlimits.runs.run import load_run as load_run
    from speedlimits.runs.study import load_study as load_study
    from speedlimits.runs.verification import Verified as Verified
    from speedlimits.runs.verification import verify as verify
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "config": "RecordedProblem RunConfig",
            "kernel": "KernelRecord KernelView",
            "loading": "load",
            "member": "MemberStore",
            "noisy": "NoisyConfig NoisyRun",
            "recording": "Recording RecordingConfig load_recording",
            "run": "Plan Run RunFolder load_run",
            "study": "load_study",
            "verification": "Verified verify",
        },
    )
