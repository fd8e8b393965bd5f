"""The numbers of a run: each member's speed limit at the end, their mean and deviation, certified or not."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from speedlimits._numbers import deviation, finite_or_none
from speedlimits.bound import SpeedLimit
from speedlimits.measured import speed_limit
from speedlimits.runs.config import RunConfig
from speedlimits.trajectory import Trajectory

SCHEMA = 1

# Largest discretisation share with which a run still counts as a flow: ηλ_max/2 at gradient descent's 0.1/λ_max; for
# integrators of the flow ten times their tolerance.
DESCENT_TOLERANCE = 0.05
FLOW_TOLERANCE = 10.0
# A run within 5 % of the stability limit counts as being at its edge: there sharpness hovers a little above or below.
EDGE = 0.95


def summarise(
    config: RunConfig, members: Sequence[Mapping[str, Any]], trajectories: Sequence[Trajectory]
) -> dict[str, Any]:
    """The contents of ``summary.json``.

    Args:
        config: the run.
        members: each member's facts, as `MemberStore.member` gives them.
        trajectories: their runs, in the same order.

    Returns:
        A JSON object. ``dissipation`` is the loss drop, Eq. (6), and ``speed_limit``, ``inefficiency``,
        ``geometric`` and ``pace`` belong to it; ``path_…`` are those of the exact ``path_dissipation``, ``averaged_…``
        of the path through the midpoints of the steps. ``stability`` is the final ηλ_max/(2(1 + μ)), 1 at the limit.
        ``std`` is over the members (n − 1). Where a number does not exist (0/0, one member's deviation), it is null.
        ``learning_rate_wanted`` is what was asked for: T is a whole number of steps, so the members' may be shorter.
    """
    tolerance = DESCENT_TOLERANCE if config.method == "gd" else min(FLOW_TOLERANCE * config.tolerance, 0.5)
    limits = [speed_limit(run, dissipation="loss_drop", tolerance=tolerance) for run in trajectories]
    rows = [_member(config, facts, run, limit) for facts, run, limit in zip(members, trajectories, limits, strict=True)]
    later = [run.from_start(config.warm_start * run.time) for run in trajectories]
    later_limits = [speed_limit(run, dissipation="loss_drop", tolerance=tolerance) for run in later]
    warm = [_warm(facts, run, limit) for facts, run, limit in zip(members, later, later_limits, strict=True)]
    reasons, later_reasons = _reasons(members, limits), _reasons(members, later_limits)
    return {
        "schema": SCHEMA,
        # Runs from before a problem had a name are all of the built-in kind.
        "name": members[0].get("name") or f"{config.model} on {config.dataset}",
        "loss_name": members[0].get("loss_name", "squared"),
        "dataset": config.dataset if config.problem is None else None,
        "model": config.model if config.problem is None else None,
        "samples": members[0].get("samples", config.samples),
        "parameters": members[0]["parameters"],
        "held_out": members[0].get("held_out"),
        "method": config.method,
        "learning_rate_wanted": None if config.learning_rate == "auto" else config.learning_rate,
        "time": trajectories[0].time,
        "members": rows,
        "mean": _over(rows, np.mean),
        "std": _over(rows, deviation),
        "warm_start": {
            "members": warm,
            "mean": _over(warm, np.mean),
            "std": _over(warm, deviation),
            "certified": not later_reasons,
            "reasons": later_reasons,
        },
        "edge_of_stability": [row["seed"] for row in rows if (row["stability"] or 0.0) >= EDGE],
        "tolerance": tolerance,
        "certified": not reasons,
        "reasons": reasons,
    }


def _member(config: RunConfig, facts: Mapping[str, Any], run: Trajectory, limit: SpeedLimit) -> dict[str, Any]:
    path, averaged = (speed_limit(run, dissipation=kind).final for kind in ("path", "averaged"))
    learning_rate = facts.get("learning_rate")
    return {
        "seed": facts["seed"],
        "loss_initial": float(run.losses[0]),
        "loss_final": float(run.losses[-1]),
        "dissipation": float(run.loss_drop[-1]),
        "path_dissipation": float(run.path_dissipation[-1]),
        "discretisation_share": finite_or_none(run.discretisation_share[-1]),
        "certificate": _certificate(run),
        "certificate_worst_interval": finite_or_none(np.nanmax(run.interval_certificates, initial=0.0)),
        "w2_squared": float(run.w2_squared[-1]),
        "arc_length": float(run.arc_lengths[-1]),
        **_limit(limit),
        "path_speed_limit": finite_or_none(path.speed_limit),
        "path_inefficiency": finite_or_none(path.inefficiency),
        "averaged_speed_limit": finite_or_none(averaged.speed_limit),
        "averaged_inefficiency": finite_or_none(averaged.inefficiency),
        "gradient_evaluations": int(run.gradient_evaluations[-1]) + facts["sharpness_gradient_evaluations"],
        "learning_rate": learning_rate,
        "sharpness_initial": facts["sharpness_initial"],
        "sharpness_final": facts["sharpness_final"],
        "stability": learning_rate and learning_rate * facts["sharpness_final"] / (2 * (1 + config.momentum)),
        "test_accuracy": finite_or_none(run.test_accuracy[-1]),
    }


def _certificate(run: Trajectory) -> float | None:
    drop = run.loss_drop[-1]
    return float(abs(drop - run.path_dissipation[-1]) / abs(drop)) if drop != 0 else None


def _warm(facts: Mapping[str, Any], view: Trajectory, limit: SpeedLimit) -> dict[str, Any]:
    path = {"path_inefficiency": finite_or_none(speed_limit(view).final.inefficiency)}
    return {"seed": facts["seed"], "start_time": view.start_time, "time": view.time, **_limit(limit), **path}


def _reasons(members: Sequence[Mapping[str, Any]], limits: Sequence[SpeedLimit]) -> list[str]:
    """Why the limits at the end are not certified."""
    named = zip(members, limits, strict=True)
    return [f"seed {facts['seed']}: {reason}" for facts, limit in named for reason in limit.final.reasons]


def _limit(limit: SpeedLimit) -> dict[str, float | None]:
    final = limit.final
    return {name: finite_or_none(getattr(final, name)) for name in ("speed_limit", "inefficiency", "geometric", "pace")}


def _over(rows: Sequence[Mapping[str, Any]], reduce: Any) -> dict[str, float | None]:
    numbers = [key for key in rows[0] if key != "seed"]
    values = {key: [row[key] for row in rows] for key in numbers}
    return {key: None if None in column else finite_or_none(reduce(column)) for key, column in values.items()}
