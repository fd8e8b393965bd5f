"""Every benchmark runs, in small, and leaves figures with the environment they were measured in."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
BENCHMARKS = sorted(path for path in (ROOT / "benchmarks").glob("*.py") if path.name != "environment.py")
# Even in small, these take ten seconds to most of a minute.
LONG = {
    "adaptation.py",
    "advice.py", "coverage.py", "ensemble.py", "gradient_flow.py", "kernel.py", "kinks.py", "recorder.py", "replay.py",
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
    """No number in the tables of docs/flow-cost.md is typed by hand."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from flow.report import BEGIN, END, tables

    results = json.loads((ROOT / "benchmarks" / "results" / "gradient_flow.json").read_text())
    page = (ROOT / "docs" / "flow-cost.md").read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == tables(results).strip()


def test_zigzag_is_as_long_as_the_way_it_goes(monkeypatch):
    """L = |x| + y/2 from x = η/2: descent crosses the kink at each step, and the flow slides along it at speed ½."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from flow.descents import descend

    steps, rate = 1500, 0.01
    start = torch.tensor([rate / 2, 0.0], dtype=torch.float64)
    found = descend(lambda theta: theta[0].abs() + theta[1] / 2, start, steps * rate, rate)
    assert found["gradients"] == steps + 1
    assert found["arc_length"] == pytest.approx(steps * rate * math.sqrt(1.25), rel=1e-12)
    # At first chords are shorter than 64 steps, and an odd number of steps ends on the other side.
    assert found["arc_length_by_chords"] == pytest.approx(steps * rate / 2, rel=0.1)
    assert found["path_over_loss_drop"] == pytest.approx(1.25 / 0.25, rel=1e-3)


def test_descent_is_not_made_twice(monkeypatch, tmp_path):
    """A kept descent gives the same numbers, and takes no gradient."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from flow.descents import descend

    start, calls = torch.ones(2, dtype=torch.float64), []

    def loss(theta: torch.Tensor) -> torch.Tensor:
        calls.append(None)
        return theta.square().sum() / 2

    first = descend(loss, start, 1.0, 0.1, tmp_path)
    made = len(calls)
    assert descend(loss, start, 1.0, 0.1, tmp_path) == first
    assert len(calls) == made == 11
    # |Δθ|² of (1 − η)ᵏ, and T/T_SL = T·ΔL/|Δθ|².
    left = 0.9**10
    assert first["w2_squared"] == pytest.approx(2 * (1 - left) ** 2, rel=1e-12)
    assert first["inefficiency"] == pytest.approx((1 - left**2) / (2 * (1 - left) ** 2), rel=1e-12)
