"""Write the tables of docs/advice.md from what the benchmarks left.

Run: python docs/make_advice_tables.py [--check]
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pages

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "advice.md"
RESULTS = ROOT / "benchmarks" / "results"
CONTESTANTS = ("constant", "cosine", "warm-up, linear", "step length")


def read(name: str) -> dict[str, Any]:
    """What a benchmark left."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def headroom() -> list[str]:
    """A line for each setting: by how much the rate was raised, and what became of the steps."""
    lines = [
        "| network, optimizer | cautious rate, steps | least headroom | steps | at twice it | mean headroom | steps |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in read("advice")["headroom"]:
        least, twice, mean = (row[name] for name in ("least", "twice the least", "mean"))
        cells = [
            row["setting"], f"{row['rate']:g}, {row['steps']}", ranged(least["factor"], ".3g"),
            ranged(least["steps"], ".0f"), ranged(twice["steps"], ".0f"), ranged(mean["factor"], ".3g"),
            ranged(mean["steps"], ".0f"),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def replay() -> list[str]:
    """A line for each setting and share of the stable rate: what a replayed schedule reaches, and one rate."""
    lines = [
        "| network, optimizer | recorded: rate, steps | loss | share of stable rate | steps | replayed | one rate |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in read("replay")["rows"]:
        cells = [
            row["setting"],
            f"{row['rate']:g}, {row['steps']}",
            ranged(row["recorded"], ".3g"),
            f"{row['share']:g}",
        ]
        cells += [ranged(row["replayed_steps"], ".0f"), ranged(row["replayed"], ".3g"), ranged(row["one_rate"], ".3g")]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def inputs() -> list[str]:
    """A line for each kind of inputs: the best rate, its steps and its headroom."""
    lines = ["| network | inputs | best rate | steps | N/N_edge |", "|---|---|---|---|---|"]
    for row in read("advice")["inputs"]:
        rate = f"{row['rate']:.2g}" + ("" if row["inside"] else " (end of the grid)")
        cells = [row["model"], row["inputs"], rate, ranged(row["steps"], ".0f"), ranged(row["headroom"], ".2g")]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def meaning() -> list[str]:
    """A line for each rate: the ratio, what turns back, and the headroom."""
    lines = [
        "| rate | N/N_edge | T/T_SL | through midpoints | share that turns back |",
        "|---|---|---|---|---|",
    ]
    for rows in zip(*read("advice")["meaning"], strict=True):
        cells = [f"{rows[0]['rate']:g}, {rows[0]['name']}"]
        cells += [spread([row[key] for row in rows]) for key in ("headroom", "raw", "midpoints", "turning")]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def progress() -> list[str]:
    """A line for each share of the loss."""
    lines = ["| of the loss gone | T/T_SL |", "|---|---|"]
    for rows in zip(*read("advice")["progress"], strict=True):
        lines.append(f"| {rows[0]['gone']:.0%} | {spread([row['inefficiency'] for row in rows])} |")
    return lines


def balance() -> list[str]:
    """A line for each number of steps under weight decay."""
    lines = ["| steps | Ση × weight decay | T/T_SL | radial share |", "|---|---|---|---|"]
    for rows in zip(*read("advice")["balance"], strict=True):
        cells = [f"{rows[0]['steps']}", f"{rows[0]['decayed']:.2g}"]
        cells += [spread([row[key] for row in rows]) for key in ("raw", "radial")]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def lengths() -> list[str]:
    """A line for each setting: the loss of each contestant at its best number."""
    lines = [
        f"| network, optimizer | steps | pace | {' | '.join(CONTESTANTS)} | best schedule / step length |",
        "|" + "---|" * (len(CONTESTANTS) + 4),
    ]
    for row in read("step_length")["rows"]:
        cells = [row["setting"], str(row["steps"]), ranged(row["pace"], ".2g")]
        for name in CONTESTANTS:
            inside = "" if row[name]["inside"] else " (end of the grid)"
            cells.append(ranged(row[name]["loss"], ".2g") + inside)
        lines.append(f"| {' | '.join([*cells, ranged(row['gain'], '.2g')])} |")
    return lines


def ranged(found: dict[str, Any], form: str) -> str:
    """Median, and from the smallest to the largest."""
    middle, *ends = (_number(each, form) for each in (found["median"], *found["range"]))
    return f"{middle} ({ends[0]} to {ends[1]})"


def spread(values: list[float]) -> str:
    """The same of plain numbers."""
    ordered = sorted(values)
    return ranged({"median": ordered[len(ordered) // 2], "range": [ordered[0], ordered[-1]]}, ".3g")


def _number(value: float | None, form: str) -> str:
    return "never" if value is None else format(value, form)


TABLES: dict[str, Callable[[], list[str]]] = {
    "headroom": headroom,
    "replay": replay,
    "inputs": inputs,
    "meaning": meaning,
    "progress": progress,
    "balance": balance,
    "lengths": lengths,
}


def written(page: str) -> str:
    """The page with its tables as the results have them.

    Args:
        page: its text, with a pair of comments around each of them.
    """
    for name, table in TABLES.items():
        page = pages.renewed(page, name, table())
    return page


if __name__ == "__main__":
    sys.exit(pages.main(__doc__, PAGE, written))
