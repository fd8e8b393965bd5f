"""Train one member of a study from where its folder stands to the end, recording on the way."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speedlimits._checks import check_one_of
from speedlimits.dynamics import gradient_descent
from speedlimits.dynamics.sharpness import Sharpness, sharpness
from speedlimits.dynamics.state import State, at
from speedlimits.study.config import StudyConfig
from speedlimits.study.plan import Plan
from speedlimits.study.problem import Problem, build
from speedlimits.study.schedule import record_times, snapshot_records
from speedlimits.study.store import MemberStore

# Wall seconds between checkpoints. When they fall changes nothing but how much a killed run repeats.
CHECKPOINT_SECONDS = float(os.environ.get("SPEEDLIMITS_CHECKPOINT_SECONDS", "2"))


@dataclass(frozen=True)
class Method:
    """How a study follows the flow: its record times, and the states at them.

    Args:
        times: (config, plan) → the record times it will hit [time].
        states: (problem, state or None, config, plan) → the states at those times, from the given one on.
    """

    times: Callable[[StudyConfig, Plan], np.ndarray]
    states: Callable[[Problem, State | None, StudyConfig, Plan], Iterator[State]]


def _descent_steps(config: StudyConfig, plan: Plan) -> list[int]:
    return gradient_descent.record_steps(record_times(config), plan.learning_rate)


def _descent(problem: Problem, state: State | None, config: StudyConfig, plan: Plan) -> Iterator[State]:
    if state is None:
        state = gradient_descent.init(problem.loss, problem.theta0)
    steps = _descent_steps(config, plan)
    rate = plan.learning_rate
    return gradient_descent.integrate(problem.loss, problem.theta0, state, steps, learning_rate=rate)


METHODS: dict[str, Method] = {
    "gd": Method(
        times=lambda config, plan: plan.learning_rate * np.array(_descent_steps(config, plan), dtype=float),
        states=_descent,
    )
}


def measure_sharpness(config: StudyConfig, seed: int) -> Sharpness:
    """|λ|_max of one member at initialisation.

    Args:
        config: the study.
        seed: the member.

    Returns:
        The estimate and its cost.
    """
    problem = build(config, seed)
    return sharpness(problem.loss, problem.theta0, generator=torch.Generator().manual_seed(seed))


def choose_plan(config: StudyConfig, measured: dict[int, Sharpness]) -> Plan:
    """Fix the learning rate: the given one, or 0.1 over the largest sharpness, shortened to divide T.

    Args:
        config: the study.
        measured: the sharpness of every seed.

    Returns:
        The plan.
    """
    values = {seed: found.value for seed, found in measured.items()}
    if config.learning_rate == "auto":
        learning_rate = gradient_descent.stable_learning_rate(max(values.values()), config.time)
    else:
        learning_rate = gradient_descent.whole_steps(config.time, config.learning_rate)
    return Plan(
        learning_rate=learning_rate,
        sharpness=values,
        sharpness_gradients={seed: found.gradient_evaluations for seed, found in measured.items()},
    )


def train_member(
    config: StudyConfig, seed: int, plan: Plan, folder: Path, report: Callable[[float, float], None]
) -> None:
    """Train one member, from its checkpoint if there is one, and write its folder.

    Args:
        config: the study.
        seed: the member.
        plan: what all members share.
        folder: the member's own.
        report: called at each record with (t/T, loss).

    Raises:
        DivergenceError: if the loss stops being finite; what was recorded until then is kept.
        OSError: what the disk reports.
    """
    check_one_of("method", config.method, METHODS)
    method = METHODS[config.method]
    folder.mkdir(parents=True, exist_ok=True)
    problem, store = build(config, seed), MemberStore(folder)
    kept = snapshot_records(method.times(config, plan), config.snapshots)
    traced = np.random.default_rng(0).integers(problem.theta0.numel(), size=3 * config.triples)
    arrays = store.resume()
    start = None if arrays is None else _state_from(arrays, problem)
    state = start
    last_write = time.monotonic()
    for state in method.states(problem, start, config, plan):
        # The state a checkpoint stands at is recorded already.
        if state is not start:
            _record(store, problem, state, kept, traced)
        if store.full or time.monotonic() - last_write > CHECKPOINT_SECONDS:
            store.checkpoint(_arrays_of(state))
            last_write = time.monotonic()
        report(state.time / config.time, float(state.loss))
    assert state is not None
    store.checkpoint(_arrays_of(state))
    store.finish(
        {
            "seed": seed,
            "parameters": problem.theta0.numel(),
            "records": store.records,
            "learning_rate": plan.learning_rate,
            "sharpness_initial": plan.sharpness[seed],
            "sharpness_gradient_evaluations": plan.sharpness_gradients[seed],
        }
    )


def _record(store: MemberStore, problem: Problem, state: State, kept: set[int], traced: np.ndarray) -> None:
    theta = at(problem.theta0, state.displacement)
    trace = theta[torch.from_numpy(traced).to(theta.device)]
    row: dict[str, Any] = state.record()
    store.add(row | {"test_accuracy": problem.accuracy(theta), "weight_trace": trace.double().cpu().numpy()})
    if store.records - 1 in kept:
        weights = problem.loss.named(theta)
        store.keep_weights({name: weight.cpu().contiguous().numpy() for name, weight in weights.items()}, state.time)


_TENSORS = ("displacement", "loss", "initial_loss", "gradient", "arc_length", "path_dissipation")
_NUMBERS = {"step": np.int64, "time": np.float64, "gradient_evaluations": np.int64}


def _arrays_of(state: State) -> dict[str, np.ndarray]:
    arrays = {name: np.atleast_1d(getattr(state, name).cpu().numpy()) for name in _TENSORS}
    return arrays | {name: np.array([getattr(state, name)], dtype=kind) for name, kind in _NUMBERS.items()}


def _state_from(arrays: dict[str, np.ndarray], problem: Problem) -> State:
    device = problem.theta0.device
    tensors = {name: torch.from_numpy(arrays[name]).to(device) for name in _TENSORS}
    flat = ("displacement", "gradient")
    return State(
        **{name: tensor if name in flat else tensor.reshape(()) for name, tensor in tensors.items()},
        **{name: arrays[name][0].item() for name in _NUMBERS},
    )
