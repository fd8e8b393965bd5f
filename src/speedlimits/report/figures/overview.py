"""A run's overview for print: one function a panel, and a sheet of all of them."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speedlimits.noise import Noise
from speedlimits.report.curves import accuracy_band, band, has_accuracy, limit_band, seen_in_part
from speedlimits.report.figures.sheet import (
    ACCURACY,
    COLD_COLOUR,
    GREY,
    STYLE,
    WARM_COLOUR,
    draw_band,
    draw_triple,
    in_space,
    legend,
    log_numbers,
    sheet,
)
from speedlimits.report.words import LOSSES
from speedlimits.trajectory import Trajectory


@mpl.rc_context(STYLE)
def overview(
    cold: Sequence[Trajectory],
    warm: Sequence[Trajectory],
    title: str,
    loss: str = f"loss {LOSSES['squared']}",
    noise: Noise | None = None,
) -> Figure:
    """Loss and accuracy, speed limit, inefficiency with its factors, and weight triplets, on one sheet.

    Args:
        cold: the members from initialisation.
        warm: the same members from a later start; empty leaves the warm curves out.
        title: above all panels.
        loss: what the axis of the loss says.
        noise: the path at strides, where it was seen so.

    Returns:
        The figure, not bound to any window. Without weight triples and strides it has three panels.
    """
    traced = cold[0].weight_traces.shape[1] > 0
    panels = 3 + (noise is not None) + traced
    figure, axes = sheet(title, panels)
    loss_and_accuracy(axes[0], cold, loss)
    speed_limits(axes[1], cold, warm)
    inefficiencies(axes[2], cold, warm)
    if noise is not None:
        strides(axes[3], noise)
    if traced:
        weight_triples(axes[-1], cold[0])
    return figure


def loss_and_accuracy(axes: Axes, cold: Sequence[Trajectory], loss: str) -> None:
    """Panel (a) of Fig. 1: the loss on the left scale; held-out accuracy, where it was measured, on the right."""
    draw_band(axes, band(cold, lambda run: run.losses), COLD_COLOUR, "training loss")
    axes.set(xscale="log", yscale="log", xlabel="flow time $t$")
    axes.set_ylabel(loss, color=COLD_COLOUR, parse_math=False)
    log_numbers(axes)
    if not has_accuracy(cold):
        axes.set_title("Loss")
        return
    axes.set_title("Loss and held-out accuracy")
    right = axes.twinx()
    draw_band(right, accuracy_band(cold), ACCURACY, "accuracy")
    right.set_ylim(0, 1)
    right.set_ylabel("accuracy", color=ACCURACY)
    right.spines["right"].set_visible(True)


def speed_limits(axes: Axes, cold: Sequence[Trajectory], warm: Sequence[Trajectory]) -> None:
    """Panel (b) of Fig. 1: T_SL against T, from initialisation and from the warm start."""
    curves = [(limit_band(cold, "speed_limit"), COLD_COLOUR, "from the start")]
    if warm:
        curves.append((limit_band(warm, "speed_limit"), WARM_COLOUR, f"from $t_0$ = {warm[0].start_time:.3g}"))
    span = np.array([curves[0][0].times[0], curves[0][0].times[-1]])
    axes.plot(span, span, color=GREY, linewidth=1, linestyle="--", label="$T_{SL}=T$: fastest")
    for curve, colour, label in curves:
        draw_band(axes, curve, colour, label)
    axes.set(xscale="log", yscale="log", xlabel="time since the start $T$")
    axes.set_ylabel("speed limit $T_{SL}$" + (", at most" if seen_in_part(cold) else ""))
    axes.set_title("Speed limit: the least time physics allows")
    log_numbers(axes)
    legend(axes)


def inefficiencies(axes: Axes, cold: Sequence[Trajectory], warm: Sequence[Trajectory]) -> None:
    """T/T_SL over time and its two exact factors, geometric × pace; between a few points no pace is seen."""
    part = seen_in_part(cold)
    draw_band(axes, limit_band(cold, "inefficiency"), COLD_COLOUR, "$T/T_{SL}$")
    draw_band(axes, limit_band(cold, "geometric"), COLD_COLOUR, "geometric: bends", linestyle=":")
    if not part:
        draw_band(axes, limit_band(cold, "pace"), COLD_COLOUR, "pace: uneven speed", linestyle="--")
    if warm:
        draw_band(
            axes, limit_band(warm, "inefficiency"), WARM_COLOUR, f"$T/T_{{SL}}$ from $t_0$ = {warm[0].start_time:.3g}"
        )
    axes.axhline(1, color=GREY, linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="time since the start $T$")
    axes.set_ylabel("times slower than the limit" + (", at least" if part else ""))
    log_numbers(axes)
    axes.set_title("Inefficiency ≥ geometric" if part else "Inefficiency = geometric × pace")
    legend(axes)


def strides(axes: Axes, noise: Noise) -> None:
    """T/T_SL of the path seen at strides, what the sketch leaves open of it, and the drift behind the noise."""
    curve = noise.curve
    error = 2 * curve.standard_error
    axes.errorbar(
        curve.strides, curve.inefficiency, error, color=COLD_COLOUR, marker="o", markersize=3.5, label="noise included"
    )
    if noise.identifiable != "no":
        axes.axhspan(*noise.interval, color=WARM_COLOUR, alpha=0.18, linewidth=0)
        axes.axhline(noise.inefficiency, color=WARM_COLOUR, label="drift, with its interval")
    axes.axhline(1, color=GREY, linewidth=1)
    axes.set(yscale="log", xlabel="stride $m$ [steps]", ylabel="times slower than the limit")
    axes.set_xscale("log", base=2)
    log_numbers(axes)
    axes.set_xticks(curve.strides[:: -(-curve.strides.size // 8)])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_title("The path seen every $m$ steps")
    legend(axes)


def weight_triples(axes: Axes, run: Trajectory) -> None:
    """Panel (c) of Fig. 1: how a few random weight triples move, each from the origin."""
    space = in_space(axes)
    for k, path in enumerate(np.moveaxis(run.weight_traces, 1, 0)):
        draw_triple(space, (path - path[0]).T, k)
    space.set_title("Paths of random weight triples")
