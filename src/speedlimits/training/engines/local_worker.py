"""A process of its own that measures and trains members on demand: jobs on stdin, events on stdout, as JSON lines.

Run by `LocalEngine` as ``python -m speedlimits.training.engines.local_worker``. A worker ends as soon as its parent is
gone, and holds the lock of the member it trains until then.
"""

import json
import os
import queue
import sys
import threading
from typing import Any

import torch

from speedlimits._machine import keep_freed_memory
from speedlimits.runs.run import RunFolder
from speedlimits.training.engines.engine import describe
from speedlimits.training.member import Report, serve
from speedlimits.training.sources import Source


def main() -> None:
    """Serve jobs until stdin ends."""
    # One thread each: reductions then have one order, whatever machine and however many workers.
    torch.set_num_threads(1)
    keep_freed_memory()
    jobs: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(jobs,), daemon=True).start()
    while True:
        job = json.loads(jobs.get())
        try:
            _emit({"event": "done", "result": _serve(job)})
        except Exception as error:  # The parent decides what a failure means.
            _emit({"event": "error", **describe(error)})


def _read(jobs: queue.Queue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    # The parent is gone, perhaps killed: nobody waits for what is being done, and whoever resumes wants the lock.
    os._exit(1)


def _serve(job: dict[str, Any]) -> dict[str, Any] | None:
    run = RunFolder.open(job["folder"])
    # The problem is what the parent was told to run, never what the folder says.
    source = Source.of(run.config) if job["problem"] is None else Source.at(**job["problem"])
    result = None
    for event in serve(job["job"], run, job["seed"], source):
        if isinstance(event, Report):
            _emit({"event": "progress", **vars(event)})
        else:
            result = event
    return result


def _emit(event: dict[str, Any]) -> None:
    try:
        print(json.dumps(event), flush=True)
    except BrokenPipeError:
        # The parent is gone, and with it everyone who would hear of an error.
        sys.stderr.close()
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
