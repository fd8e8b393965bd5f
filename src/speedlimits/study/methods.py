"""How a study may follow the flow: each method's record times, start, and walk from any state."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from speedlimits.dynamics import gradient_descent, gradient_flow, one_step
from speedlimits.dynamics.sharpness import Sharpness, sharpness
from speedlimits.dynamics.state import Point, at
from speedlimits.study.config import StudyConfig
from speedlimits.study.plan import Plan
from speedlimits.study.problem import Problem
from speedlimits.study.schedule import record_times


@dataclass(frozen=True)
class Method:
    """One integrator, as a study uses it.

    Args:
        learning_rate: (config, largest sharpness) → η, or None for a method that has none.
        times: (config, plan) → the record times it will hit, the first 0 [time].
        start: (problem, config) → its state at time zero.
        walk: (problem, state, config, plan) → the following states, each with the points recorded on the way.
        facts: (problem, last state, plan) → what ``member.json`` keeps.
    """

    learning_rate: Callable[[StudyConfig, float], float | None]
    times: Callable[[StudyConfig, Plan], np.ndarray]
    start: Callable[[Problem, StudyConfig], Any]
    walk: Callable[[Problem, Any, StudyConfig, Plan], Iterator[tuple[Any, list[Point]]]]
    facts: Callable[[Problem, Any, Plan], dict[str, Any]]


def choose_plan(config: StudyConfig, measured: dict[int, Sharpness]) -> Plan:
    """What all members share.

    Args:
        config: the study.
        measured: the sharpness of every seed.

    Returns:
        The plan.
    """
    values = {seed: found.value for seed, found in measured.items()}
    return Plan(
        learning_rate=METHODS[config.method].learning_rate(config, max(values.values())),
        sharpness=values,
        sharpness_gradients={seed: found.gradient_evaluations for seed, found in measured.items()},
    )


def _learning_rate(config: StudyConfig, steepest: float) -> float:
    scale = 1 - config.momentum
    if config.learning_rate == "auto":
        return scale * gradient_descent.stable_time_step(steepest, config.time)
    return scale * gradient_descent.whole_steps(config.time, config.learning_rate / scale)


def _descent_facts(problem: Problem, state: gradient_descent.State, plan: Plan) -> dict[str, Any]:
    end = at(problem.theta0, state.displacement)
    found = sharpness(problem.loss, end, generator=torch.Generator().manual_seed(0))
    return {"learning_rate": plan.learning_rate, "sharpness_final": found.value}


def _rate(plan: Plan) -> float:
    if plan.learning_rate is None:
        raise ValueError("`learning_rate` must stand in the plan of gradient descent; it is missing.")
    return plan.learning_rate


def _descent_steps(config: StudyConfig, plan: Plan) -> list[int]:
    return gradient_descent.record_steps(record_times(config), _time_step(config, plan))


def _time_step(config: StudyConfig, plan: Plan) -> float:
    return _rate(plan) / (1 - config.momentum)


def _flow(name: str) -> Method:
    return Method(
        learning_rate=lambda *_: None,
        times=lambda config, _: record_times(config),
        start=lambda problem, config: gradient_flow.init(problem.loss, problem.theta0, rtol=config.rtol, method=name),
        walk=lambda problem, state, config, _: gradient_flow.integrate(
            problem.loss, problem.theta0, state, record_times(config).tolist(), rtol=config.rtol, method=name
        ),
        facts=lambda _, state, __: {
            "sharpness_final": state.radius,
            **{count: getattr(state, count) for count in ("steps", "rejections", "kinks")},
        },
    )


METHODS: dict[str, Method] = {
    "gd": Method(
        learning_rate=_learning_rate,
        times=lambda config, plan: _time_step(config, plan) * np.array(_descent_steps(config, plan), dtype=float),
        start=lambda problem, _: gradient_descent.init(problem.loss, problem.theta0),
        walk=lambda problem, state, config, plan: gradient_descent.integrate(
            problem.loss,
            problem.theta0,
            state,
            _descent_steps(config, plan),
            learning_rate=_rate(plan),
            momentum=config.momentum,
        ),
        facts=_descent_facts,
    ),
    **{name: _flow(name) for name in one_step.METHODS},
}
