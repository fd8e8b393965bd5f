"""One self-contained HTML page about noisy training: time courses, with brackets drawn as bands."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from speedlimits.report.curves import Band
from speedlimits.report.figures.sheet import ACCURACY, COLD_COLOUR, GREY, WARM_COLOUR
from speedlimits.report.pages.panels import CLOSE, LAYOUT, LOGARITHMIC, add_band, add_line
from speedlimits.report.pages.render import render
from speedlimits.report.words import ESTIMATES, NOISY_COLUMNS, loss_label, name

TIME = {**CLOSE, "title": "flow time T"}
# For curves that start high: the legend where they end.
FALLING = LAYOUT | {"legend": {"x": 0.98, "y": 0.98, "xanchor": "right", "bgcolor": "rgba(255,255,255,0.7)"}}


def write_noisy_page(path: str | Path, summary: Mapping[str, Any]) -> None:
    """Write ``report.html``, whole or not at all.

    Args:
        path: the file.
        summary: contents of ``summary.json``.

    Raises:
        OSError: what the disk reports.
    """
    series = {key: np.array([row[key] for row in summary["series"]], dtype=float) for key in summary["series"][0]}
    figures = {
        "Loss ⟨L⟩": _loss(series, loss_label(summary)),
        "Free energy and entropy": _free_energy(series),
        "Distance 𝒲₂": _bracket(series, "w2_squared", "squared distance 𝒲₂"),
        "Dissipation β⁻¹R": _bracket(series, "dissipation", "dissipation β⁻¹R"),
        "Certified speed limit": _limit(series),
        "Effective temperature": _temperature(series, summary["temperature"]),
    }
    render(
        path, "noisy.html.j2", figures, summary=summary, name=name(summary), columns=NOISY_COLUMNS, estimates=ESTIMATES
    )


def _loss(series: Mapping[str, np.ndarray], label: str) -> go.Figure:
    figure = go.Figure()
    add_band(
        figure, Band(series["time"], series["loss"], 2 * series["loss_error"]), COLD_COLOUR, "mean loss ± 2 errors"
    )
    return figure.update_layout(FALLING, xaxis=TIME, yaxis={**CLOSE, "title": escape(label)})


def _free_energy(series: Mapping[str, np.ndarray]) -> go.Figure:
    figure = go.Figure()
    add_line(figure, series["time"], series["free_energy_lower"], COLD_COLOUR, "F from below")
    add_line(figure, series["time"], series["entropy_upper"], WARM_COLOUR, "entropy S from above", yaxis="y2")
    return figure.update_layout(
        FALLING,
        xaxis=TIME,
        yaxis={"title": {"text": "free energy F = ⟨V⟩ − S/β", "font": {"color": COLD_COLOUR}}},
        yaxis2={
            "title": {"text": "entropy", "font": {"color": WARM_COLOUR}},
            "overlaying": "y",
            "side": "right",
            "tickmode": "auto",
        },
    )


def _bracket(series: Mapping[str, np.ndarray], name: str, title: str) -> go.Figure:
    low, high = series[f"{name}_lower_limit"], series[f"{name}_upper_limit"]
    figure = go.Figure()
    between = Band(series["time"], 0.5 * (low + high), 0.5 * (high - low))
    add_band(figure, between, COLD_COLOUR, "", logarithmic=False, line=False)
    add_line(figure, series["time"], low, COLD_COLOUR, "from below")
    add_line(figure, series["time"], high, WARM_COLOUR, "from above")
    return figure.update_layout(LAYOUT, xaxis=TIME, yaxis={"title": title, "rangemode": "tozero"})


def _limit(series: Mapping[str, np.ndarray]) -> go.Figure:
    figure = go.Figure()
    time = series["time"]
    add_line(figure, time, time, GREY, "T<sub>SL</sub> = T", dash="dash")
    positive = series["speed_limit"] > 0
    add_line(figure, time[positive], series["speed_limit"][positive], COLD_COLOUR, "certified T<sub>SL</sub>")
    return figure.update_layout(LAYOUT, xaxis=TIME, yaxis={**LOGARITHMIC, "title": "speed limit T<sub>SL</sub>"})


def _temperature(series: Mapping[str, np.ndarray], bath: float) -> go.Figure:
    figure = go.Figure()
    curve = Band(series["time"], series["effective_temperature"], 2 * series["effective_temperature_error"])
    add_band(figure, curve, ACCURACY, "⟨θ·∇V⟩/P ± 2 errors", logarithmic=False)
    add_line(figure, curve.times, np.full(curve.times.shape, bath), GREY, "β⁻¹", dash="dash")
    return figure.update_layout(FALLING, xaxis=TIME, yaxis={"title": "temperature"})
