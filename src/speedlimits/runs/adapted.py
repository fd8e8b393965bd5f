"""Kernels that were measured again on the way, as arrays of ``kernel.npz`` and as JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from speedlimits._numbers import finite_or_none, plain
from speedlimits.bound import SpeedLimit
from speedlimits.theory.adapted_kernel import AdaptedKernel, KernelInterval

INTERVAL = tuple(KernelInterval.__dataclass_fields__)
WHOLE = tuple(name for name in AdaptedKernel.__dataclass_fields__ if name != "intervals")


def arrays(paths: tuple[AdaptedKernel, ...]) -> dict[str, Any]:
    """What to save: arrays of interval j of path p end in _p_j.

    Args:
        paths: any number of them.

    Returns:
        Arrays and numbers by name.
    """
    found: dict[str, Any] = {"adapted": len(paths)}
    for p, path in enumerate(paths):
        found |= {f"adapted_{name}_{p}": getattr(path, name) for name in WHOLE}
        found[f"adapted_intervals_{p}"] = len(path.intervals)
        for j, interval in enumerate(path.intervals):
            found |= {f"adapted_{name}_{p}_{j}": getattr(interval, name) for name in INTERVAL}
    return found


def restored(found: Mapping[str, Any]) -> tuple[AdaptedKernel, ...]:
    """The paths again.

    Args:
        found: what was saved; older files have none.

    Returns:
        The paths.

    Raises:
        KeyError: if an array is missing.
        ValueError: if the numbers make no path.
    """
    return tuple(
        AdaptedKernel(
            intervals=tuple(
                KernelInterval(**{name: found[f"adapted_{name}_{p}_{j}"] for name in INTERVAL})
                for j in range(found[f"adapted_intervals_{p}"])
            ),
            **{name: found[f"adapted_{name}_{p}"] for name in WHOLE},
        )
        for p in range(found.get("adapted", 0))
    )


def summary(paths: tuple[AdaptedKernel, ...]) -> dict[str, Any] | None:
    """What happened in each interval, how sure the end is, and what it took.

    Args:
        paths: the path, and one with half as many intervals.

    Returns:
        ``intervals``; ``error``, how far both paths are apart at the end: about three times what the first is off, as
        errors fall with the square of the number; and ``gradients``, of both. None where there is no path.
    """
    if not paths:
        return None
    path, halved = paths
    ends = [each.speed_limit(np.array([path.end_time])) for each in (path, halved)]
    return {
        "intervals": [
            {
                "start": interval.start_time,
                "end": float(end),
                "drift": interval.drift,
                "sharpness": float(interval.eigenvalues.max()),
                "loss": interval.loss,
                "spent": float(path.spent(j).sum()),
            }
            for j, (interval, end) in enumerate(zip(path.intervals, path.edges[1:], strict=True))
        ],
        "end_loss": path.end_loss,
        "error": {name: _apart(name, *ends) for name in ("w2_squared", "dissipation", "inefficiency")},
        "gradients": path.gradients + halved.gradients,
    }


def _apart(name: str, limit: SpeedLimit, other: SpeedLimit) -> float | None:
    number, reference = (plain(getattr(each, name))[0] for each in (limit, other))
    return finite_or_none(abs(reference / number - 1.0)) if number and reference else None
