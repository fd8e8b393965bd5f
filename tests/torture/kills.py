"""Kill runs, studies, noisy runs, kernels and reports at random moments and go on: the end has the same bits."""

import itertools
import multiprocessing
import random
import shutil
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speedlimits import load_run, report
from speedlimits.errors import SpeedLimitsError
from speedlimits.runs import verify
from speedlimits.training.kernel import analyse_kernel
from tests.torture._campaign import Tally
from tests.torture._folders import KINDS, TRAIN, every_step, numbers, resume

TRIES = 60
SHARE = 3
# Kills of one folder before it may come to its end.
MOST = 6
# A copy of this process, which has imported all there is: a try does not wait for torch.
FORK = multiprocessing.get_context("fork")


def run(tries: int, seed: int, folder: Path) -> Tally:
    """Kill processes.

    Args:
        tries: kills.
        seed: of the moments.
        folder: to work in.

    Returns:
        How the folders ended, once for each kill.
    """
    rng, tally = random.Random(seed), Tally()
    finished = folder / "finished"
    seconds = {kind: _timed(kind, finished / kind) for kind in KINDS}
    expected = {kind: numbers(kind, finished / kind) for kind in KINDS}
    shutil.copytree(finished / "run", finished / "kernel")
    seconds["kernel"] = _timed("kernel", finished / "kernel")
    shutil.copytree(finished / "kernel", finished / "report")
    seconds["report"] = _timed("report", finished / "report")
    expected |= {kind: _results(kind, finished / kind) for kind in ("kernel", "report")}
    for kind in itertools.cycle(seconds):
        if tally.endings.total() >= tries:
            return tally
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        if kind in LATER:
            shutil.copytree(finished / ("run" if kind == "kernel" else "kernel"), work)
        kills = 0
        while kills < rng.randint(1, MOST) and _killed(kind, work, rng.uniform(0, seconds[kind])):
            kills += 1
        failure = _ended(kind, work, expected[kind]) if kills else None
        for _ in range(kills):
            tally.add(f"{kind} ends with the same bits" if failure is None else f"{kind} does not", failure)
            failure = None
    return tally


def job(kind: str, folder: Path) -> None:
    """What is killed: the work of one command, or its --resume where something is there already."""
    with every_step():
        if kind in LATER:
            LATER[kind](folder)
        elif any((folder / mark).exists() for mark in ("config.toml", "study.toml")):
            resume(kind, folder)
        else:
            TRAIN[kind](folder, lambda *_: None)


def _report(folder: Path) -> object:
    return report.write(load_run(folder))


LATER: dict[str, Callable[[Path], object]] = {"kernel": analyse_kernel, "report": _report}


def _started(kind: str, folder: Path) -> Any:
    process = FORK.Process(target=job, args=(kind, folder))
    with warnings.catch_warnings():
        # Threads of torch and Arrow that are idle now: no lock of theirs is held.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    return process


def _timed(kind: str, folder: Path) -> float:
    began = time.monotonic()
    process = _started(kind, folder)
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{kind} ends with {process.exitcode}")
    return time.monotonic() - began


def _killed(kind: str, folder: Path, seconds: float) -> bool:
    """Start a job and kill it; False where it had ended before."""
    process = _started(kind, folder)
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def _ended(kind: str, folder: Path, expected: str) -> str | None:
    """Bring a folder to its end; what is wrong with it then."""
    try:
        job(kind, folder)
        found = _results(kind, folder)
        problems = verify(folder).problems
    except SpeedLimitsError as error:
        return f"{kind}: {error}"
    if problems:
        return f"{kind}: {problems[0]}"
    left = [path.name for path in folder.rglob(".*.tmp")]
    if left:
        return f"{kind}: {left[0]} is left"
    return None if found == expected else f"{kind}: other numbers"


def _results(kind: str, folder: Path) -> str:
    """What the job has made, to the last bit."""
    if kind in KINDS:
        return numbers(kind, folder)
    made = {"kernel": ["kernel.npz"], "report": ["overview.png", "kernel.png"]}[kind]
    return numbers("run", folder) + "".join((folder / name).read_bytes().hex() for name in made)
