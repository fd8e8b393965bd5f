"""The same networks trained in two ways: when the second leaves the first, and both in one figure."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from speedlimits._checks import check_positive
from speedlimits.report.curves import band, limit_band
from speedlimits.report.figures.sheet import GREY, STYLE, TRIPLES, draw_band, legend, log_numbers, sheet
from speedlimits.trajectory import Trajectory


def departure_time(reference: Trajectory, other: Trajectory, tolerance: float) -> float:
    """When a run leaves another for good: from then on its loss or squared distance is off by more than a share.

    Large steps are off in their first moments whatever comes after; that does not count.

    Args:
        reference: the run to compare with, interpolated to the other's times.
        other: the run.
        tolerance: the share.

    Returns:
        A time of the other run [time]; infinite if it ends within the tolerance.

    Raises:
        ValueError: if the tolerance is not positive.
    """
    check_positive("tolerance", tolerance)
    times = other.times[(other.times > 0) & (other.times <= reference.time)]
    away = np.zeros(times.size, dtype=bool)
    for series in ("losses", "w2_squared"):
        expected = np.interp(times, reference.times, getattr(reference, series))
        found = np.interp(times, other.times, getattr(other, series))
        away |= np.abs(found - expected) > tolerance * np.abs(expected)
    if times.size == 0 or not away[-1]:
        return np.inf
    near = np.flatnonzero(~away)
    return float(times[near[-1] + 1 if near.size else 0])


@mpl.rc_context(STYLE)
def comparison(runs: Mapping[str, Sequence[Trajectory]], title: str, loss: str) -> Figure:
    """Loss and inefficiency of several ensembles over time.

    Args:
        runs: the members of each ensemble under its label, in the order of the legend.
        title: above the panels.
        loss: what the axis of the loss says.

    Returns:
        The figure, not bound to any window.
    """
    figure, (left, right) = sheet(title, 2)
    for k, (label, members) in enumerate(runs.items()):
        colour = TRIPLES[k % len(TRIPLES)]
        draw_band(left, band(members, lambda run: run.losses), colour, label)
        draw_band(right, limit_band(members, "inefficiency"), colour, label)
        middle = limit_band(members, "inefficiency", "averaged")
        # For a flow the two are one curve.
        if not np.allclose(middle.mean, limit_band(members, "inefficiency").mean, rtol=1e-2, equal_nan=True):
            draw_band(right, middle, colour, f"{label}: through the midpoints", linestyle="--")
    left.set(xscale="log", yscale="log", xlabel="flow time $t$", ylabel=loss)
    log_numbers(left)
    left.set_title("Loss")
    right.axhline(1, color=GREY, linewidth=1)
    right.set(xscale="log", yscale="log", xlabel="flow time $T$", ylabel="times slower than the limit")
    log_numbers(right)
    right.set_title("Inefficiency by the dissipation of the path")
    legend(right, columns=1)
    return figure
