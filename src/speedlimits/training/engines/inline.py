"""The engine of this very process: one job after the other, for functions that no other process can find."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from speedlimits.dynamics.threads import one_thread
from speedlimits.runs.config import RunConfig
from speedlimits.training.engines.engine import Done, Job, Moved
from speedlimits.training.member import Report, serve
from speedlimits.training.problem import check_device
from speedlimits.training.sources import Source


class InlineEngine:
    """Jobs in this process, one at a time, on one thread: the numbers are those of the other engines."""

    def facts(self) -> dict[str, Any]:
        """One worker."""
        return {"engine": "inline", "workers": 1}

    def check(self, config: RunConfig, source: Source) -> None:
        """Refuse a device that is not on this machine.

        Args:
            config: the run.
            source: of its problem; any will do.

        Raises:
            ValueError: naming the device.
        """
        check_device(config.device)

    def prepare(self, run_name: str, identity: str, *, replace: bool) -> None:
        """Nothing: members are trained in their run folders."""

    def session(self, log: Path, jobs: int) -> "InlineSession":
        """Begin."""
        return InlineSession()


class InlineSession:
    """Jobs under way, on one thread: reductions then have one order, as in every engine."""

    def __enter__(self) -> "InlineSession":
        self._held = one_thread()
        self._held.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.__exit__(None, None, None)

    def run(self, jobs: Sequence[Job]) -> Iterator[Moved | Done]:
        """Do all jobs in order; see `Session.run`.

        Args:
            jobs: what to do.

        Yields:
            What happens.

        Raises:
            ValueError: if a job found an argument wrong.
            DivergenceError: if training diverged.
        """
        for job in jobs:
            result = None
            for event in serve(job.kind, job.run, job.seed, job.source):
                if isinstance(event, Report):
                    yield Moved(job, event.share, event.loss, event.inefficiency)
                else:
                    result = event
            yield Done(job, result)
