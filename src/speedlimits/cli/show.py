"""`speedlimits show`: the numbers of a finished run or a recording, for a reader or as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from speedlimits._numbers import number
from speedlimits.cli.table import print_table
from speedlimits.cli.text import say
from speedlimits.report.words import ESTIMATES, NOISY_COLUMNS, columns, title, verdict
from speedlimits.runs.loading import load
from speedlimits.runs.noisy import NoisyRun
from speedlimits.runs.recording import Recording
from speedlimits.runs.run import Run


@dataclass(frozen=True)
class ShowCommand:
    """Print the numbers of a finished run, with noise or without, or of a recording."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of a run, or of a recording."""
    json: bool = False
    """Print summary.json as one JSON object instead of a table."""

    def __call__(self) -> None:
        """Print them."""
        run = load(self.directory)
        if self.json:
            print(json.dumps(run.summary))
        elif isinstance(run, NoisyRun):
            print_noisy_summary(run.summary)
        else:
            print_summary(run)


def print_summary(run: Run | Recording) -> None:
    """Print one table of all members, their mean and deviation, and the verdict.

    Args:
        run: the finished run, or a recording.
    """
    summary = run.summary
    shown = columns(summary)

    def cells(row: Mapping[str, Any]) -> list[str]:
        return [number(row[key], form) for key, _, _, form in shown]

    first = "seed" if isinstance(run, Run) else "network"
    print_table(
        [first, *(heading.replace("<sub>", "_").replace("</sub>", "") for _, heading, _, _ in shown)],
        [[str(member["seed"]), *cells(member)] for member in summary["members"]],
        title=title(summary, f"{summary['parameters']:,} weights", f"T = {summary['time']:.4g} ({summary['method']})"),
        words=[first],
        # One network is its own mean, and has no deviation.
        footer=[["mean", *cells(summary["mean"])], ["± std", *cells(summary["std"])]]
        if len(summary["members"]) > 1
        else [],
    )
    for line in verdict(summary) if isinstance(run, Run) else summary["verdict"]:
        say(line)


def print_noisy_summary(summary: Mapping[str, Any]) -> None:
    """Print the verdict on a run with noise, and every estimate that its certified limit could rest on.

    Args:
        summary: contents of ``summary.json``.
    """
    say(summary["verdict"])
    rows = [
        [
            quantity,
            each["name"],
            *(number(each[column]) for column, _ in NOISY_COLUMNS),
            each["side"],
            each["caveat"],
            "yes" if each["name"] in summary["pair"] else "",
        ]
        for quantity, key in ESTIMATES.items()
        for each in summary[key]
    ]
    print_table(
        ["quantity", "estimate", *(heading for _, heading in NOISY_COLUMNS), "side", "holds if", "used"],
        rows,
        title=title(
            summary,
            f"{summary['parameters']:,} weights",
            f"{summary['members']} networks",
            f"β = {summary['inverse_temperature']:.4g}",
            f"T = {summary['time']:.4g}",
        ),
        words=["quantity", "estimate", "side", "holds if", "used"],
    )
