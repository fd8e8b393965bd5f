"""Break the ledger's equations and keep the counts: `python -m tests.mutation [ROW …]`, or `make mutation` for all."""

import argparse
import importlib
import json
import os
import re
import sys
import time
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


def run(rows: list[Row], jobs: int) -> dict[int, Outcome]:
    """Break the functions of rows.

    Args:
        rows: of the ledger.
        jobs: processes at a time.

    Returns:
        What became of each row's mutants.
    """
    os.chdir(ROOT)
    runner = Runner(rows, jobs, say=lambda line: print(line, flush=True))
    tests = sorted({test for row in rows for test in row.tests})
    options = ["-q", "-s", "--no-header", "--hypothesis-profile=mutation", "-o", "timeout=0", "-p", "no:cacheprovider"]
    status = pytest.main([*options, *tests], plugins=[runner])
    if status not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        sys.exit(f"pytest: {status!r}")
    return runner.outcomes


def write(outcomes: dict[int, Outcome], seconds: float) -> None:
    """Keep the counts, with the environment they were found in.

    Args:
        outcomes: of all rows.
        seconds: they took.
    """
    # Only now: the shape checks must be in place before the package is imported.
    from speedlimits.runs.provenance import provenance

    result = {
        "environment": provenance(device="cpu", workers=1),
        "seconds": round(seconds),
        "mutants": sum(outcome.mutants for outcome in outcomes.values()),
        "survivors": sum(len(outcome.survivors) for outcome in outcomes.values()),
        "rows": {number: outcome.result() for number, outcome in outcomes.items()},
    }
    RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    """Run, and write the counts if all rows were asked for.

    Returns:
        1 if a mutant survived, otherwise 0.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, metavar="ROW", help="numbers of equations, all by default")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    given = parser.parse_args()
    rows = [row for row in ledger() if not given.rows or row.number in given.rows]
    started = time.monotonic()
    outcomes = run(rows, given.jobs)
    survivors = sum(len(outcome.survivors) for outcome in outcomes.values())
    print(f"{sum(outcome.mutants for outcome in outcomes.values())} mutants, {survivors} survived")
    if not given.rows:
        write(outcomes, time.monotonic() - started)
    return min(survivors, 1)


if __name__ == "__main__":
    sys.exit(main())
