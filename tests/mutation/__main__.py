"""Break the ledger's equations and keep the counts: `python -m tests.mutation [ROW …]`, or `make mutation` for all."""

import argparse
import importlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mutation._run import Outcome, Row, Runner

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results.json"


def ledger() -> list[Row]:
    """The rows of EQUATIONS.md that name functions."""
    sys.path.insert(0, str(ROOT / "docs"))
    equations = importlib.import_module("make_equations")
    rows = []
    for match in equations.ROW.finditer(equations.LEDGER.read_text(encoding="utf-8")):
        _, _, functions, tests, _ = (re.findall(r"`(.+?)`", cell) for cell in equations.cells(match[0]))
        if functions:
            rows.append(Row(int(match[1]), functions, tests))
    return rows


def run(rows: list[Row], jobs: int, keep: Callable[[int, Outcome], None]) -> dict[int, Outcome]:
    """Break the functions of rows.

    Args:
        rows: of the ledger.
        jobs: processes at a time.
        keep: called with each row's number and outcome.

    Returns:
        What became of each row's mutants.
    """
    os.chdir(ROOT)
    runner = Runner(rows, jobs, say=lambda line: print(line, flush=True), keep=keep)
    tests = sorted({test for row in rows for test in row.tests})
    options = ["-q", "-s", "--no-header", "--hypothesis-profile=mutation", "-o", "timeout=0", "-p", "no:cacheprovider"]
    status = pytest.main([*options, *tests], plugins=[runner])
    if status not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        sys.exit(f"pytest: {status!r}")
    return runner.outcomes


def write(number: int, outcome: Outcome) -> None:
    """Keep a row's counts, with the environment they were found in; the other rows keep theirs.

    Args:
        number: of the equation.
        outcome: of its mutants.
    """
    # Only now: the shape checks must be in place before the package is imported.
    from speedlimits.runs.provenance import provenance

    before = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else {}
    names = {str(row.number) for row in ledger()}
    found = before | {str(number): outcome.result()}
    rows = {name: found[name] for name in sorted(names & found.keys(), key=int)}
    result = {
        "environment": provenance(device="cpu", workers=1),
        "mutants": sum(row["mutants"] for row in rows.values()),
        "survivors": sum(len(row["survivors"]) for row in rows.values()),
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    """Run, and keep the counts.

    Returns:
        1 if a mutant survived, otherwise 0.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, metavar="ROW", help="numbers of equations, all by default")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--dry", action="store_true", help="keep nothing")
    given = parser.parse_args()
    rows = [row for row in ledger() if not given.rows or row.number in given.rows]
    outcomes = run(rows, given.jobs, keep=(lambda *_: None) if given.dry else write)
    survivors = sum(len(outcome.survivors) for outcome in outcomes.values())
    print(f"{sum(outcome.mutants for outcome in outcomes.values())} mutants, {survivors} survived")
    return min(survivors, 1)


if __name__ == "__main__":
    sys.exit(main())
