"""The engine of one machine: worker processes that serve jobs side by side."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import sysconfig
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import speedlimits
from speedlimits._checks import check_integer
from speedlimits._files import open_log
from speedlimits._machine import cores
from speedlimits.errors import SpeedLimitsError
from speedlimits.runs.config import RunConfig
from speedlimits.training.engines.engine import Done, Job, Moved, revive
from speedlimits.training.problem import check_device
from speedlimits.training.sources import Source


class LocalEngine:
    """Processes on this machine, one thread each.

    Args:
        workers: how many; by default one for each core this process may use.

    Raises:
        ValueError: if ``workers`` is no positive integer.
    """

    def __init__(self, *, workers: int | None = None) -> None:
        self.workers = cores() if workers is None else workers
        check_integer("workers", self.workers, minimum=1)

    def facts(self) -> dict[str, Any]:
        """How many processes."""
        return {"engine": "local", "workers": self.workers}

    def check(self, config: RunConfig, source: Source) -> None:
        """Refuse a device that is not on this machine, or a problem that only this process can find.

        Args:
            config: the run.
            source: of its problem.

        Raises:
            ValueError: naming the device or the problem.
        """
        check_device(config.device)
        if source.name is not None and source.place is None:
            raise ValueError(
                f"`problem` must be a function that other processes can import, or `engine` be 'inline'; problem = "
                f"{source.name!r}."
            )

    def prepare(self, run_name: str, identity: str, *, replace: bool) -> None:
        """Nothing: members are trained in their run folders."""

    def session(self, log: Path, jobs: int) -> "Pool":
        """As many processes as there is work for."""
        return Pool(min(self.workers, jobs), log)


class Pool:
    """So many processes of `local_worker`, stopped when the block ends, however it ends.

    Args:
        size: how many.
        log: file for what they write to stderr.
    """

    def __init__(self, size: int, log: Path) -> None:
        self._events: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
        self._log = log
        self._stderr = open_log(log)
        # One thread each, NumPy's included: as many processes as cores, and one order of summation.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(_path())
        self._processes = [
            # In a group of its own, so that Ctrl-C in a terminal reaches the parent alone, who then stops it.
            subprocess.Popen(
                # -P: a torch.py in the current folder must not hide the package of that name.
                [sys.executable, "-P", "-m", "speedlimits.training.engines.local_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=environment,
                text=True,
                process_group=0,
            )
            for _ in range(size)
        ]
        for index in range(size):
            threading.Thread(target=self._listen, args=(index,), daemon=True).start()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                # A worker that died left a line unread in the pipe: closing it would complain once more.
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
        self._stderr.close()

    def run(self, jobs: Sequence[Job]) -> Iterator[Moved | Done]:
        """Do all jobs, as many at once as there are workers; see `Session.run`.

        Args:
            jobs: the first ones are begun first.

        Yields:
            What happens.

        Raises:
            SpeedLimitsError: if a worker failed, or died; its traceback is in a note of the exception.
            ValueError: if a worker found an argument wrong.
        """
        waiting = deque(jobs)
        busy: dict[int, Job] = {}
        for index in range(len(self._processes)):
            self._assign(index, waiting, busy)
        while busy:
            index, event = self._events.get()
            if event is None:
                self._bury(index, busy)
            elif event["event"] == "progress":
                yield Moved(busy[index], event["share"], event["loss"], event["inefficiency"])
            elif event["event"] == "done":
                job = busy.pop(index)
                # Before anyone looks at the result: this worker need not wait for them.
                self._assign(index, waiting, busy)
                yield Done(job, event["result"])
            else:
                raise revive(busy[index], event)

    def _assign(self, index: int, waiting: deque[Job], busy: dict[int, Job]) -> None:
        if not waiting:
            return
        job = busy[index] = waiting.popleft()
        problem = job.source.place and {"name": job.source.name, "place": job.source.place}
        folder = str(job.run.path.resolve())
        line = json.dumps({"job": job.kind, "folder": folder, "seed": job.seed, "problem": problem})
        # A worker that is dead already is reported by its listener.
        with contextlib.suppress(BrokenPipeError):
            print(line, file=self._processes[index].stdin, flush=True)

    def _bury(self, index: int, busy: dict[int, Job]) -> None:
        if index in busy:
            job, code = busy[index], self._processes[index].wait()
            how = f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with exit code {code}"
            raise SpeedLimitsError(
                f"{job.run_name}: the process of seed {job.seed} {how}; see {self._log}; --resume goes on where it "
                "stood."
            )

    def _listen(self, index: int) -> None:
        pipe = self._processes[index].stdout
        # The pipe is closed under this thread when the pool stops.
        with contextlib.suppress(ValueError, OSError):
            for line in pipe or ():
                self._events.put((index, json.loads(line)))
        self._events.put((index, None))


def _path() -> list[str]:
    """Where workers look for modules besides the installed ones: as this process was told, and at this package."""
    told = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    here = str(Path(speedlimits.__file__).parents[1])
    return told if here in {*told, sysconfig.get_path("purelib")} else [*told, here]
