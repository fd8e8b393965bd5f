"""A run's overview for print: one function a panel, and a sheet of all of them."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.axes3d import Axes3D

from speedlimits.report.curves import band, limit_band
from speedlimits.report.figures.sheet import ACCURACY, COLD, GREY, STYLE, TRIPLES, WARM, draw_band
from speedlimits.trajectory import Trajectory


def overview(cold: Sequence[Trajectory], warm: Sequence[Trajectory], title: str) -> Figure:
    """Loss and accuracy, speed limit, inefficiency with its factors, and weight triplets, on one sheet.

    Args:
        cold: the members from initialisation.
        warm: the same members from a later start; empty leaves the warm curves out.
        title: above all panels.

    Returns:
        The figure, not bound to any window.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 7.4), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
        loss_and_accuracy(figure.add_subplot(2, 2, 1), cold)
        speed_limits(figure.add_subplot(2, 2, 2), cold, warm)
        inefficiencies(figure.add_subplot(2, 2, 3), cold, warm)
        axes = figure.add_subplot(2, 2, 4, projection="3d")
        assert isinstance(axes, Axes3D)
        weight_triples(axes, cold[0])
    return figure


def loss_and_accuracy(axes: Axes, cold: Sequence[Trajectory]) -> None:
    """Panel (a) of Fig. 1: the loss on the left scale, held-out accuracy on the right."""
    draw_band(axes, band(cold, lambda run: run.losses), COLD, "training loss")
    axes.set(xscale="log", yscale="log", xlabel="flow time $t$", ylabel=r"loss $\frac{1}{2}\sum(f-y)^2$")
    axes.set_title("Loss and held-out accuracy")
    axes.yaxis.label.set_color(COLD)
    right = axes.twinx()
    draw_band(right, band(cold, lambda run: run.test_accuracy), ACCURACY, "accuracy")
    right.set_ylim(0, 1)
    right.set_ylabel("accuracy", color=ACCURACY)
    right.spines["right"].set_visible(True)


def speed_limits(axes: Axes, cold: Sequence[Trajectory], warm: Sequence[Trajectory]) -> None:
    """Panel (b) of Fig. 1: T_SL against T, from initialisation and from the warm start."""
    curves = [(limit_band(cold, "speed_limit"), COLD, "from initialisation")]
    if warm:
        curves.append((limit_band(warm, "speed_limit"), WARM, f"from $t_0$ = {warm[0].start_time:.3g}"))
    span = np.array([curves[0][0].times[0], curves[0][0].times[-1]])
    axes.plot(span, span, color=GREY, linewidth=1, linestyle="--", label="$T_{SL}=T$: as fast as possible")
    for curve, colour, label in curves:
        draw_band(axes, curve, colour, label)
    axes.set(xscale="log", yscale="log", xlabel="time since the start $T$", ylabel="speed limit $T_{SL}$")
    axes.set_title("Speed limit: the least time physics allows")
    axes.legend(loc="upper left")


def inefficiencies(axes: Axes, cold: Sequence[Trajectory], warm: Sequence[Trajectory]) -> None:
    """T/T_SL over time and its two exact factors, geometric × pace."""
    draw_band(axes, limit_band(cold, "inefficiency"), COLD, "$T/T_{SL}$")
    draw_band(axes, limit_band(cold, "geometric"), COLD, "geometric: the path bends", linestyle=":")
    draw_band(axes, limit_band(cold, "pace"), COLD, "pace: the speed varies", linestyle="--")
    if warm:
        draw_band(axes, limit_band(warm, "inefficiency"), WARM, f"$T/T_{{SL}}$ from $t_0$ = {warm[0].start_time:.3g}")
    axes.axhline(1, color=GREY, linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="time since the start $T$", ylabel="times slower than the limit")
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.yaxis.set_minor_formatter("{x:.2g}")
    axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.set_title("Inefficiency = geometric × pace")
    axes.legend(loc="upper left")


def weight_triples(axes: Axes3D, run: Trajectory) -> None:
    """Panel (c) of Fig. 1: how a few random weight triples move, each from the origin."""
    for k, path in enumerate(np.moveaxis(run.weight_traces, 1, 0)):
        moved = path - path[0]
        colour = TRIPLES[k % len(TRIPLES)]
        axes.plot(*moved.T, color=colour, linewidth=1.3)
        axes.scatter(*moved[-1], color=colour, s=9)
    axes.set_title("Paths of random weight triples", loc="left")
    axes.set(xlabel="$Δw_1$", ylabel="$Δw_2$", zlabel="$Δw_3$")
    axes.locator_params(nbins=4)
    axes.tick_params(labelsize=7, pad=-2)
    axes.set_box_aspect(None, zoom=0.86)  # pyright: ignore[reportArgumentType]  (the stub says int)
