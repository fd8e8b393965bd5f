"""Train one member of a study from where its folder stands to the end, recording on the way."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speedlimits.dynamics.sharpness import Sharpness, sharpness
from speedlimits.dynamics.state import Point, at, from_arrays, to_arrays
from speedlimits.runs.config import RunConfig
from speedlimits.runs.member import MemberStore
from speedlimits.runs.run import Plan
from speedlimits.training.methods import METHODS, snapshot_records
from speedlimits.training.problem import Problem, build

# Wall seconds between checkpoints. When they fall changes nothing but how much a killed run repeats.
CHECKPOINT_SECONDS = float(os.environ.get("SPEEDLIMITS_CHECKPOINT_SECONDS", "2"))

# Wall seconds between two words of progress.
REPORT_SECONDS = 0.2

# (t/T, loss, T/T_SL so far)
Report = Callable[[float, float, float | None], None]


def measure_sharpness(config: RunConfig, seed: int) -> Sharpness:
    """|λ|_max of one member at initialisation.

    Args:
        config: the study.
        seed: the member.

    Returns:
        The estimate and its cost.
    """
    problem = build(config, seed)
    return sharpness(problem.loss, problem.theta0, generator=torch.Generator().manual_seed(seed))


def train_member(
    config: RunConfig,
    seed: int,
    plan: Plan,
    folder: Path,
    report: Report,
    *,
    saved: Callable[[], None] = lambda: None,
) -> None:
    """Train one member, from its checkpoint if there is one, and write its folder.

    Args:
        config: the study.
        seed: the member.
        plan: what all members share.
        folder: the member's own.
        report: called a few times a second, and at the end.
        saved: called whenever the folder holds a state to go on from, and when the member has ended.

    Raises:
        DivergenceError: if the loss stops being finite; what was recorded until then is kept.
        OSError: what the disk reports.
    """
    method = METHODS[config.method]
    folder.mkdir(parents=True, exist_ok=True)
    problem, store = build(config, seed), MemberStore(folder)
    kept = snapshot_records(method.times(config, plan), config.snapshots)
    traced = np.random.default_rng(0).integers(problem.theta0.numel(), size=3 * config.triples)
    state = start = method.start(problem, config)
    arrays = store.resume()
    if arrays is None:
        _record(store, problem, start.point(), kept, traced)
    else:
        state = start = from_arrays(start, arrays)
    last_write = last_word = time.monotonic()
    for state, points in method.walk(problem, start, config, plan):
        for point in points:
            _record(store, problem, point, kept, traced)
        if store.full or time.monotonic() - last_write > CHECKPOINT_SECONDS:
            store.checkpoint(to_arrays(state))
            saved()
            last_write = time.monotonic()
        if (now := time.monotonic()) - last_word > REPORT_SECONDS or state.time >= config.time:
            _report(state.point(), config.time, report)
            last_word = now
    store.checkpoint(to_arrays(state))
    store.finish(
        {
            "seed": seed,
            "parameters": problem.theta0.numel(),
            "records": store.records,
            "held_out": problem.held_out,
            "sharpness_initial": plan.sharpness[seed],
            "sharpness_gradient_evaluations": plan.sharpness_gradients[seed],
            **method.facts(problem, state, plan),
        }
    )
    saved()


def _report(point: Point, end: float, report: Report) -> None:
    moved = float(point.displacement.dot(point.displacement))
    inefficiency = point.time * float(point.path_dissipation) / moved if moved > 0 else None
    report(point.time / end, float(point.loss), inefficiency)


def _record(store: MemberStore, problem: Problem, point: Point, kept: set[int], traced: np.ndarray) -> None:
    theta = at(problem.theta0, point.displacement)
    trace = theta[torch.from_numpy(traced).to(theta.device)]
    row: dict[str, Any] = point.record()
    store.add(row | {"test_accuracy": problem.accuracy(theta), "weight_trace": trace.double().cpu().numpy()})
    if store.records - 1 in kept:
        weights = problem.loss.named(theta)
        store.keep_weights({name: weight.cpu().contiguous().numpy() for name, weight in weights.items()}, point.time)
