"""What a Ray worker does: one job in a scratch folder of its node, mirrored to where it outlives the node."""

import dataclasses
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import cloudpickle

import speedlimits
from speedlimits._machine import keep_freed_memory
from speedlimits.data.cifar10 import ENVIRONMENT
from speedlimits.errors import RunFolderError, SpeedLimitsError
from speedlimits.runs.config import RunConfig
from speedlimits.runs.identity import ForeignFileError, Owner
from speedlimits.runs.member import MemberStore
from speedlimits.runs.run import Plan
from speedlimits.training.engines.engine import describe
from speedlimits.training.engines.mirror import Mirror
from speedlimits.training.member import Report, measure_sharpness, train_member
from speedlimits.training.sources import Source

# The latest word of a task: t/T, loss, T/T_SL so far.
Word = tuple[float, float, float | None]


@dataclass(frozen=True)
class Task:
    """A job as it travels to another machine.

    Args:
        key: of the job, (run, seed).
        owner: whose the member is.
        kind: as of `Job`.
        config: the run.
        source: of its problem, pickled; None for a built-in one.
        plan: what its members share; None for ``sharpness``.
        url: where the member's folder is mirrored.
        data: the driver's folder of data sets, if it names one.
        version: of this package on the driver.
    """

    key: tuple[str, int]
    owner: Owner
    kind: str
    config: RunConfig
    source: bytes | None
    plan: Plan | None
    url: str
    data: str | None
    version: str


class Inbox:
    """The actor that keeps the latest word from each job until the driver asks."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, int], Word] = {}

    def put(self, key: tuple[str, int], word: Word) -> None:
        """Remember how far a job is."""
        self._latest[key] = word

    def take(self) -> dict[tuple[str, int], Word]:
        """What has come since the last time."""
        latest, self._latest = self._latest, {}
        return latest


def serve(task: Task, inbox: Any) -> dict[str, Any]:
    """Do one job.

    Args:
        task: the job.
        inbox: handle of the `Inbox`.

    Returns:
        ``result``, of a sharpness; ``last``, loss and T/T_SL at the end of a training; or ``failure``, see `describe`.
        Exceptions do not travel: whoever reads them might not have their classes.
    """
    # One thread, as in every worker of the local engine: reductions have one order.
    torch.set_num_threads(1)
    keep_freed_memory()
    # A node that knows its own place keeps it.
    if task.data is not None:
        os.environ.setdefault(ENVIRONMENT, task.data)
    last: list[float | None] = [float("nan"), None]

    def report(word: Report) -> None:
        inbox.put.remote(task.key, (word.share, word.loss, word.inefficiency))
        last[:] = word.loss, word.inefficiency

    try:
        if task.version != speedlimits.__version__:
            raise SpeedLimitsError(
                f"every node must have version {task.version} of speedlimits; one has {speedlimits.__version__}."
            )
        source = Source.of(task.config) if task.source is None else cloudpickle.loads(task.source)
        if task.plan is None:
            return {"result": dataclasses.asdict(measure_sharpness(task.config, task.key[1], source))}
        _train(task, task.plan, source, report)
    except Exception as error:
        return {"failure": describe(error)}
    return {"last": last}


def _train(task: Task, plan: Plan, source: Source, report: Callable[[Report], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="speedlimits-") as scratch:
        folder = Path(scratch) / "member"
        folder.mkdir()
        mirror = Mirror(folder, task.url)
        mirror.fetch()
        if not _whole(folder, task.owner):
            trained = train_member(task.config, task.key[1], plan, folder, source, owner=task.owner, saved=mirror.push)
            for word in trained:
                report(word)
        mirror.release()


def _whole(folder: Path, owner: Owner) -> bool:
    """Whether the member had ended before, and nothing of it is damaged; what is damaged is removed."""
    store = MemberStore(folder, owner)
    if not store.finished:
        return False
    try:
        store.verify()
    except ForeignFileError:
        raise
    except RunFolderError:
        store.clear()
        return False
    return True
