"""Figures of the closed forms, by matplotlib: the speed limit over time, what it is made of, and densities."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speedlimits.bound import SpeedLimit
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
from speedlimits.theory.fokker_planck import FokkerPlanckSolution

Times = Float64[np.ndarray, " times"]
# One factor alone may be the whole, and T_SL may be T: curves that lie under others are wide and pale.
WIDE: dict[str, Any] = {"color": COLD_COLOUR, "linewidth": 3.6, "alpha": 0.45}


def time_grid(times: Times, scale: float, points: int = 200) -> Float64[np.ndarray, " points"]:
    """Times at which a curve through some times is drawn.

    Args:
        times: what the user asked for; infinity is left out.
        scale: a time of the system; the grid begins two decades below it, or at the first time asked for.
        points: how many.

    Returns:
        Logarithmically spaced times, up to the last one asked for or one decade above the scale.
    """
    asked = times[np.isfinite(times) & (times > 0)]
    return np.geomspace(min([0.01 * scale, *asked]), max([10 * scale, *asked]), points)


@mpl.rc_context(STYLE)
def flow(curve: SpeedLimit, asked: SpeedLimit, title: str, asymptotic: SpeedLimit | None = None) -> Figure:
    """Speed limit on the left, inefficiency and its two factors on the right.

    Args:
        curve: over a grid of times.
        asked: at the times of the user, drawn as points.
        title: above both.
        asymptotic: closed form over the times it is meant for.

    Returns:
        The figure, not bound to any window.
    """
    figure, (left, right) = sheet(title, 2, math=True)
    _speed_limit_panel(left, curve, asked)
    right.plot(curve.time, curve.inefficiency, label="$T/T_{SL}$", **WIDE)
    right.plot(curve.time, curve.geometric, color=ACCURACY, linestyle=":", label="geometric: bends")
    right.plot(curve.time, curve.pace, color=COLD_COLOUR, linestyle="--", label="pace: uneven speed")
    right.plot(asked.time, asked.inefficiency, "o", color=COLD_COLOUR, markersize=4)
    if asymptotic is not None:
        for axes, name in ((left, "speed_limit"), (right, "inefficiency")):
            axes.plot(
                asymptotic.time, getattr(asymptotic, name), color=WARM_COLOUR, linewidth=1.2, label="asymptotic form"
            )
    right.axhline(1, color=GREY, linewidth=1)
    right.set(xscale="log", xlabel="flow time $T$", ylabel="times slower than the limit")
    top = np.nanmax(np.append(curve.inefficiency, 1.1))
    if top < 4:
        right.set_ylim(0.97, 1.05 * top)
    else:
        right.set_yscale("log")
    right.set_title("Inefficiency = geometric × pace")
    for axes in (left, right):
        log_numbers(axes)
        legend(axes)
    return figure


@mpl.rc_context(STYLE)
def densities(solution: FokkerPlanckSolution, curve: SpeedLimit, title: str) -> Figure:
    """The law at some times on the left, between its start and equilibrium; the speed limit on the right.

    Args:
        solution: at the times of the user.
        curve: the speed limit over a grid of times.
        title: above both.

    Returns:
        The figure, not bound to any window.
    """
    figure, (left, right) = sheet(title, 2, math=True)
    x, width = solution.points, np.diff(solution.edges)
    left.plot(x, solution.start / width, color=GREY, linestyle=":", label="start")
    left.plot(x, solution.gibbs / width, color=GREY, linestyle="--", label="equilibrium")
    colours = shades(solution.times.size)
    for index, colour in zip(np.argsort(solution.times), colours, strict=True):
        left.plot(x, solution.densities[index], color=colour, label=f"$T$ = {solution.times[index]:.3g}")
    highest = np.max([solution.start, solution.gibbs, *solution.probabilities], axis=0) / width
    held = np.flatnonzero(highest > 1e-3 * highest.max())
    left.set(xlabel="weight $x$", ylabel="density $p(x, T)$")
    left.set(xlim=(x[held[0]], x[held[-1]]), ylim=(0, 1.05 * highest.max()))
    left.set_title("The law of the weight")
    _speed_limit_panel(right, curve, solution.speed_limit)
    # Twelve densities are a picture; their twelve names would hide it.
    if solution.times.size <= 8:
        legend(left, columns=3)
    log_numbers(right)
    legend(right)
    return figure


@mpl.rc_context(STYLE)
def regression(
    curve: SpeedLimit, asked: SpeedLimit, sampled: Mapping[str, Mapping[str, Times]] | None, title: str
) -> Figure:
    """Linear regression over time: the speed limit on the left, distance and dissipation on the right.

    Args:
        curve: for many weights and samples, over a grid of times.
        asked: at the times of the user; T = ∞ is a level.
        sampled: ``"mean"`` and ``"standard_error"`` of draws of finite size at the same times, by quantity; or None.
        title: above both.

    Returns:
        The figure, not bound to any window.
    """
    figure, (left, right) = sheet(title, 2, math=True)
    finite = np.isfinite(asked.time)
    _speed_limit_panel(left, curve, asked[finite])
    right.plot(curve.time, curve.w2_squared, color=COLD_COLOUR, label=r"squared distance $\mathcal{W}_2$")
    right.plot(curve.time, curve.dissipation, color=WARM_COLOUR, label="dissipation per sample $(nβ)^{-1}R$")
    curves = list(right.lines)
    for axes, name, colour in (
        (left, "speed_limit", COLD_COLOUR),
        (right, "w2_squared", COLD_COLOUR),
        (right, "dissipation", WARM_COLOUR),
    ):
        values = getattr(asked, name)
        axes.plot(asked.time[finite], values[finite], "o", color=colour, markersize=4)
        for value in values[~finite]:
            axes.axhline(value, color=colour, linewidth=1, linestyle=":", label="at $T=∞$")
        if sampled is not None:
            # Training to equilibrium stands where the axis ends.
            places = np.where(finite, asked.time, curve.time[-1])
            mean, error = sampled["mean"][name], 2 * sampled["standard_error"][name]
            axes.errorbar(places, mean, error, fmt="k_", capsize=3, label="random draws, ± 2 standard errors")
    right.set(xscale="log", yscale="log", xlabel="flow time $T$", ylabel="distance, dissipation")
    right.set_title("What it is made of")
    for axes in (left, right):
        log_numbers(axes)
    legend(left)
    # What marks the draws and T = ∞ is told on the left.
    legend(right, columns=1, handles=curves)
    return figure


@mpl.rc_context(STYLE)
def misprint(temperatures: Times, printed: SpeedLimit, corrected: SpeedLimit, title: str) -> Figure:
    """The paper's speed limit of linear regression beside the right one, over the inverse temperature.

    Args:
        temperatures: β of the curves [1/loss].
        printed: by the paper's formula.
        corrected: by the right one.
        title: above it.

    Returns:
        The figure, not bound to any window.
    """
    figure, (axes,) = sheet(title, 1, math=True)
    axes.plot(temperatures, printed.speed_limit, color=WARM_COLOUR, linestyle="--", label="as printed")
    axes.plot(temperatures, corrected.speed_limit, color=COLD_COLOUR, label="corrected")
    axes.set(xscale="log", yscale="log", xlabel="inverse temperature $β$", ylabel="speed limit $T_{SL}$ at $T=∞$")
    log_numbers(axes)
    legend(axes)
    return figure


def _speed_limit_panel(axes: Axes, curve: SpeedLimit, asked: SpeedLimit) -> None:
    axes.plot(curve.time, curve.speed_limit, label="$T_{SL}$", **WIDE)
    axes.plot(curve.time, curve.time, color=GREY, linewidth=1, linestyle="--", label="$T_{SL}=T$: fastest")
    axes.plot(asked.time, asked.speed_limit, "o", color=COLD_COLOUR, markersize=4)
    axes.set(xscale="log", yscale="log", xlabel="flow time $T$", ylabel="speed limit $T_{SL}$")
    axes.set_title("Speed limit: the least time physics allows")
