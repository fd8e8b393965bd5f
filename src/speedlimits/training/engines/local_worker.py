"""A process of its own that measures and trains members on demand: jobs on stdin, events on stdout, as JSON lines.

Run by `LocalEngine` as ``python -m speedlimits.training.engines.local_worker``. A worker ends as soon as its parent is
gone, and holds the lock of the member it trains until then.
"""

import dataclasses
import json
import os
import queue
import sys
import threading
from typing import Any

import torch
from filelock import FileLock, Timeout

from speedlimits.errors import RunFolderError
from speedlimits.runs.run import RunFolder
from speedlimits.training.engines.engine import describe
from speedlimits.training.member import measure_sharpness, train_member

LOCK_SECONDS = 60


def main() -> None:
    """Serve jobs until stdin ends."""
    # One thread each: reductions then have one order, whatever machine and however many workers.
    torch.set_num_threads(1)
    jobs: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(jobs,), daemon=True).start()
    while True:
        job = json.loads(jobs.get())
        try:
            result = _serve(job["job"], RunFolder.open(job["folder"]), job["seed"])
        except Exception as error:  # The parent decides what a failure means.
            _emit({"event": "error", **describe(error)})
        else:
            _emit({"event": "done", "result": result})


def _read(jobs: queue.Queue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    # The parent is gone, perhaps killed: nobody waits for what is being done, and whoever resumes wants the lock.
    os._exit(1)


def _serve(job: str, run: RunFolder, seed: int) -> dict[str, Any] | None:
    if job == "sharpness":
        return dataclasses.asdict(measure_sharpness(run.config, seed))
    folder = run.member_folder(seed)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=LOCK_SECONDS):
            train_member(run.config, seed, run.plan(), folder, _moved)
    except Timeout:
        raise RunFolderError(f"{folder} is in use by another process; wait for it or stop it.") from None
    return None


def _moved(share: float, loss: float, inefficiency: float | None) -> None:
    _emit({"event": "progress", "share": share, "loss": loss, "inefficiency": inefficiency})


def _emit(event: dict[str, Any]) -> None:
    try:
        print(json.dumps(event), flush=True)
    except BrokenPipeError:
        # The parent is gone, and with it everyone who would hear of an error.
        sys.stderr.close()
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
