"""Train one member from where its folder stands to the end, recording on the way."""

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from speedlimits.dynamics.curvature import Sharpness, sharpness
from speedlimits.dynamics.state import Point, at, from_arrays, to_arrays
from speedlimits.errors import RunFolderError
from speedlimits.runs.config import RunConfig
from speedlimits.runs.folder import LOCK
from speedlimits.runs.identity import Owner
from speedlimits.runs.member import MemberStore
from speedlimits.runs.run import Plan, RunFolder
from speedlimits.training.methods import METHODS, chosen_records
from speedlimits.training.problem import Problem
from speedlimits.training.sources import Source

# Wall seconds between checkpoints. When they fall changes nothing but how much a killed run repeats.
CHECKPOINT_SECONDS = float(os.environ.get("SPEEDLIMITS_CHECKPOINT_SECONDS", "2"))

# Wall seconds between two words of progress.
REPORT_SECONDS = 0.2

# Wall seconds to wait for the process that still trains a member.
LOCK_SECONDS = 60


@dataclass(frozen=True)
class Report:
    """How far a member is.

    Args:
        share: t/T.
        loss: L(θ_t).
        inefficiency: T/T_SL so far; None where nothing has moved.
    """

    share: float
    loss: float
    inefficiency: float | None


@dataclass(frozen=True)
class Recorded:
    """What is recorded beside the path, and when.

    Args:
        kept: records that keep their weights.
        classified: records at which the held-out samples are classified.
        traced: indices of the weights to trace.
    """

    kept: set[int]
    classified: set[int]
    traced: np.ndarray

    @classmethod
    def of(cls, config: RunConfig, times: np.ndarray, problem: Problem) -> "Recorded":
        """As a run asks for it, at these record times."""
        return cls(
            kept=chosen_records(times, config.snapshots),
            classified=chosen_records(times, config.accuracies),
            traced=np.random.default_rng(0).integers(problem.theta0.numel(), size=3 * config.triples),
        )


def serve(kind: str, run: RunFolder, seed: int, source: Source) -> Iterator[Report | dict[str, Any] | None]:
    """Do one job on a member, in this process.

    Args:
        kind: sharpness or train.
        run: the run's folder; for training, with a plan.
        seed: the member.
        source: of its problem.

    Yields:
        How far it is; last of all, of a sharpness, the result as a mapping.

    Raises:
        RunFolderError: if another process trains the member.
        DivergenceError: as `train_member`.
    """
    if kind == "sharpness":
        yield dataclasses.asdict(measure_sharpness(run.config, seed, source))
        return
    folder = run.member_folder(seed)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=LOCK_SECONDS):
            yield from train_member(run.config, seed, run.plan(), folder, source, owner=run.owner(seed))
    except Timeout:
        raise RunFolderError(f"{folder} is in use by another process; wait for it or stop it.") from None


def measure_sharpness(config: RunConfig, seed: int, source: Source) -> Sharpness:
    """|λ|_max of one member at initialisation.

    Args:
        config: the run.
        seed: the member.
        source: of its problem.

    Returns:
        The estimate and its cost.
    """
    problem = source.build(config, seed)
    return sharpness(problem.flat_loss, problem.theta0, generator=torch.Generator().manual_seed(seed))


def train_member(
    config: RunConfig,
    seed: int,
    plan: Plan,
    folder: Path,
    source: Source,
    *,
    owner: Owner | None = None,
    saved: Callable[[], None] = lambda: None,
) -> Iterator[Report]:
    """Train one member, from its checkpoint if there is one, and write its folder.

    Args:
        config: the run.
        seed: the member.
        plan: what all members share.
        folder: the member's own.
        source: of its problem.
        owner: whose the folder is to be; a checkpoint of another's is refused.
        saved: called whenever the folder holds a state to go on from, and when the member has ended.

    Yields:
        How far it is, a few times a second and at the end.

    Raises:
        DivergenceError: if the loss stops being finite; what was recorded until then is kept.
        RunFolderError: if the folder holds a checkpoint of another run, seed or configuration.
        OSError: what the disk reports.
    """
    method = METHODS[config.method]
    folder.mkdir(parents=True, exist_ok=True)
    problem, store = source.build(config, seed), MemberStore(folder, owner)
    recorded = Recorded.of(config, method.times(config, plan), problem)
    state = start = method.start(problem, config)
    arrays = store.resume()
    if arrays is None:
        _record(store, problem, start.point(), recorded)
    else:
        state = start = from_arrays(start, arrays)
    last_write = last_word = time.monotonic()
    for state, points in method.walk(problem, start, config, plan):
        for point in points:
            _record(store, problem, point, recorded)
        if store.full or time.monotonic() - last_write > CHECKPOINT_SECONDS:
            store.checkpoint(to_arrays(state))
            saved()
            last_write = time.monotonic()
        if (now := time.monotonic()) - last_word > REPORT_SECONDS or state.time >= config.time:
            yield _report(state.point(), config.time)
            last_word = now
    store.checkpoint(to_arrays(state))
    store.finish(
        {
            "seed": seed,
            "name": problem.name or source.name,
            "loss_name": problem.loss_name,
            "samples": problem.samples,
            "parameters": problem.theta0.numel(),
            "records": store.records,
            "held_out": None if problem.test_labels is None else problem.held_out,
            "sharpness_initial": plan.sharpness[seed],
            "sharpness_gradient_evaluations": plan.sharpness_gradients[seed],
            **method.facts(problem, state, plan),
        }
    )
    saved()


def _report(point: Point, end: float) -> Report:
    moved = float(point.displacement.dot(point.displacement))
    inefficiency = point.time * float(point.path_dissipation) / moved if moved > 0 else None
    return Report(point.time / end, float(point.loss), inefficiency)


def _record(store: MemberStore, problem: Problem, point: Point, recorded: Recorded) -> None:
    theta = at(problem.theta0, point.displacement)
    trace = theta[torch.from_numpy(recorded.traced).to(theta.device)]
    accuracy = problem.accuracy(theta) if store.records in recorded.classified else math.nan
    row: dict[str, Any] = point.record()
    store.add(row | {"test_accuracy": accuracy, "weight_trace": trace.double().cpu().numpy()})
    if store.records - 1 in recorded.kept:
        weights = problem.flat_loss.named(theta)
        store.keep_weights({name: weight.cpu().contiguous().numpy() for name, weight in weights.items()}, point.time)
