"""The same panels for the browser, by plotly."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from speedlimits.report.curves import Band, band, limit_band
from speedlimits.report.figures.sheet import ACCURACY, COLD, GREY, TRIPLES, WARM
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


def loss_and_accuracy(cold: Sequence[Trajectory]) -> go.Figure:
    """Loss on the left scale, held-out accuracy on the right, over flow time."""
    figure = go.Figure()
    _add(figure, band(cold, lambda run: run.losses), COLD, "training loss")
    _add(figure, band(cold, lambda run: run.test_accuracy), ACCURACY, "held-out accuracy", yaxis="y2")
    figure.update_layout(
        LAYOUT | {"legend": LAYOUT["legend"] | {"x": 0.02, "y": 0.5}},
        xaxis={**LOGARITHMIC, "title": "flow time t"},
        yaxis={**LOGARITHMIC, "title": {"text": "loss ½Σ(f−y)²", "font": {"color": COLD}}},
        yaxis2={
            "title": {"text": "accuracy", "font": {"color": ACCURACY}},
            "overlaying": "y",
            "side": "right",
            "range": [0, 1],
            "tickvals": [0, 0.25, 0.5, 0.75, 1],
            "tickformat": ".0%",
        },
    )
    return figure


def speed_limits(cold: Sequence[Trajectory], warm: Sequence[Trajectory]) -> go.Figure:
    """T_SL against T, from initialisation and from the warm start."""
    figure = go.Figure()
    curve = limit_band(cold, "speed_limit")
    span = [curve.times[0], curve.times[-1]]
    figure.add_scatter(
        x=span,
        y=span,
        mode="lines",
        line={"color": GREY, "dash": "dash", "width": 1},
        name="T<sub>SL</sub> = T",
        hoverinfo="skip",
    )
    _add(figure, curve, COLD, "from initialisation")
    if warm:
        _add(figure, limit_band(warm, "speed_limit"), WARM, f"from t₀ = {warm[0].start_time:.3g}")
    figure.update_layout(
        LAYOUT,
        xaxis={**LOGARITHMIC, "title": "time since the start T"},
        yaxis={**LOGARITHMIC, "title": "speed limit T<sub>SL</sub>"},
    )
    return figure


def inefficiencies(cold: Sequence[Trajectory], warm: Sequence[Trajectory]) -> go.Figure:
    """T/T_SL over time and its two exact factors."""
    figure = go.Figure()
    _add(figure, limit_band(cold, "inefficiency"), COLD, "T/T<sub>SL</sub>")
    _add(figure, limit_band(cold, "geometric"), COLD, "geometric: the path bends", dash="dot")
    _add(figure, limit_band(cold, "pace"), COLD, "pace: the speed varies", dash="dash")
    if warm:
        _add(figure, limit_band(warm, "inefficiency"), WARM, f"T/T<sub>SL</sub> from t₀ = {warm[0].start_time:.3g}")
    figure.update_layout(
        LAYOUT,
        xaxis={**LOGARITHMIC, "title": "time since the start T"},
        yaxis={"type": "log", "title": "times slower than the limit", "dtick": "D2", "gridcolor": "#eee"},
    )
    return figure


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
        scene={"xaxis": {"title": "Δw₁"}, "yaxis": {"title": "Δw₂"}, "zaxis": {"title": "Δw₃"}},
    )
    return figure


def _add(figure: go.Figure, curve: Band, colour: str, name: str, dash: str = "solid", **where: Any) -> None:
    curve = curve.thinned(POINTS)
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    low, high = curve.mean - curve.std, curve.mean + curve.std
    # A logarithmic axis has no place for a band that reaches below zero.
    low = np.where((low > 0) | (curve.mean <= 0), low, curve.mean)
    figure.add_scatter(
        x=np.concatenate([curve.times, curve.times[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.15)",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        **where,
    )
    figure.add_scatter(
        x=curve.times,
        y=curve.mean,
        mode="lines",
        line={"color": colour, "dash": dash},
        name=name,
        hovertemplate="%{y:.4g}",
        **where,
    )
