"""The page about a run, or about any trajectories."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speedlimits.report.curves import later_views
from speedlimits.report.glossary import terms
from speedlimits.report.pages import kernel as kernel_panels
from speedlimits.report.pages import panels
from speedlimits.report.pages.chart import Chart, Paths
from speedlimits.report.pages.render import render
from speedlimits.report.words import (
    at_least,
    columns,
    loss_label,
    measured,
    name,
    sure,
    sure_later,
    title,
    verdict,
)
from speedlimits.runs.kernel import KernelRecord
from speedlimits.trajectory import Trajectory


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
        provenance: contents of ``provenance.json``; empty where there is none, which leaves the configuration out.
        config: the run's configuration by key; at least ``warm_start``.
        trajectories: the members, in the order of the summary.
        kernel: what `speedlimits kernel` found out about one of them, if it was asked.

    Raises:
        ValueError: if there are no members, or they were recorded at different times.
        OSError: what the disk reports.
    """
    if not trajectories:
        raise ValueError("`trajectories` must hold at least one member; it is empty.")
    warm = later_views(trajectories, config["warm_start"])
    charts: dict[str, Chart | Paths] = {
        "speed_limits": panels.speed_limits(trajectories, warm),
        "inefficiencies": panels.inefficiencies(trajectories, warm),
        "loss": panels.loss_and_accuracy(trajectories, loss_label(summary)),
    }
    if trajectories[0].weight_traces.shape[1]:
        charts["triples"] = panels.weight_triples(trajectories[0])
    if kernel is not None:
        member = trajectories[[row["seed"] for row in summary["members"]].index(kernel.seed)]
        charts["overlaps"] = kernel_panels.overlaps(kernel)
        charts["eigenvalues"] = kernel_panels.eigenvalues(kernel)
        charts["prediction"] = kernel_panels.prediction(kernel, member)
        for adapted in kernel.adapted[:1]:
            charts["intervals"] = kernel_panels.intervals(adapted)
    kinds = ["run", *(["points"] if at_least(summary) else []), *(["kernel"] if kernel else [])]
    render(
        path,
        "run.html.j2",
        charts,
        summary=summary,
        name=name(summary),
        title=title(summary),
        loss=loss_label(summary),
        provenance=provenance,
        config=config,
        sure=sure(summary),
        sure_later=sure_later(summary),
        at_least=at_least(summary),
        accuracy=measured(summary, "test_accuracy"),
        columns=columns(summary),
        terms=terms(*kinds, columns=columns(summary)),
        verdict=verdict(summary)[1:],
        warm=warm[0] if warm else None,
        kernel=kernel,
    )
