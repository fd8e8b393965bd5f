"""Write the tables of docs/trust.md from what the campaigns and benchmarks left.

Run: python docs/make_trust_table.py [--check]
"""

import json
import sys
from pathlib import Path
from typing import Any

import pages

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "trust.md"
CAMPAIGNS = ROOT / "tests" / "torture" / "results"
MUTATION = ROOT / "tests" / "mutation" / "results.json"
COVERAGE = ROOT / "benchmarks" / "results" / "coverage.json"
# How a case of the benchmark is called, by the list it stands in.
CASES = {
    "wells": "V = x²/2 + {loss}{fresh}",
    "initial_losses": "⟨L⟩ of a network, width {width}, depth {depth}, {activation}, {draws:,} draws",
    "springs": "Ornstein–Uhlenbeck, {weights} weights, T = {time}",
    "steps": "{scheme}, steps of {share_of_stability} of stability",
}


def campaigns() -> list[str]:
    """A line for each campaign: how many tries, how they ended, how many promises they broke."""
    lines = ["| campaign | tries | how they ended | promises broken |", "|---|---|---|---|"]
    for path in sorted(CAMPAIGNS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        ended = ", ".join(f"{count:,} {ending}" for ending, count in result["endings"].items())
        lines.append(f"| `{path.stem}` | {result['tried']:,} | {ended} | {result['failed']} |")
    return lines


def coverage() -> list[str]:
    """A line for each case whose truth is known: how often its certified limit was wrong, and how near it came."""
    results = json.loads(COVERAGE.read_text(encoding="utf-8"))
    lines = ["| case | refused | wrong | certified over true, median |", "|---|---|---|---|"]
    for name, form in CASES.items():
        for row in results[name]:
            near = "–" if row["ratio_median"] is None else f"{row['ratio_median']:.2f}"
            lines.append(f"| {_case(form, row)} | {row['refused']:.1%} | {row['missed']:.1%} | {near} |")
    return lines


def mutation() -> list[str]:
    """A sentence: how many terms were broken, in how many equations, and what became of them."""
    results = json.loads(MUTATION.read_text(encoding="utf-8"))
    rows, mutants, left = len(results["rows"]), results["mutants"], results["survivors"] or "none"
    slow = sum(row["too_slow"] for row in results["rows"].values())
    return [f"All {rows} rows were broken in {mutants:,} ways: {left} went unnoticed, {slow:,} never came to an end."]


def _case(form: str, row: dict[str, Any]) -> str:
    return form.format(**row, fresh=", with other draws of the start" if row.get("fresh_starts") else "")


def written(page: str) -> str:
    """The page with its tables as the results have them.

    Args:
        page: its text, with a pair of comments around each of them.
    """
    for name, lines in (("campaigns", campaigns()), ("coverage", coverage()), ("mutation", mutation())):
        page = pages.renewed(page, name, lines)
    return page


if __name__ == "__main__":
    sys.exit(pages.main(__doc__, PAGE, written))
