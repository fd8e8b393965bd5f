"""What the tangent kernel says of a run, for print: panel (f) of Fig. 1 and prediction beside measurement."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speedlimits.measured import speed_limit
from speedlimits.report.figures.sheet import (
    ACCURACY,
    COLD_COLOUR,
    GREY,
    STYLE,
    WARM_COLOUR,
    legend,
    log_numbers,
    shades,
    sheet,
)
from speedlimits.report.spectrum import drawn, label, ranked, shares, spent
from speedlimits.runs.kernel import KernelRecord
from speedlimits.theory.adapted_kernel import AdaptedKernel
from speedlimits.trajectory import Trajectory


@mpl.rc_context(STYLE)
def kernel_figure(record: KernelRecord, run: Trajectory, title: str) -> Figure:
    """All panels on one sheet: two, and a third where the kernel was measured again on the way.

    Args:
        record: of the kernel.
        run: the member's whole run.
        title: above them.

    Returns:
        The figure, not bound to any window.
    """
    figure, (left, right, *rest) = sheet(title, 2 + bool(record.adapted), columns=2)
    overlaps(left, record)
    prediction(right, record, run)
    for axes in rest:
        intervals(axes, record.adapted[0])
    return figure


def overlaps(axes: Axes, record: KernelRecord) -> None:
    """Panel (f) of Fig. 1: the residual's overlaps with the kernel's eigenvectors, and the eigenvalues inset."""
    for view, colour in zip(record.views, (COLD_COLOUR, WARM_COLOUR), strict=False):
        axes.plot(*shares(view), "o-", color=colour, markersize=3, linewidth=1, label=label(view))
    axes.set(xscale="log", yscale="log", xlabel=r"eigenvalue $\lambda$", ylabel=r"share of $\sum_k\Delta_k^2$")
    axes.set_title("Residual over the kernel's spectrum")
    # Below the curves: inset and legend cover no point.
    low, high = axes.get_ylim()
    axes.set_ylim(low * (low / high) ** 1.1, high)
    log_numbers(axes)
    legend(axes, columns=1)
    inset = axes.inset_axes((0.2, 0.2, 0.36, 0.24))
    inset.plot(*ranked(record), color=COLD_COLOUR, linewidth=1)
    inset.set(xscale="log", yscale="log")
    inset.set_title(r"$\lambda_k$ over $k$", fontsize=7)
    log_numbers(inset, 3, 3)
    inset.patch.set_alpha(0.0)


def prediction(axes: Axes, record: KernelRecord, run: Trajectory) -> None:
    """T/T_SL as it was measured, and as a kernel that stays the same would have it."""
    for view, colour in zip(record.views, (COLD_COLOUR, WARM_COLOUR), strict=False):
        seen = view.seen(run)
        axes.plot(
            seen.times[1:],
            np.asarray(speed_limit(seen).inefficiency)[1:],
            color=colour,
            label=f"measured {label(view)}",
        )
        axes.plot(seen.times[1:], view.predicted(seen.times[1:]).inefficiency, color=colour, linestyle="--")
    axes.plot([], [], color=GREY, linestyle="--", label="predicted by the kernel there")
    for path in record.adapted[:1]:
        times = np.geomspace(1e-3 * path.end_time, path.end_time, 100)
        name = f"with {len(path.intervals)} intervals of its own kernel"
        axes.plot(times, path.speed_limit(times).inefficiency, color=ACCURACY, linestyle=":", label=name)
    axes.set(xscale="log", yscale="log", xlabel="time since the start $T$", ylabel="$T/T_{SL}$")
    log_numbers(axes)
    axes.set_title("Predicted by the tangent kernel beside measured")
    legend(axes, columns=1)


def intervals(axes: Axes, path: AdaptedKernel) -> None:
    """Where in the spectrum the loss goes, interval by interval."""
    shown = drawn(path)
    for j, colour in zip(shown, shades(len(shown)), strict=True):
        places, heights = spent(path, j)
        name = f"to $t$ = {path.edges[j + 1]:.2g}: {heights.sum():.0%}"
        axes.plot(places, heights, color=colour, linewidth=1, label=name)
    axes.set(xscale="log", xlabel=r"eigenvalue $\lambda$", ylabel="share of the loss that is spent")
    log_numbers(axes)
    axes.set_title("Where the loss goes while the kernel changes")
    legend(axes, columns=3)
