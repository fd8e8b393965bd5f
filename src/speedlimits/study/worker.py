"""A process of its own that measures and trains members on demand: jobs on stdin, events on stdout, as JSON lines.

Run by `run_study` as ``python -m speedlimits.study.worker FOLDER``. A worker whose parent is gone stops at its next
event, and holds the lock of the member it trains until then.
"""

import dataclasses
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from speedlimits.errors import RunFolderError, SpeedLimitsError
from speedlimits.study.folder import RunFolder
from speedlimits.study.member import measure_sharpness, train_member

LOCK_SECONDS = 60


def main(folder: str) -> None:
    """Serve jobs until stdin ends."""
    # One thread each: reductions then have one order, whatever machine and however many workers.
    torch.set_num_threads(1)
    run = RunFolder.open(Path(folder))
    for line in sys.stdin:
        job = json.loads(line)
        try:
            result = _serve(run, job["job"], job["seed"])
        except Exception as error:  # The parent decides what a failure means.
            _emit({"event": "error", "seed": job["seed"], **_describe(error)})
        else:
            _emit({"event": "done", "seed": job["seed"], "result": result})


def _serve(run: RunFolder, job: str, seed: int) -> dict[str, Any] | None:
    if job == "sharpness":
        return dataclasses.asdict(measure_sharpness(run.config, seed))
    folder = run.member_folder(seed)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=LOCK_SECONDS):
            train_member(
                run.config,
                seed,
                run.plan(),
                folder,
                lambda share, loss: _emit({"event": "progress", "seed": seed, "share": share, "loss": loss}),
            )
    except Timeout:
        raise RunFolderError(f"{folder} is in use by another process; wait for it or stop it.") from None
    return None


def _describe(error: Exception) -> dict[str, str]:
    kind = "failure"
    if isinstance(error, ValueError):
        kind = "value"
    elif isinstance(error, SpeedLimitsError | OSError | torch.OutOfMemoryError):
        kind = type(error).__name__
    text = " ".join(str(error).split()) or type(error).__name__
    return {"kind": kind, "message": text, "traceback": traceback.format_exc()}


def _emit(event: dict[str, Any]) -> None:
    try:
        print(json.dumps(event), flush=True)
    except BrokenPipeError:
        # The parent is gone, and with it everyone who would hear of an error.
        sys.stderr.close()
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(sys.argv[1])
