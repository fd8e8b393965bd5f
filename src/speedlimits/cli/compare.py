"""`speedlimits compare`: the same networks trained in several ways, beside each other."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from speedlimits._numbers import number
from speedlimits.runs.config import RunConfig
from speedlimits.runs.run import Run, RunFolder

# What may differ between runs that are compared: how the flow is followed, and what of it is kept.
METHOD = (
    "method",
    "rtol",
    "learning_rate",
    "momentum",
    "dtype",
    "device",
    "records",
    "snapshots",
    "warm_start",
    "triples",
)
# (key, heading, format) of the table's columns.
COLUMNS = (
    ("method", "method", ""),
    ("learning_rate", "η", ".3g"),
    ("stability", "η/η_max", ".2f"),
    ("gradient_evaluations", "gradients", ",.0f"),
    ("loss_final", "L(T)", ".4g"),
    ("w2_squared", "|Δθ|²", ".4g"),
    ("inefficiency", "T/T_SL by ΔL", ".3g"),
    ("path_inefficiency", "by path", ".3g"),
    ("averaged_inefficiency", "by midpoints", ".3g"),
    ("departure_time", "leaves the first", ".2g"),
    ("certified", "certified", ""),
)


@dataclass(frozen=True)
class Compare:
    """Compare runs of the same networks, such as gradient descent with large steps and the flow itself."""

    directories: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR DIR [DIR …]")]
    """Run folders; the first is what the others are compared with."""
    tolerance: float = 0.05
    """A run has left the first when its loss or squared distance is off by more than this share, to the end."""
    json: bool = False
    """Print one JSON object instead of a table; null where there is no number."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also draw a figure; the suffix says how: .png, .pdf or .svg."""

    def __call__(self) -> None:
        """Read, compare, draw, print."""
        # Late: matplotlib takes a second to import.
        from speedlimits.report.figures import comparison, sheet

        if self.plot is not None:
            sheet.check_suffix("plot", self.plot)
        if len(self.directories) < 2:
            raise ValueError(f"`directories` must be two run folders or more; found {len(self.directories)}.")
        runs = [Run.of(RunFolder.open(directory)) for directory in self.directories]
        for directory, run in zip(self.directories, runs, strict=True):
            _check_same(runs[0].config, run.config, directory)
        rows = [
            _row(
                directory,
                run,
                [
                    comparison.departure_time(runs[0].trajectories[seed], run.trajectories[seed], self.tolerance)
                    for seed in run.config.seeds
                ],
            )
            for directory, run in zip(self.directories, runs, strict=True)
        ]
        if self.plot is not None:
            members = {
                f"{directory.name} ({run.config.method})": list(run.trajectories.values())
                for directory, run in zip(self.directories, runs, strict=True)
            }
            config = runs[0].config
            title = f"{config.model} on {config.dataset}, n = {config.samples}, {len(config.seeds)} seeds"
            sheet.save(comparison.comparison(members, title), self.plot)
        if self.json:
            print(json.dumps({"tolerance": self.tolerance, "runs": rows}, allow_nan=False))
        else:
            _print(rows)


def _check_same(ours: RunConfig, theirs: RunConfig, directory: Path) -> None:
    for key, (one, other) in ours.difference(theirs).items():
        if key not in METHOD:
            raise ValueError(
                f"`{key}` must be the same in all runs; it is {one!r} in the first, {other!r} in {directory}."
            )


def _row(directory: Path, run: Run, departures: list[float]) -> dict[str, Any]:
    first = min(departures)
    mean = run.summary["mean"]
    keys = [key for key, _, _ in COLUMNS if key in mean]
    return {
        "directory": str(directory),
        "method": run.config.method,
        "momentum": run.config.momentum,
        **{key: mean[key] for key in keys},
        "edge_of_stability": run.summary["edge_of_stability"],
        "departure_time": first if math.isfinite(first) else None,
        "certified": run.summary["certified"],
    }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table()
    table.add_column("run")
    for _, heading, _ in COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cells = [_cell(row[key], form) for key, _, form in COLUMNS]
        table.add_row(row["directory"], *cells)
    console = Console()
    # Piped, a table must not be folded to 80 columns.
    (console if console.is_terminal else Console(width=200)).print(table)
    for row in rows:
        if row["edge_of_stability"]:
            seeds = ", ".join(map(str, row["edge_of_stability"]))
            print(f"{row['directory']} is at the edge of stability (seeds {seeds}).")


def _cell(value: object, form: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else number(value, form)  # type: ignore[arg-type]
