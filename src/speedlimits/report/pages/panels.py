"""The same panels for the browser, by plotly."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from speedlimits.noise import Noise
from speedlimits.report.curves import (
    Band,
    accuracy_band,
    band,
    has_accuracy,
    inefficiency_map,
    limit_band,
    seen_in_part,
)
from speedlimits.report.figures.sheet import ACCURACY, COLD_COLOUR, GREY, TRIPLES, WARM_COLOUR
from speedlimits.trajectory import Trajectory

# More points than pixels only make the page heavy.
POINTS = 2000

LAYOUT: dict[str, Any] = {
    "template": "simple_white",
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "margin": {"l": 64, "r": 56, "t": 12, "b": 48},
    "height": 380,
    "hovermode": "x unified",
    "legend": {"x": 0.02, "y": 0.98, "bgcolor": "rgba(255,255,255,0.7)"},
}
LOGARITHMIC = {"type": "log", "exponentformat": "power", "dtick": 1, "showgrid": True, "gridcolor": "#eee"}
# Along a scale that may span less than a power of ten: numbers as they fit.
CLOSE = LOGARITHMIC | {"dtick": None, "nticks": 4}


def loss_and_accuracy(cold: Sequence[Trajectory], loss: str) -> go.Figure:
    """Loss on the left scale; held-out accuracy, where it was measured, on the right; over flow time."""
    figure = go.Figure()
    add_band(figure, band(cold, lambda run: run.losses), COLD_COLOUR, "training loss")
    if has_accuracy(cold):
        add_band(figure, accuracy_band(cold), ACCURACY, "held-out accuracy", yaxis="y2")
        figure.update_layout(
            yaxis2={
                "title": {"text": "accuracy", "font": {"color": ACCURACY}},
                "overlaying": "y",
                "side": "right",
                "range": [0, 1],
                "tickvals": [0, 0.25, 0.5, 0.75, 1],
                "tickformat": ".0%",
            },
        )
    return figure.update_layout(
        LAYOUT | {"legend": LAYOUT["legend"] | {"x": 0.02, "y": 0.5}},
        # One line is named by its axis.
        showlegend=has_accuracy(cold),
        xaxis={**LOGARITHMIC, "title": "flow time t"},
        yaxis={**CLOSE, "title": {"text": escape(loss), "font": {"color": COLD_COLOUR}}},
    )


def speed_limits(cold: Sequence[Trajectory], warm: Sequence[Trajectory]) -> go.Figure:
    """T_SL against T, from initialisation and from the warm start."""
    figure = go.Figure()
    curve = limit_band(cold, "speed_limit")
    span = curve.times[[0, -1]]
    add_line(figure, span, span, GREY, "T<sub>SL</sub> = T", dash="dash")
    add_band(figure, curve, COLD_COLOUR, "from the start")
    if warm:
        add_band(figure, limit_band(warm, "speed_limit"), WARM_COLOUR, f"from t₀ = {warm[0].start_time:.3g}")
    figure.update_layout(
        LAYOUT,
        xaxis={**LOGARITHMIC, "title": "time since the start T"},
        yaxis={**LOGARITHMIC, "title": "speed limit T<sub>SL</sub>" + (", at most" if seen_in_part(cold) else "")},
    )
    return figure


def inefficiencies(cold: Sequence[Trajectory], warm: Sequence[Trajectory]) -> go.Figure:
    """T/T_SL over time and its two exact factors; between a few points no pace is seen."""
    figure, part = go.Figure(), seen_in_part(cold)
    add_band(figure, limit_band(cold, "inefficiency"), COLD_COLOUR, "T/T<sub>SL</sub>")
    add_band(figure, limit_band(cold, "geometric"), COLD_COLOUR, "geometric: the path bends", dash="dot")
    if not part:
        add_band(figure, limit_band(cold, "pace"), COLD_COLOUR, "pace: the speed varies", dash="dash")
    if warm:
        add_band(
            figure,
            limit_band(warm, "inefficiency"),
            WARM_COLOUR,
            f"T/T<sub>SL</sub> from t₀ = {warm[0].start_time:.3g}",
        )
    figure.update_layout(
        LAYOUT,
        xaxis={**LOGARITHMIC, "title": "time since the start T"},
        yaxis={**CLOSE, "title": "times slower than the limit" + (", at least" if part else "")},
    )
    return figure


def strides(noise: Noise) -> go.Figure:
    """T/T_SL of the path seen at strides, what the sketch leaves open of it, and the drift behind the noise."""
    curve, figure = noise.curve, go.Figure()
    ends = curve.strides[[0, -1]].astype(float)
    if noise.identifiable != "no":
        low, high = noise.interval
        between = Band(ends, np.full(2, 0.5 * (low + high)), np.full(2, 0.5 * (high - low)))
        add_band(figure, between, WARM_COLOUR, "", line=False)
        add_line(figure, ends, np.full(2, noise.inefficiency), WARM_COLOUR, "drift, with its interval")
    figure.add_scatter(
        x=curve.strides,
        y=curve.inefficiency,
        error_y={"type": "data", "array": 2 * curve.standard_error, "thickness": 1},
        mode="lines+markers",
        line={"color": COLD_COLOUR},
        name="noise included",
        hovertemplate="%{y:.4g}",
    )
    ticks = curve.strides[:: -(-curve.strides.size // 8)]
    return figure.update_layout(
        # Above: the curve begins where legends lie.
        LAYOUT | {"legend": {"orientation": "h", "y": 1, "yanchor": "bottom"}, "margin": LAYOUT["margin"] | {"t": 36}},
        xaxis={**LOGARITHMIC, "dtick": None, "tickvals": ticks, "ticktext": ticks, "title": "stride m [steps]"},
        yaxis={**CLOSE, "title": "T/T<sub>SL</sub>"},
    )


def later_starts(run: Trajectory) -> go.Figure:
    """T/T_SL of what follows each kept start, to the end."""
    figure = go.Figure()
    found = inefficiency_map(run)[:-1, -1]
    starts = run.start_time + run.snapshot_times[:-1]
    # A logarithmic axis has no zero.
    shown = starts > 0
    add_line(figure, starts[shown], found[shown], WARM_COLOUR, "T/T<sub>SL</sub> from t₀ to the end")
    figure.update_traces(mode="lines+markers")
    return figure.update_layout(
        LAYOUT, xaxis={**LOGARITHMIC, "title": "start t₀"}, yaxis={**CLOSE, "title": "T/T<sub>SL</sub>"}
    )


def weight_triples(run: Trajectory) -> go.Figure:
    """How a few random weight triples move in three dimensions, each from the origin."""
    figure = go.Figure()
    rows = np.unique(np.linspace(0, len(run) - 1, min(len(run), POINTS)).round().astype(int))
    for k, path in enumerate(np.moveaxis(run.weight_traces[rows], 1, 0)):
        x, y, z = (path - path[0]).T
        colour = TRIPLES[k % len(TRIPLES)]
        figure.add_scatter3d(
            x=x, y=y, z=z, mode="lines", line={"color": colour, "width": 4}, name=f"triple {k + 1}", hoverinfo="name"
        )
    figure.update_layout(
        LAYOUT | {"margin": {"l": 0, "r": 0, "t": 0, "b": 0}},
        scene={
            **{f"{axis}axis": {"title": f"Δw{index}", "nticks": 5} for axis, index in zip("xyz", "₁₂₃", strict=True)},
            "camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1.1}, "center": {"x": 0, "y": 0, "z": -0.2}},
        },
    )
    return figure


def add_line(
    figure: go.Figure, x: np.ndarray, y: np.ndarray, colour: str, name: str, dash: str = "solid", **where: Any
) -> None:
    """Draw one curve."""
    line = {"color": colour, "dash": dash}
    figure.add_scatter(x=x, y=y, mode="lines", line=line, name=name, hovertemplate="%{y:.4g}", **where)


def add_band(
    figure: go.Figure,
    curve: Band,
    colour: str,
    name: str,
    dash: str = "solid",
    *,
    logarithmic: bool = True,
    line: bool = True,
    **where: Any,
) -> None:
    """Draw one deviation as a shade and, unless asked not to, the mean as a line.

    Args:
        figure: where.
        curve: the band.
        colour: of both.
        name: in the legend.
        dash: of the line.
        logarithmic: whether the scale is, so that a shade reaching below zero ends at the mean.
        line: whether the mean is drawn.
        where: the axes, for plotly.
    """
    curve = curve.thinned(POINTS)
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    low, high = curve.edges
    if logarithmic:
        low = np.where((low > 0) | (curve.mean <= 0), low, curve.mean)
    figure.add_scatter(
        x=np.concatenate([curve.times, curve.times[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        mode="lines",
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.15)",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        **where,
    )
    if line:
        add_line(figure, curve.times, curve.mean, colour, name, dash, **where)
