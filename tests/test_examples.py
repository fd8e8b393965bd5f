"""Every example runs as a user runs it."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# README shows what it prints. The others are run by `make docs` as well, which fails where one does.
SHOWN = "training_loop.py"


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[] if path.name == SHOWN else [pytest.mark.slow]) for path in EXAMPLES],
    ids=lambda path: path.name,
)
def test_example_runs(path, tmp_path):
    """The script ends well and prints a verdict; it is left out where its trainer is not installed."""
    for package in re.findall(r"^from (lightning|transformers)\b", path.read_text(), flags=re.MULTILINE):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    process = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert "times slower than the limit" in process.stdout
    if path.name == SHOWN:
        # Another processor may round another way: 300 steps of Adam make that 1 % at most.
        (shown,) = re.findall(r"^# Noise and all: (T = .*)", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
        (printed,) = re.findall(r"^Noise and all: (.*)", process.stdout, flags=re.MULTILINE)
        number = r"\d+(?:\.\d+)?(?:e-\d+)?"
        assert re.sub(number, "#", shown) == re.sub(number, "#", printed)
        found, said = ([float(each) for each in re.findall(number, text)] for text in (printed, shown))
        assert found == pytest.approx(said, rel=0.01)
