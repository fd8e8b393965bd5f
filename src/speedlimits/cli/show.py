"""`speedlimits show`: the numbers of a finished run, for a reader or as JSON."""

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
from speedlimits.runs.noisy import NoisyRun
from speedlimits.runs.run import Run, load_run


@dataclass(frozen=True)
class ShowCommand:
    """Print the numbers of a finished run, with noise or without."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Run folder."""
    json: bool = False
    """Print summary.json as one JSON object instead of a table."""

    def __call__(self) -> None:
        """Print them."""
        run = load_run(self.directory)
        if self.json:
            print(json.dumps(run.summary))
        elif isinstance(run, NoisyRun):
            print_noisy_summary(run.summary)
        else:
            print_summary(run)


def print_summary(run: Run) -> None:
    """Print one table of all members, their mean and deviation, and the verdict.

    Args:
        run: the finished run.
    """
    summary = run.summary
    shown = columns(summary)

    def cells(row: Mapping[str, Any]) -> list[str]:
        return [number(row[key], form) for key, _, _, form in shown]

    print_table(
        ["seed", *(heading.replace("<sub>", "_").replace("</sub>", "") for _, heading, _, _ in shown)],
        [[str(member["seed"]), *cells(member)] for member in summary["members"]],
        title=title(summary, f"{summary['parameters']:,} weights", f"T = {summary['time']:.4g} ({summary['method']})"),
        words=["seed"],
        # One network is its own mean, and has no deviation.
        footer=[["mean", *cells(summary["mean"])], ["± std", *cells(summary["std"])]]
        if len(summary["members"]) > 1
        else [],
    )
    for line in verdict(summary):
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
