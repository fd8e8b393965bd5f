"""The page about a recording: what one training loop took, noise and all, and what its drift took."""

from collections.abc import Sequence
from pathlib import Path

from speedlimits.report.curves import later_views
from speedlimits.report.glossary import terms
from speedlimits.report.pages import panels
from speedlimits.report.pages.chart import Chart, Paths
from speedlimits.report.pages.render import render
from speedlimits.report.words import at_least, columns, loss_label, measured
from speedlimits.runs.recording import Recording
from speedlimits.trajectory import Trajectory

# Share of the time at which the second curves start, at the nearest kept weights.
WARM_START = 0.01


def write_recording_page(path: str | Path, recording: Recording) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file.
        recording: in memory or read.

    Raises:
        ValueError: if it has a single record.
        OSError: what the disk reports.
    """
    run, summary, noise = recording.trajectory, recording.summary, recording.noise
    if len(run) < 2:
        raise ValueError(f"a page needs a recording of two records or more; it has {len(run)}.")
    warm = later_starts([run])
    charts: dict[str, Chart | Paths] = {
        "speed_limits": panels.speed_limits([run], warm),
        "inefficiencies": panels.inefficiencies([run], warm),
        "loss": panels.loss_and_accuracy([run], loss_label(summary)),
    }
    if noise is not None:
        charts["strides"] = panels.strides(noise)
    if warm:
        charts["later"] = panels.later_starts(run)
    if run.weight_traces.shape[1]:
        charts["triples"] = panels.weight_triples(run)
    render(
        path,
        "recording.html.j2",
        charts,
        summary=summary,
        config=recording.config,
        provenance=recording.provenance,
        mean=summary["mean"],
        noise=noise,
        points=summary["mean"]["points"],
        accuracy=measured(summary, "test_accuracy"),
        columns=columns(summary),
        terms=terms("recording", *(["points"] if at_least(summary) else []), columns=columns(summary)),
    )


def later_starts(seen: Sequence[Trajectory]) -> list[Trajectory]:
    """The path from its warm start on; empty where too few weights were kept."""
    return later_views(seen, WARM_START)
