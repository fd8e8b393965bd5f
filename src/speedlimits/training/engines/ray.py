"""The engine of a Ray cluster: every job is a task that Ray starts again when its worker or its node dies."""

import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import ray
from ray import cloudpickle
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import speedlimits
from speedlimits._checks import check_integer, check_positive
from speedlimits._files import resolved
from speedlimits._machine import cores
from speedlimits.data.cifar10 import ENVIRONMENT
from speedlimits.errors import RunFolderError, SpeedLimitsError
from speedlimits.runs.config import RecordedProblem, RunConfig
from speedlimits.runs.member import MemberStore
from speedlimits.training.engines.engine import Done, Job, Moved, revive
from speedlimits.training.engines.mirror import bring_in
from speedlimits.training.engines.ray_cluster import connect
from speedlimits.training.engines.ray_worker import Inbox, Task, serve
from speedlimits.training.sources import Source

# How often a job is started again after its worker or node died.
RETRIES = 5
# Seconds between two looks at what the tasks have to say.
PERIOD = 0.3
# Seconds that a network file system may take to show what another node has written.
PATIENCE = 30.0
IDENTITY = "run-id"


class RayEngine:
    """Tasks on a Ray cluster, one CPU and perhaps a share of a GPU each.

    A task works in a scratch folder of its node and mirrors it to the storage at every checkpoint. When its worker or
    its node dies, Ray starts it again elsewhere and it goes on from there. What has ended is brought into the local run
    folder whole. Where this process has already called ``ray.init``, that cluster is used and left as it is.

    Args:
        address: HOST:PORT of a running cluster, from one of its nodes; ``local`` starts one on this machine, as does
            None where ``RAY_ADDRESS`` is not set and no cluster runs here. It listens on loopback only. A cluster that
            asks for no token is refused unless ``RAY_AUTH_MODE`` is ``disabled``.
        gpus: share of a GPU for each member; by default 1 on the device cuda, else none.
        storage: where the mirrors lie, in fsspec's words (``s3://bucket/folder``, a path); by default the run folders
            themselves, which every node must then see under the same path.
        workers: members side by side; by default as many as find room.

    Raises:
        ValueError: if a number is against the rules.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        gpus: float | None = None,
        storage: str | None = None,
        workers: int | None = None,
    ) -> None:
        if gpus is not None:
            check_positive("gpus", gpus)
        if workers is not None:
            check_integer("workers", workers, minimum=1)
        if storage is not None and "://" not in storage:
            storage = str(resolved(storage))
        self.address, self.gpus, self.storage, self.workers = address, gpus, storage, workers

    def facts(self) -> dict[str, Any]:
        """Ray's version, and how it is used."""
        return {
            "engine": "ray",
            "ray": ray.__version__,
            "workers": self.workers,
            "gpus": self.gpus,
            "storage": self.storage,
        }

    def check(self, config: RunConfig, source: Source) -> None:
        """Refuse a device that a task cannot have. Ray decides which task gets which GPU.

        Args:
            config: the run.
            source: of its problem; any will do, for it travels with the task.

        Raises:
            ValueError: naming the device.
        """
        if config.device not in {"cpu", "cuda"}:
            raise ValueError(f"`device` must be cpu or cuda with engine ray; device = {config.device!r}.")
        if self.gpus is not None and config.device == "cpu":
            raise ValueError(f"`gpus` must be left out unless `device` is cuda; gpus = {self.gpus:g}.")

    def prepare(self, run_name: str, identity: str, *, replace: bool) -> None:
        """Make the storage this run's own, see `Engine.prepare`.

        Args:
            run_name: the name of the run.
            identity: of the run.
            replace: remove what is there of another run.

        Raises:
            RunFolderError: if something else is there.
        """
        if self.storage is None:
            return
        files, root = fsspec.core.url_to_fs(f"{self.storage}/{run_name}")
        mark = f"{root}/{IDENTITY}"
        there = files.cat_file(mark).decode() if files.exists(mark) else None
        if there == identity:
            return
        if there is not None and replace:
            files.rm(root, recursive=True)
        elif files.exists(root) and files.find(root):
            what = "another run" if there is not None else "something else"
            raise RunFolderError(
                f"`storage` must be new, or that of this very run; {self.storage}/{run_name} holds {what}."
            )
        files.makedirs(root, exist_ok=True)
        files.pipe_file(mark, identity.encode())

    def url(self, job: Job) -> str:
        """Where the folder of a job's member is mirrored."""
        folder = job.run.member_folder(job.seed).resolve()
        return str(folder) if self.storage is None else f"{self.storage}/{job.run_name}/members/{folder.name}"

    def session(self, log: Path, jobs: int) -> "RaySession":
        """Connect to the cluster."""
        return RaySession(self, min(jobs, self.workers or jobs))


