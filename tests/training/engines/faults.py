"""A study that takes seconds, in a process of its own that can be killed."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from speedlimits import RunConfig
from speedlimits.runs.study import load_study
from tests.training.studies import series

# Seconds of training in all: a fault has to fall well before the end, and a test has to wait for it.
STUDIES = {f"n{n}": RunConfig(samples=n, width=24, seeds=(0, 3), time=0.2, records=60, snapshots=8) for n in (60, 120)}

CODE = """
import signal, sys
from tests.training.engines.faults import STUDIES
from speedlimits.cli import commands, main
from speedlimits.training.engines.choose import choose
from speedlimits.training.train import train_study

engine, out, resume, storage = sys.argv[1:]

class Command:
    def __call__(self):
        options = {"address": "local", "storage": storage or None} if engine == "ray" else {}
        train_study(STUDIES, out, resume=resume == "resume", engine=choose(engine, 2, **options))

# Errors, interruptions and exit codes as those of the command line.
commands.parse = lambda *_: Command()
sys.argv[1:] = ["study"]
# A shell that runs the tests in the background has its commands ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
main.entry()
"""


def start(out: Path, *, engine: str = "local", resume: bool = False, storage: str = "") -> subprocess.Popen:
    """Train the study in a process group of its own, with a checkpoint at every record."""
    arguments = [engine, str(out), "resume" if resume else "", storage]
    environment = os.environ | {"SPEEDLIMITS_CHECKPOINT_SECONDS": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments],
        cwd=Path(__file__).parents[3],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def descendants(pid: int) -> list[int]:
    """A process and all that come from it, alive."""
    found = [pid]
    for process in found:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def kill_all(process: subprocess.Popen) -> None:
    """``kill -9`` of a process and everything that comes from it, the workers in their own groups too."""
    for pid in descendants(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate()


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def members(folder: Path) -> list[Path]:
    """The folders of all members that have ended."""
    return [path.parent for path in sorted(folder.glob("*/members/*/member.json"))]


def same(folder: Path, undisturbed: Path) -> None:
    """Every (n, seed) once, and every number of every member equal bit for bit."""
    rows = [
        (run.summary["samples"], row["seed"]) for run in load_study(folder).values() for row in run.summary["members"]
    ]
    assert Counter(rows) == {(n, seed): 1 for n in (60, 120) for seed in (0, 3)}
    for name in STUDIES:
        assert series(folder / name) == series(undisturbed / name)
    assert not list(folder.rglob("*.tmp"))


def alive(pids: list[int]) -> list[int]:
    """Those of the processes that still run."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z" not in _state(pid)]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
