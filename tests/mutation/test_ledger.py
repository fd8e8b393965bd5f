"""The tests that a row of EQUATIONS.md names notice when a term of its equation is broken."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.__main__ import RESULTS, ledger

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / "docs").exists(), reason="not a source checkout")


def test_broken_path_densities_are_noticed():
    """A share of `make mutation`: every mutant of row 30 dies."""
    command = [sys.executable, "-m", "tests.mutation", "30", "--dry"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "(30): " in process.stdout


@pytest.mark.skipif(not RESULTS.exists(), reason="`make mutation` was not run")
def test_no_mutant_survived():
    """The counts that are kept have all rows of the ledger, each with mutants, and no survivor."""
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    assert set(rows) == {str(row.number) for row in ledger()}
    for number, row in rows.items():
        assert row["mutants"] == row["killed"] > 0, number
        assert not row["survivors"], number
