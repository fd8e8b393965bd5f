"""What a summary says where trajectories alone are known: by the dissipation of the path, whoever trained it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from speedlimits._numbers import deviation, finite_or_none
from speedlimits.bound import SpeedLimit
from speedlimits.measured import speed_limit
from speedlimits.trajectory import Trajectory


def summarise_trajectories(
    trajectories: Sequence[Trajectory], warm: Sequence[Trajectory], name: str, loss_name: str
) -> dict[str, Any]:
    """What ``summary.json`` would hold, as far as trajectories alone say it.

    Args:
        trajectories: one network or several alike.
        warm: the same from a later start; empty where there is none.
        name: what was trained on what.
        loss_name: empty where the loss has none.

    Returns:
        A JSON object as that of `speedlimits.runs.summary.summarise`, by the dissipation of the path (``spent``).
    """
    limits = [speed_limit(run).final for run in trajectories]
    rows = [_row(k, run, limit) for k, (run, limit) in enumerate(zip(trajectories, limits, strict=True), start=1)]
    later = [_row(k, run, speed_limit(run).final) for k, run in enumerate(warm, start=1)]
    reasons = [reason for limit in limits for reason in limit.reasons]
    return {
        "name": name,
        "loss_name": loss_name,
        **dict.fromkeys(("samples", "parameters", "method")),
        "time": trajectories[0].time,
        "members": rows,
        **_over(rows),
        "warm_start": _over(later),
        "certified": not reasons,
        "reasons": reasons,
    }


def _row(seed: int, run: Trajectory, limit: SpeedLimit) -> dict[str, Any]:
    numbers = {
        "start_time": run.start_time,
        "loss_initial": _known(run.losses)[0],
        "loss_final": _known(run.losses)[-1],
        "spent": limit.dissipation,
        "gradient_evaluations": run.gradient_evaluations[-1],
        "test_accuracy": _known(run.test_accuracy)[-1],
        "points": limit.points,
    }
    limits = {key: getattr(limit, key) for key in ("w2_squared", "speed_limit", "inefficiency", "geometric", "pace")}
    return {"seed": seed} | {key: finite_or_none(value) for key, value in (numbers | limits).items()}


def _known(series: np.ndarray) -> np.ndarray:
    """The numbers in it: neither loss nor accuracy need be measured at every record. NaN if there is none."""
    found = series[np.isfinite(series)]
    return found if found.size else series[:1]


def _over(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Mean and deviation (n − 1) of each number that all rows have."""
    keys = [key for key in (rows[0] if rows else {}) if key != "seed"]
    columns = {key: [row[key] for row in rows] for key in keys}
    held = {key: np.array(values) for key, values in columns.items() if None not in values}
    none: dict[str, float | None] = dict.fromkeys(keys)
    return {
        "mean": none | {key: float(values.mean()) for key, values in held.items()},
        "std": none | {key: finite_or_none(deviation(values)) for key, values in held.items()},
    }
