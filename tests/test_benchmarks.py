"""Every benchmark runs, in small, and leaves figures with the environment they were measured in."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = sorted(path for path in (ROOT / "benchmarks").glob("*.py") if path.name != "environment.py")


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.name)
def test_benchmark_runs(path, tmp_path):
    """The script ends well and writes its JSON, environment included."""
    out = tmp_path / "results" / "quick.json"
    process = subprocess.run(
        [sys.executable, str(path), "--quick", "--out", str(out)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    results = json.loads(out.read_text())
    assert {"processor", "packages", "threads", "argv", "git"} <= results["environment"].keys()
    assert len(results) > 1
