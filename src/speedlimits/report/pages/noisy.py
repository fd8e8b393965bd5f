"""One self-contained HTML page about noisy training: time courses, with brackets drawn as bands."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from speedlimits.report.curves import Band
from speedlimits.report.glossary import ESTIMATORS, terms
from speedlimits.report.pages.chart import Axis, Chart, Curve, from_band, line
from speedlimits.report.pages.panels import LIMIT, TIME
from speedlimits.report.pages.render import render
from speedlimits.report.words import ESTIMATES, NOISY_COLUMNS, loss_label, name

ACROSS = Axis("flow time T", TIME)
Series = Mapping[str, np.ndarray]


def write_noisy_page(path: str | Path, summary: Mapping[str, Any]) -> None:
    """Write ``report.html``, whole or not at all.

    Args:
        path: the file.
        summary: contents of ``summary.json``.

    Raises:
        OSError: what the disk reports.
    """
    render(path, "noisy.html.j2", charts(summary), **words(summary))


def charts(summary: Mapping[str, Any]) -> dict[str, Chart]:
    """Time courses by the names of their panels.

    Args:
        summary: contents of ``summary.json``.

    Returns:
        The charts.
    """
    return so_far(summary["series"], summary["temperature"], loss_label(summary))


def so_far(rows: Sequence[Mapping[str, Any]], bath: float, loss: str = "loss") -> dict[str, Chart]:
    """The same from the time courses alone.

    Args:
        rows: of the time courses.
        bath: temperature of the noise [loss].
        loss: what the axis of the loss says.

    Returns:
        The charts.
    """
    series = {key: np.array([row[key] for row in rows], dtype=float) for key in rows[0]}
    return {
        "speed_limit": _limit(series),
        "loss": _loss(series, loss),
        "distance": _bracket(series, "w2_squared", Axis("squared distance 𝒲₂")),
        "dissipation": _bracket(series, "dissipation", Axis("dissipation β⁻¹R", "loss")),
        "free_energy": _free_energy(series),
        "temperature": _temperature(series, bath),
    }


def words(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's template asks for beside charts.

    Args:
        summary: contents of ``summary.json``.

    Returns:
        The values by name.
    """
    used = {each["name"] for key in ESTIMATES.values() for each in summary[key]}
    sentences = {each: next((text for part, text in ESTIMATORS.items() if part in each), "") for each in used}
    return {
        "summary": summary,
        "name": name(summary),
        "columns": NOISY_COLUMNS,
        "estimates": ESTIMATES,
        "sentences": sentences,
        "terms": terms("noisy"),
    }


def _loss(series: Series, label: str) -> Chart:
    curve = Band(series["time"], series["loss"], 2 * series["loss_error"])
    curves = [from_band("mean loss ± 2 errors", curve, "cold")]
    return Chart("Mean loss while training went on.", ACROSS, Axis(escape(label)), curves)


def _free_energy(series: Series) -> Chart:
    time = series["time"]
    curves = [
        line("F from below", time, series["free_energy_lower"], "cold"),
        line("entropy S from above", time, series["entropy_upper"], "warm", right=True),
    ]
    left = Axis("free energy F = ⟨V⟩ − S/β", "loss", logarithmic=False)
    return Chart(
        "Free energy from below and entropy from above.", ACROSS, left, curves, Axis("entropy S", logarithmic=False)
    )


def _bracket(series: Series, key: str, up: Axis) -> Chart:
    time, low, high = (series[name] for name in ("time", f"{key}_lower_limit", f"{key}_upper_limit"))
    # From below nothing may be proved but that it is not negative, which a logarithmic scale cannot show.
    proved = low > 0
    known = np.isfinite(high)
    curves = [
        Curve("", time[known], np.empty(0), "cold", low=np.where(proved, low, 0.0)[known], high=high[known]),
        line("at least (95 %)", time[proved], low[proved], "cold"),
        line("at most (95 %)", time[known], high[known], "warm"),
    ]
    about = f"The {up.name} at each time: between the two curves, at 95 % each."
    return Chart(about, ACROSS, up, curves)


def _limit(series: Series) -> Chart:
    time = series["time"]
    positive = series["speed_limit"] > 0
    curves = [
        line(f"{LIMIT} = T", time, time, "grey", "dash"),
        line(f"certified {LIMIT}", time[positive], series["speed_limit"][positive], "cold"),
    ]
    return Chart("The certified speed limit at each time.", ACROSS, Axis(f"speed limit {LIMIT}", TIME), curves)


def _temperature(series: Series, bath: float) -> Chart:
    time = series["time"]
    curve = Band(time, series["effective_temperature"], 2 * series["effective_temperature_error"])
    curves = [
        from_band("⟨θ·∇V⟩/P ± 2 errors", curve, "accuracy"),
        line("β⁻¹ of the bath", time, np.full(time.shape, bath), "grey", "dash"),
    ]
    return Chart("The ensemble's own temperature, and that of the bath.", ACROSS, Axis("temperature", "loss"), curves)
