"""How a run may follow the flow: each method's record times, start, and walk from any state."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from speedlimits.dynamics import descent
from speedlimits.dynamics.curvature import Sharpness, sharpness
from speedlimits.dynamics.flow import gradient_flow
from speedlimits.dynamics.flow.methods import ONE_STEP_METHODS
from speedlimits.dynamics.state import Point, at
from speedlimits.runs.config import RunConfig
from speedlimits.runs.run import Plan
from speedlimits.training.problem import Problem

# Four decades before T show the initial loss drop, whose time scale is 1/λ_max.
DECADES = 4


@dataclass(frozen=True)
class Method:
    """One integrator, as a run uses it.

    Args:
        learning_rate: (config, largest sharpness) → η, or None for a method that has none.
        times: (config, plan) → the record times it will hit, the first 0 [time].
        start: (problem, config) → its state at time zero.
        walk: (problem, state, config, plan) → the following states, each with the points recorded on the way.
        facts: (problem, last state, plan) → what ``member.json`` keeps.
    """

    learning_rate: Callable[[RunConfig, float], float | None]
    times: Callable[[RunConfig, Plan], np.ndarray]
    start: Callable[[Problem, RunConfig], Any]
    walk: Callable[[Problem, Any, RunConfig, Plan], Iterator[tuple[Any, list[Point]]]]
    facts: Callable[[Problem, Any, Plan], dict[str, Any]]


def record_times(config: RunConfig) -> np.ndarray:
    """Wanted record times from 0 to T: two thirds log-spaced for the start, one third even for the rest.

    Args:
        config: gives T and the number of records.

    Returns:
        About that many increasing times [time], first 0 and last T exactly.
    """
    logarithmic = max(1, 2 * config.records // 3)
    even = np.linspace(0.0, config.time, max(2, config.records - logarithmic))
    spaced = config.time * np.logspace(-DECADES, 0, logarithmic + 1)[:-1]
    return np.unique(np.concatenate([even, spaced]))


def chosen_records(times: np.ndarray, wanted: int) -> set[int]:
    """Which records keep their weights, or classify held-out samples: the first, the last, and log-spaced ones between.

    Args:
        times: the record times, the first 0.
        wanted: about how many.

    Returns:
        Indices into ``times``.
    """
    last = times.size - 1
    targets = times[-1] * np.logspace(-DECADES, 0, max(wanted - 1, 1))
    nearest = np.abs(times[:, None] - targets[None, :]).argmin(axis=0)
    return {0, last, *nearest.tolist()}


def choose_plan(config: RunConfig, measured: dict[int, Sharpness], earlier: Plan | None = None) -> Plan:
    """What all members share.

    Args:
        config: the run.
        measured: the sharpness of every seed, or of those that were added.
        earlier: the plan of the members that were there before; their learning rate stays, for all.

    Returns:
        The plan.
    """
    values = {seed: found.value for seed, found in measured.items()}
    gradients = {seed: found.gradient_evaluations for seed, found in measured.items()}
    if earlier is not None:
        return Plan(earlier.learning_rate, earlier.sharpness | values, earlier.sharpness_gradients | gradients)
    rate = METHODS[config.method].learning_rate(config, max(values.values()))
    return Plan(learning_rate=rate, sharpness=values, sharpness_gradients=gradients)


def _learning_rate(config: RunConfig, steepest: float) -> float:
    scale = 1 - config.momentum
    if config.learning_rate == "auto":
        return scale * descent.stable_time_step(steepest, config.time)
    return scale * descent.whole_steps(config.time, config.learning_rate / scale)


def _descent_facts(problem: Problem, state: descent.DescentState, plan: Plan) -> dict[str, Any]:
    end = at(problem.theta0, state.displacement)
    found = sharpness(problem.flat_loss, end, generator=torch.Generator().manual_seed(0))
    return {"learning_rate": plan.learning_rate, "sharpness_final": found.value}


def _rate(plan: Plan) -> float:
    if plan.learning_rate is None:
        raise ValueError("`learning_rate` must stand in the plan of gradient descent; it is missing.")
    return plan.learning_rate


def _descent_steps(config: RunConfig, plan: Plan) -> list[int]:
    return descent.record_steps(record_times(config), _time_step(config, plan))


def _time_step(config: RunConfig, plan: Plan) -> float:
    return _rate(plan) / (1 - config.momentum)


def _flow(name: str) -> Method:
    return Method(
        learning_rate=lambda *_: None,
        times=lambda config, _: record_times(config),
        start=lambda problem, config: gradient_flow.init(
            problem.flat_loss, problem.theta0, rtol=config.tolerance, method=name
        ),
        walk=lambda problem, state, config, _: gradient_flow.integrate(
            problem.flat_loss, problem.theta0, state, record_times(config).tolist(), rtol=config.tolerance, method=name
        ),
        facts=lambda _, state, __: {
            "sharpness_final": state.radius,
            **{count: getattr(state, count) for count in ("steps", "rejections", "kinks", "exponential")},
        },
    )


METHODS: dict[str, Method] = {
    "gd": Method(
        learning_rate=_learning_rate,
        times=lambda config, plan: _time_step(config, plan) * np.array(_descent_steps(config, plan), dtype=float),
        start=lambda problem, _: descent.init(problem.flat_loss, problem.theta0),
        walk=lambda problem, state, config, plan: descent.integrate(
            problem.flat_loss,
            problem.theta0,
            state,
            _descent_steps(config, plan),
            learning_rate=_rate(plan),
            momentum=config.momentum,
        ),
        facts=_descent_facts,
    ),
    **{name: _flow(name) for name in ONE_STEP_METHODS},
}
