"""`speedlimits show`: the numbers of a finished run, for a reader or as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from speedlimits._numbers import number
from speedlimits.report.pages.page import COLUMNS
from speedlimits.report.words import verdict
from speedlimits.runs.run import Run, RunFolder


@dataclass(frozen=True)
class Show:
    """Print the numbers of a finished run."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Run folder."""
    json: bool = False
    """Print summary.json as one JSON object instead of a table."""

    def __call__(self) -> None:
        """Print them."""
        run = Run.of(RunFolder.open(self.directory))
        if self.json:
            print(json.dumps(run.summary))
        else:
            print_summary(run)


def print_summary(run: Run) -> None:
    """Print one table of all members, their mean and deviation, and the verdict.

    Args:
        run: the finished run.
    """
    summary = run.summary
    table = Table(
        title=f"{summary['model']} on {summary['dataset']}, n = {summary['samples']}, "
        f"{summary['parameters']:,} weights, T = {summary['time']:.4g} ({summary['method']})",
        title_justify="left",
    )
    table.add_column("seed")
    for _, heading, _, _ in COLUMNS:
        table.add_column(heading.replace("<sub>", "_").replace("</sub>", ""), justify="right", no_wrap=True)
    for member in summary["members"]:
        table.add_row(str(member["seed"]), *_cells(member))
    table.add_section()
    table.add_row("mean", *_cells(summary["mean"]), style="bold")
    table.add_row("± std", *_cells(summary["std"]))
    console = Console()
    # Piped, a table must not be folded to 80 columns.
    console = console if console.is_terminal else Console(width=200)
    console.print(table)
    for line in verdict(summary):
        print(line)


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [number(row[key], form) for key, _, _, form in COLUMNS]
