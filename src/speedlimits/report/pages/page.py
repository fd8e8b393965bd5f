"""One self-contained HTML page about a study: opens from disk, needs no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import plotly.io
import plotly.offline

from speedlimits._files import write_text_atomically
from speedlimits._numbers import number
from speedlimits.report.curves import warm_views
from speedlimits.report.pages import kernel as kernel_panels
from speedlimits.report.pages import panels
from speedlimits.report.words import verdict
from speedlimits.runs.kernel import KernelRecord
from speedlimits.trajectory import Trajectory

# (key of summary.json, heading, tooltip, format) of the table's columns.
COLUMNS = (
    ("loss_initial", "L(0)", "training loss ½Σ(f−y)² at the start", ".4g"),
    ("loss_final", "L(T)", "training loss at the end", ".4g"),
    ("dissipation", "ΔL", "loss drop: dissipation of the flow, Eq. (6)", ".4g"),
    ("w2_squared", "|Δθ|²", "squared distance between first and last weights", ".4g"),
    ("speed_limit", "T<sub>SL</sub>", "least time physics allows, Eq. (7)", ".4g"),
    ("inefficiency", "T/T<sub>SL</sub>", "times slower than the limit, Eq. (12)", ".3g"),
    ("geometric", "geometric", "(path length)²/|Δθ|²: what bends cost", ".3g"),
    ("pace", "pace", "what varying speed costs", ".3g"),
    ("discretisation_share", "share", "part of the path dissipation that the loss drop misses", ".2%"),
    ("test_accuracy", "accuracy", "on the held-out images", ".1%"),
)


def write_page(
    path: str | Path,
    summary: Mapping[str, Any],
    provenance: Mapping[str, Any],
    config: Mapping[str, Any],
    trajectories: Sequence[Trajectory],
    kernel: KernelRecord | None = None,
) -> None:
    """Write ``report.html``, whole or not at all.

    Args:
        path: the file.
        summary: contents of ``summary.json``.
        provenance: contents of ``provenance.json``.
        config: the study's configuration as a mapping.
        trajectories: the members, in the order of the summary.
        kernel: what `speedlimits kernel` found out about one of them, if it was asked.

    Raises:
        ValueError: if there are no members, or they were recorded at different times.
        OSError: what the disk reports.
    """
    if not trajectories:
        raise ValueError("`trajectories` must hold at least one member; it is empty.")
    warm = warm_views(trajectories, config["warm_start"] * trajectories[0].time)
    figures = {
        "speed_limits": panels.speed_limits(trajectories, warm),
        "inefficiencies": panels.inefficiencies(trajectories, warm),
        "loss": panels.loss_and_accuracy(trajectories),
        "triples": panels.weight_triples(trajectories[0]),
    }
    if kernel is not None:
        member = trajectories[[row["seed"] for row in summary["members"]].index(kernel.seed)]
        figures["overlaps"] = kernel_panels.overlaps(kernel)
        figures["prediction"] = kernel_panels.prediction(kernel, member)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("speedlimits.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = number
    page = environment.get_template("report.html.j2").render(
        summary=summary,
        provenance=provenance,
        config=config,
        columns=COLUMNS,
        verdict=verdict(summary)[1:],
        warm=warm[0] if warm else None,
        kernel=kernel,
        plotly_js=plotly.offline.get_plotlyjs(),
        panels={
            name: plotly.io.to_html(
                figure, full_html=False, include_plotlyjs=False, config={"displayModeBar": False, "responsive": True}
            )
            for name, figure in figures.items()
        },
    )
    write_text_atomically(Path(path), page)
