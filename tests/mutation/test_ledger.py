"""The tests that a row of EQUATIONS.md names notice when a term of its equation is broken."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / "docs").exists(), reason="not a source checkout")


def test_broken_path_densities_are_noticed():
    """A share of `make mutation`: every mutant of row 30 dies."""
    command = [sys.executable, "-m", "tests.mutation", "30", "--dry"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "(30): " in process.stdout
