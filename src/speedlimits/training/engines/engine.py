"""What an engine is: it runs jobs in parallel, on whichever machines, and reports their progress."""

import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from speedlimits.errors import DivergenceError, RunFolderError, SpeedLimitsError
from speedlimits.runs.config import RunConfig
from speedlimits.runs.run import RunFolder
from speedlimits.training.sources import Source


@dataclass(frozen=True)
class Job:
    """One piece of work on one member.

    Args:
        kind: sharpness, |λ|_max at initialisation; train, from where its folder stands to the end.
        run_name: the name of its run.
        run: its run folder; for training, one with a plan.
        seed: the member.
        source: of its problem.
    """

    kind: Literal["sharpness", "train"]
    run_name: str
    run: RunFolder
    seed: int
    source: Source


@dataclass(frozen=True)
class Moved:
    """A job has moved on.

    Args:
        job: which.
        share: t/T.
        loss: L(θ_t).
        inefficiency: T/T_SL so far, where known.
    """

    job: Job
    share: float
    loss: float
    inefficiency: float | None = None


@dataclass(frozen=True)
class Done:
    """A job has ended; a trained member lies whole in its run folder.

    Args:
        job: which.
        result: what ``sharpness`` found, as a mapping; None for ``train``.
    """

    job: Job
    result: dict[str, Any] | None


@runtime_checkable
class Session(Protocol):
    """An engine at work."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Moved | Done]:
        """Do all jobs, the first ones first, and yield what happens until the last is done.

        Raises:
            ValueError: if a job found an argument wrong.
            DivergenceError: if training diverged.
            SpeedLimitsError: if a job failed otherwise, or its process died; a traceback is in a note.
        """
        ...


@runtime_checkable
class Engine(Protocol):
    """Where jobs are done. The numbers are the same on any: on the CPU, bit for bit."""

    def facts(self) -> dict[str, Any]:
        """What ``provenance.json`` says about it: at least ``engine``, its name, and ``workers``, jobs side by side."""
        ...

    def check(self, config: RunConfig, source: Source) -> None:
        """Refuse a run whose device it cannot compute on, or whose problem it cannot build.

        Raises:
            ValueError: naming the device or the problem.
        """
        ...

    def prepare(self, run_name: str, identity: str, *, replace: bool) -> None:
        """Make sure that nothing it has kept of an earlier run is taken for this one's.

        Args:
            run_name: the name of the run.
            identity: of the run, the same when it is resumed.
            replace: remove what is there of another run.

        Raises:
            RunFolderError: if another run is there and must not be replaced.
        """
        ...

    def session(self, log: Path, jobs: int) -> AbstractContextManager[Session]:
        """Start work; when the block ends, however it ends, nothing of it is left running.

        Args:
            log: file for what the processes have to say.
            jobs: at most so many at once.
        """
        ...


def describe(error: Exception) -> dict[str, str]:
    """An exception in words, to be sent to another process."""
    known = [kind.__name__ for kind in _KINDS if isinstance(error, kind)]
    text = " ".join(str(error).split()) or type(error).__name__
    return {"kind": known[0] if known else "", "message": text, "traceback": traceback.format_exc()}


def revive(job: Job, failure: dict[str, str]) -> Exception:
    """The exception that `describe` was given in another process, with the job's name before it."""
    kinds = {kind.__name__: kind for kind in _KINDS}
    # What is wrong with an argument is no matter of one member.
    where = "" if failure["kind"] == "ValueError" else f"{job.run_name}, seed {job.seed}: "
    error = kinds.get(failure["kind"], SpeedLimitsError)(where + failure["message"])
    error.add_note(failure["traceback"])
    return error


_KINDS = (ValueError, DivergenceError, RunFolderError)