class RaySession:
    """Tasks under way; what is left of them when the block ends is cancelled.

    Args:
        engine: where to.
        limit: at most so many at once.
    """

    def __init__(self, engine: RayEngine, limit: int) -> None:
        self._engine = engine
        self._limit = limit
        self._running: dict[Any, Job] = {}
        self._connected = False

    def __enter__(self) -> "RaySession":
        if not ray.is_initialized():
            connect(self._engine.address, self._engine.workers or cores())
            self._connected = True
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        inbox: Any = ray.remote(Inbox)
        self._inbox = inbox.options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._running:
            ray.cancel(task, force=True)
        ray.kill(self._inbox)
        if self._connected:
            ray.shutdown()

    def run(self, jobs: Sequence[Job]) -> Iterator[Moved | Done]:
        """Do all jobs; see `Session.run`.

        Args:
            jobs: the first ones are begun first.

        Yields:
            What happens.

        Raises:
            SpeedLimitsError: if a job failed, or its worker died too often; a traceback is in a note of the exception.
            ValueError: if a job found an argument wrong.
        """
        waiting = deque(jobs)
        while waiting or self._running:
            while waiting and len(self._running) < self._limit:
                job = waiting.popleft()
                self._running[self._submit(job)] = job
            ready, _ = ray.wait(list(self._running), timeout=PERIOD)
            yield from self._moved()
            for task in ready:
                job = self._running.pop(task)
                found = _result(job, task)
                if job.kind == "train":
                    self._bring_in(job)
                    yield Moved(job, 1.0, *found["last"])
                yield Done(job, found.get("result"))

    def _submit(self, job: Job) -> Any:
        config, gpus = job.run.config, self._engine.gpus
        if gpus is None and config.device == "cuda":
            gpus = 1.0
        task = Task(
            key=(job.run_name, job.seed),
            owner=job.run.owner(job.seed),
            kind=job.kind,
            config=config if job.source.name is None else replace(config, problem=RecordedProblem(job.source.name)),
            source=_packed(job.source),
            plan=job.run.plan() if job.kind == "train" else None,
            url=self._engine.url(job),
            data=str(resolved(folder)) if (folder := os.environ.get(ENVIRONMENT)) else None,
            version=speedlimits.__version__,
        )
        remote: Any = ray.remote(num_cpus=1, num_gpus=gpus or 0, max_retries=RETRIES)(serve)
        return remote.remote(task, self._inbox)

    def _moved(self) -> Iterator[Moved]:
        try:
            latest: Any = ray.get(self._inbox.take.remote(), timeout=10 * PERIOD)
        except (RayActorError, GetTimeoutError):
            # It is being started again elsewhere; only words of progress are lost.
            return
        for job in list(self._running.values()):
            if job.kind == "train" and (job.run_name, job.seed) in latest:
                yield Moved(job, *latest[job.run_name, job.seed])

    def _bring_in(self, job: Job) -> None:
        folder = job.run.member_folder(job.seed)
        if self._engine.storage is not None:
            folder.parent.mkdir(parents=True, exist_ok=True)
            bring_in(
                self._engine.url(job), folder, lambda arrived: MemberStore(arrived, job.run.owner(job.seed)).verify()
            )
            return
        deadline = time.monotonic() + PATIENCE
        while not MemberStore(folder).finished:
            if time.monotonic() > deadline:
                raise SpeedLimitsError(
                    f"`storage` must be given where nodes do not share {folder.parent}; what a node has written to "
                    f"{folder} is not there."
                )
            time.sleep(PERIOD)


def _packed(source: Source) -> bytes | None:
    """A problem's source as it travels: its file's code goes along, for other machines may not have the file."""
    if source.name is None:
        return None
    module = sys.modules.get(source.function.__module__)
    if module is None or module.__name__ == "__main__":
        return cloudpickle.dumps(source)
    cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps(source)
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _result(job: Job, task: Any) -> dict[str, Any]:
    try:
        found: Any = ray.get(task)
    except RayError as error:
        # Ray's messages are long; the class says what it was (a worker, a node, memory).
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        raise SpeedLimitsError(
            f"{job.run_name}: the task of seed {job.seed} failed and was started again up to {RETRIES} times "
            f"({reason}); --resume goes on where it stood."
        ) from None
    if "failure" in found:
        raise revive(job, found["failure"])
    return found
