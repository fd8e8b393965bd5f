"""Every benchmark runs, in small, and leaves figures with the environment they were measured in."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = sorted(path for path in (ROOT / "benchmarks").glob("*.py") if path.name != "environment.py")
# Even in small, these take ten seconds to most of a minute.
LONG = {
    "advice.py", "coverage.py", "ensemble.py", "gradient_flow.py", "kernel.py", "kinks.py", "recorder.py",
    "step_length.py", "study.py",
}  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] if path.name in LONG else []) for path in BENCHMARKS],
    ids=lambda path: path.name,
)
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


def test_tables_of_the_documentation_are_those_of_the_results(monkeypatch):
    """No number in the tables of docs/gradient-flow.md is typed by hand."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from flow.report import BEGIN, END, tables

    results = json.loads((ROOT / "benchmarks" / "results" / "gradient_flow.json").read_text())
    page = (ROOT / "docs" / "gradient-flow.md").read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == tables(results).strip()
