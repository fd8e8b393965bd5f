"""Worker processes that serve jobs side by side; nothing in here knows what a job is."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from speedlimits.errors import DivergenceError, SpeedLimitsError

Event = dict[str, Any]


class Pool:
    """So many ``python -m speedlimits.study.worker`` processes, stopped when the block ends, however it ends.

    Args:
        folder: the run folder they work on; what they write to stderr goes to its ``workers.log``.
        size: how many.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._events: queue.Queue[tuple[int, Event | None]] = queue.Queue()
        self._log = (folder / "workers.log").open("ab")
        command = [sys.executable, "-m", "speedlimits.study.worker", str(folder)]
        # One thread each, NumPy's included: as many processes as cores, and one order of summation.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._processes = [
            # In a group of its own, so that Ctrl-C in a terminal reaches the parent alone, who then stops it.
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
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
        self._log.close()

    def map(self, job: str, seeds: Sequence[int], progress: Callable[[Event], None]) -> dict[int, Any]:
        """Do one job for each seed, as many at once as there are workers.

        Args:
            job: its name, as the worker knows it.
            seeds: what for.
            progress: called with each progress event.

        Returns:
            The results by seed.

        Raises:
            ValueError: if a worker found an argument wrong.
            DivergenceError: if training diverged.
            SpeedLimitsError: if a worker failed otherwise, or died; its traceback is in a note of the exception.
        """
        waiting = deque(seeds)
        busy: dict[int, int] = {}
        results: dict[int, Any] = {}
        for index in range(len(self._processes)):
            self._assign(index, job, waiting, busy)
        while busy:
            index, event = self._events.get()
            if event is None:
                self._bury(index, busy)
            elif event["event"] == "progress":
                progress(event)
            elif event["event"] == "done":
                results[busy.pop(index)] = event["result"]
                self._assign(index, job, waiting, busy)
            else:
                raise _error(event)
        return results

    def _assign(self, index: int, job: str, waiting: deque[int], busy: dict[int, int]) -> None:
        if not waiting:
            return
        seed = waiting.popleft()
        busy[index] = seed
        pipe = self._processes[index].stdin
        # A worker that is dead already is reported by its listener.
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({"job": job, "seed": seed}), file=pipe, flush=True)

    def _bury(self, index: int, busy: dict[int, int]) -> None:
        if index in busy:
            code = self._processes[index].wait()
            how = f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with exit code {code}"
            raise SpeedLimitsError(
                f"the process of seed {busy[index]} {how}; see workers.log; --resume goes on where it stood."
            )

    def _listen(self, index: int) -> None:
        pipe = self._processes[index].stdout
        # The pipe is closed under this thread when the pool stops.
        with contextlib.suppress(ValueError, OSError):
            for line in pipe or ():
                self._events.put((index, json.loads(line)))
        self._events.put((index, None))


def _error(event: Event) -> Exception:
    kinds = {"value": ValueError, "DivergenceError": DivergenceError}
    if event["kind"] == "value":
        error: Exception = ValueError(event["message"])
    else:
        error = kinds.get(event["kind"], SpeedLimitsError)(f"seed {event['seed']}: {event['message']}")
    error.add_note(event["traceback"])
    return error
