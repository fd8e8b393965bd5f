"""One self-contained HTML page about noisy training: time courses, with brackets drawn as bands."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import plotly.graph_objects as go
import plotly.io
import plotly.offline

from speedlimits._files import write_text_atomically
from speedlimits._numbers import number
from speedlimits.report.figures.sheet import ACCURACY, COLD, GREY, WARM
from speedlimits.report.pages.panels import LAYOUT, LOGARITHMIC

TIME = {**LOGARITHMIC, "title": "flow time T"}
# For curves that start high: the legend where they end.
FALLING = LAYOUT | {"legend": {"x": 0.98, "y": 0.98, "xanchor": "right", "bgcolor": "rgba(255,255,255,0.7)"}}
# Columns of the tables of estimates.
COLUMNS = (
    ("value", "value"),
    ("standard_error", "±"),
    ("lower_limit", "95 % from below"),
    ("upper_limit", "from above"),
)


def write_noisy_page(path: str | Path, summary: Mapping[str, Any]) -> None:
    """Write ``report.html``, whole or not at all.

    Args:
        path: the file.
        summary: contents of ``summary.json``.

    Raises:
        OSError: what the disk reports.
    """
    series = {key: np.array([row[key] for row in summary["series"]]) for key in summary["series"][0]}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("speedlimits.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = number
    figures = {
        "Loss ⟨L⟩": _loss(series),
        "Free energy and entropy": _free_energy(series),
        "Distance 𝒲₂": _bracket(series, "w2_squared", "squared distance 𝒲₂"),
        "Dissipation β⁻¹R": _bracket(series, "dissipation", "dissipation β⁻¹R"),
        "Certified speed limit": _limit(series),
        "Effective temperature": _temperature(series, summary["temperature"]),
    }
    options = {"full_html": False, "include_plotlyjs": False, "config": {"displayModeBar": False, "responsive": True}}
    page = environment.get_template("langevin.html.j2").render(
        summary=summary,
        columns=COLUMNS,
        plotly_js=plotly.offline.get_plotlyjs(),
        panels={title: plotly.io.to_html(figure, **options) for title, figure in figures.items()},
    )
    write_text_atomically(Path(path), page)


def _loss(series: Mapping[str, np.ndarray]) -> go.Figure:
    figure = go.Figure()
    _band(figure, series["time"], series["loss"], 2 * series["loss_error"], COLD, "mean loss ± 2 errors")
    return figure.update_layout(FALLING, xaxis=TIME, yaxis={**LOGARITHMIC, "title": "loss ½Σ(f−y)²", "dtick": "D2"})


def _free_energy(series: Mapping[str, np.ndarray]) -> go.Figure:
    figure = go.Figure()
    _line(figure, series["time"], series["free_energy_lower"], COLD, "F from below")
    _line(figure, series["time"], series["entropy_upper"], WARM, "entropy S from above", yaxis="y2")
    return figure.update_layout(
        FALLING,
        xaxis=TIME,
        yaxis={"title": {"text": "free energy F = ⟨V⟩ − S/β", "font": {"color": COLD}}},
        yaxis2={"title": {"text": "entropy", "font": {"color": WARM}}, "overlaying": "y", "side": "right"},
    )


def _bracket(series: Mapping[str, np.ndarray], name: str, title: str) -> go.Figure:
    low, high = series[f"{name}_lower_limit"], series[f"{name}_upper_limit"]
    figure = go.Figure()
    _band(figure, series["time"], 0.5 * (low + high), 0.5 * (high - low), COLD, "between the limits", line=False)
    _line(figure, series["time"], low, COLD, "from below")
    _line(figure, series["time"], high, WARM, "from above")
    return figure.update_layout(LAYOUT, xaxis=TIME, yaxis={"title": title, "rangemode": "tozero"})


def _limit(series: Mapping[str, np.ndarray]) -> go.Figure:
    figure = go.Figure()
    time = series["time"]
    _line(figure, time, time, GREY, "T<sub>SL</sub> = T", dash="dash")
    positive = series["speed_limit"] > 0
    _line(figure, time[positive], series["speed_limit"][positive], COLD, "certified T<sub>SL</sub>")
    return figure.update_layout(LAYOUT, xaxis=TIME, yaxis={**LOGARITHMIC, "title": "speed limit T<sub>SL</sub>"})


def _temperature(series: Mapping[str, np.ndarray], bath: float) -> go.Figure:
    figure = go.Figure()
    values, errors = series["effective_temperature"], series["effective_temperature_error"]
    _band(figure, series["time"], values, 2 * errors, ACCURACY, "⟨θ·∇V⟩/P ± 2 errors")
    _line(figure, series["time"], np.full(values.shape, bath), GREY, "β⁻¹", dash="dash")
    return figure.update_layout(FALLING, xaxis=TIME, yaxis={"title": "temperature"})


def _line(
    figure: go.Figure, x: np.ndarray, y: np.ndarray, colour: str, name: str, dash: str = "solid", **where: Any
) -> None:
    line = {"color": colour, "dash": dash}
    figure.add_scatter(x=x, y=y, mode="lines", line=line, name=name, hovertemplate="%{y:.4g}", **where)


def _band(
    figure: go.Figure, x: np.ndarray, centre: np.ndarray, half: np.ndarray, colour: str, name: str, line: bool = True
) -> None:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([centre + half, (centre - half)[::-1]]),
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.15)",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )
    if line:
        _line(figure, x, centre, colour, name)
