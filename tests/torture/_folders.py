"""Tiny runs of every kind, finished, unfinished and older, and what their numbers are: what campaigns damage."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from speedlimits import RunConfig, load_run, train_run
from speedlimits.cli.main import main
from speedlimits.runs import NoisyConfig, Run, RunFolder
from speedlimits.runs.study import load_study
from speedlimits.training import member
from speedlimits.training.kernel import analyse_kernel
from speedlimits.training.noisy import train_noisy
from speedlimits.training.train import train_study

CONFIG = RunConfig(samples=8, width=3, seeds=(0, 1), time=0.05, records=12, snapshots=4, triples=1, rtol=1e-6)
OTHER = RunConfig(samples=9, width=3, seeds=(0, 1), time=0.05, records=12, snapshots=4, triples=1, rtol=1e-6)
STUDY = {"small": CONFIG, "large": OTHER}
NOISY = NoisyConfig(
    samples=6,
    width=2,
    members=400,
    time=0.2,
    records=5,
    strengths=3,
    anneal_steps=2,
    step=0.01,
    inverse_temperature=5.0,
)
# Of the member that is cut short: where an older state is copied, and where it is cut. Records of noise are log-spaced.
OLDER, CUT = {"run": 0.3, "study": 0.3, "noisy": 0.003}, {"run": 0.7, "study": 0.7, "noisy": 0.1}


class Cut(Exception):
    """Stands for a kill."""


@contextlib.contextmanager
def every_step() -> Iterator[None]:
    """Members write a checkpoint and say a word after every step."""
    before = member.CHECKPOINT_SECONDS, member.REPORT_SECONDS
    member.CHECKPOINT_SECONDS, member.REPORT_SECONDS = 0.0, 0.0
    try:
        yield
    finally:
        member.CHECKPOINT_SECONDS, member.REPORT_SECONDS = before


def resume(kind: str, folder: Path) -> None:
    """Go on with what is there, in this process."""
    if kind == "run":
        train_run(CONFIG, folder, engine="inline", resume=True)
    elif kind == "study":
        train_study(STUDY, folder, engine="inline", resume=True)
    else:
        train_noisy(NOISY, folder, resume=True)


def make(folder: Path) -> dict[str, Path]:
    """All folders, by their names.

    Args:
        folder: to write into.

    Returns:
        Of run, noisy and study: ``KIND-finished``; ``KIND-unfinished``, whose older state is ``KIND-older``; and
        ``KIND-foreign``, of another configuration.
    """
    places = {f"{kind}-{state}": folder / f"{kind}-{state}" for kind in KINDS for state in STATES}
    for name, config in (("finished", CONFIG), ("foreign", OTHER)):
        train_run(config, places[f"run-{name}"], engine="inline")
        analyse_kernel(places[f"run-{name}"])
    train_noisy(NOISY, places["noisy-finished"])
    train_noisy(NoisyConfig(**{**NOISY.to_dict(), "seed": 7}), places["noisy-foreign"])
    train_study(STUDY, places["study-finished"], engine="inline")
    train_study({"small": OTHER, "large": CONFIG}, places["study-foreign"], engine="inline")
    with every_step():
        for kind, train in TRAIN.items():
            _cut(kind, places[f"{kind}-unfinished"], places[f"{kind}-older"], train)
    return places


def _cut(kind: str, folder: Path, older: Path, train: Callable[[Path, Callable[..., None]], Any]) -> None:
    def progress(*event: Any) -> None:
        # The second member of the first run is cut short; with noise there is only a share.
        if isinstance(event[0], float):
            share, ours = event[0], True
        else:
            share, ours = event[-1].share, event[-1].seed == 1
        if not ours:
            return
        if share > OLDER[kind] and not older.exists():
            shutil.copytree(folder, older)
        elif share > CUT[kind]:
            raise Cut

    with contextlib.suppress(Cut):
        train(folder, progress)
    assert older.exists()
    assert not (folder / "manifest.json").exists()


KINDS = ("run", "noisy", "study")
STATES = ("finished", "unfinished", "older", "foreign")
TRAIN: dict[str, Callable[[Path, Callable[..., None]], Any]] = {
    "run": lambda folder, progress: train_run(CONFIG, folder, engine="inline", progress=progress),
    "noisy": lambda folder, progress: train_noisy(NOISY, folder, progress=progress),
    "study": lambda folder, progress: train_study(STUDY, folder, engine="inline", progress=progress),
}


def numbers(kind: str, folder: Path) -> str:
    """All numbers of a finished folder, to the last bit."""
    if kind == "study":
        return json.dumps({name: _numbers(run) for name, run in load_study(folder).items()})
    return json.dumps(_numbers(load_run(folder)))


def _numbers(run: Any) -> Any:
    if not isinstance(run, Run):
        return run.summary
    paths = {
        seed: {key: np.asarray(value).tobytes().hex() for key, value in vars(path).items()}
        for seed, path in run.trajectories.items()
    }
    folder = RunFolder.open(run.path)
    weights = {
        seed: {name: array.tobytes().hex() for name, array in folder.member(seed).weights(0).items()} for seed in paths
    }
    return [run.summary, paths, weights]


def command(*arguments: object) -> tuple[int, str, str]:
    """Run a command in this process.

    Args:
        arguments: of the command line.

    Returns:
        Exit code, stdout and stderr.
    """
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = main([str(argument) for argument in arguments])
    return code, out.getvalue(), error.getvalue()
