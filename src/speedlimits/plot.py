"""The report's panels one by one, for figures of your own: each function takes and returns matplotlib axes.

Each takes one trajectory, several members of one run, or a run itself; lines are means over the members, bands their
standard deviation. Without ``ax`` a new figure is made, which ``ax.figure`` is.
"""

from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from speedlimits.noise import Noise
from speedlimits.report.curves import inefficiency_map, later_views, limit_band
from speedlimits.report.figures import kernel, overview
from speedlimits.report.figures.sheet import COLD_COLOUR, GREY, STYLE, WARM_COLOUR, draw_map, legend, log_numbers
from speedlimits.runs.kernel import KernelRecord
from speedlimits.runs.run import Run
from speedlimits.trajectory import Trajectory

# What most functions take.
Measured = Trajectory | Run | Iterable[Trajectory]


@mpl.rc_context(STYLE)
def loss(measured: Measured, ax: Axes | None = None, *, label: str = "loss") -> Axes:
    """Loss over flow time, and held-out accuracy on a second scale where it was measured: panel (a) of Fig. 1.

    Args:
        measured: one trajectory, several of one kind, or a run.
        ax: where to draw; a new figure by default.
        label: of the axis of the loss.

    Returns:
        The axes.

    Raises:
        ValueError: if there is no trajectory, or their record times differ.
    """
    ax = _axes(ax)
    overview.loss_and_accuracy(ax, _members(measured), label)
    return ax


@mpl.rc_context(STYLE)
def speed_limit(measured: Measured, ax: Axes | None = None, *, warm_start: float | None = None) -> Axes:
    """The least time T_SL over the time T that was taken: panel (b) of Fig. 1; on the diagonal nothing is faster.

    Args:
        measured: one trajectory, several of one kind, or a run.
        ax: where to draw; a new figure by default.
        warm_start: share of the time, for second curves from the nearest kept weights on; none by default.

    Returns:
        The axes.

    Raises:
        ValueError: as `loss`; also if no weights were kept for the second start.
    """
    ax, members = _axes(ax), _members(measured)
    overview.speed_limits(ax, members, _later(members, warm_start))
    return ax


@mpl.rc_context(STYLE)
def inefficiency(measured: Measured, ax: Axes | None = None, *, warm_start: float | None = None) -> Axes:
    """T/T_SL over time with its factors, geometric × pace, as lines; 1 is as fast as possible.

    Args:
        measured: one trajectory, several of one kind, or a run.
        ax: where to draw; a new figure by default.
        warm_start: share of the time, for second curves from the nearest kept weights on; none by default.

    Returns:
        The axes.

    Raises:
        ValueError: as `speed_limit`.
    """
    ax, members = _axes(ax), _members(measured)
    overview.inefficiencies(ax, members, _later(members, warm_start))
    return ax


@mpl.rc_context(STYLE)
def factors(measured: Measured, ax: Axes | None = None) -> Axes:
    """What T/T_SL is made of, as areas: on the log scale geometric and pace add up to it.

    Args:
        measured: one trajectory, several of one kind, or a run: the mean over its members.
        ax: where to draw; a new figure by default.

    Returns:
        The axes.

    Raises:
        ValueError: as `loss`.
    """
    ax, members = _axes(ax), _members(measured)
    bends = limit_band(members, "geometric")
    pace = limit_band(members, "pace")
    ax.fill_between(bends.times, 1.0, bends.mean, color=COLD_COLOUR, alpha=0.55, linewidth=0, label="geometric")
    ax.fill_between(
        bends.times, bends.mean, bends.mean * pace.mean, color=WARM_COLOUR, alpha=0.55, linewidth=0, label="pace"
    )
    ax.axhline(1, color=GREY, linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="time since the start $T$", ylabel="times slower than the limit")
    log_numbers(ax)
    legend(ax)
    return ax


@mpl.rc_context(STYLE)
def map(trajectory: Trajectory, ax: Axes | None = None) -> Axes:
    """T/T_SL from any kept start to any later kept end, in colours.

    Args:
        trajectory: of one member, with kept weights.
        ax: where to draw; a new figure by default.

    Returns:
        The axes; a colour bar stands beside them.

    Raises:
        ValueError: if weights were kept at fewer than two records.
    """
    kept = trajectory.snapshot_records
    if kept.size < 2:
        raise ValueError(f"`trajectory` must have two kept weights or more; it has {kept.size}.")
    ax, times = _axes(ax), trajectory.times[kept]
    mesh = draw_map(ax, inefficiency_map(trajectory), times, times)
    log_numbers(ax.figure.colorbar(mesh, ax=ax, label="$T/T_{SL}$ from $t_0$ to $t$").ax)
    return ax


@mpl.rc_context(STYLE)
def strides(noise: Noise, ax: Axes | None = None) -> Axes:
    """T/T_SL of the path seen every m steps, and the drift behind the noise.

    Args:
        noise: what `Recorder.noise` returns.
        ax: where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = _axes(ax)
    overview.strides(ax, noise)
    return ax


@mpl.rc_context(STYLE)
def weights(trajectory: Trajectory, ax: Axes | None = None) -> Axes:
    """How a few random triples of weights move in space, each from the origin: panel (c) of Fig. 1.

    Args:
        trajectory: with weight triples.
        ax: whose place is taken; a new figure by default.

    Returns:
        The axes in space.

    Raises:
        ValueError: if no triples were traced.
    """
    if not trajectory.weight_traces.shape[1]:
        raise ValueError("`trajectory` must have weight triples; it has none.")
    ax = _axes(ax)
    figure = ax.figure
    overview.weight_triples(ax, trajectory)
    # It took the place of what was there.
    return figure.axes[-1]


@mpl.rc_context(STYLE)
def spectrum(record: KernelRecord, ax: Axes | None = None) -> Axes:
    """Overlaps of the residual with the kernel's eigenvectors, and the eigenvalues inset: panel (f) of Fig. 1.

    Args:
        record: what `speedlimits kernel` found; `KernelRecord.of_run` reads it.
        ax: where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = _axes(ax)
    kernel.overlaps(ax, record)
    return ax


@mpl.rc_context(STYLE)
def prediction(record: KernelRecord, trajectory: Trajectory, ax: Axes | None = None) -> Axes:
    """T/T_SL as measured, and as a kernel that stays the same would have it.

    Args:
        record: what `speedlimits kernel` found.
        trajectory: of the member whose kernel it is.
        ax: where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = _axes(ax)
    kernel.prediction(ax, record, trajectory)
    return ax


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def _members(measured: Measured) -> list[Trajectory]:
    if isinstance(measured, Trajectory):
        return [measured]
    members: list[Any] = list(measured.trajectories.values() if isinstance(measured, Run) else measured)
    if not members:
        raise ValueError("`measured` must be one trajectory or more; there is none.")
    return members


def _later(members: list[Trajectory], share: float | None) -> list[Trajectory]:
    return [] if share is None else later_views(members, share)
