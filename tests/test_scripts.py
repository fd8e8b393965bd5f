"""`make figures` and `make bench` list what draws and what measures."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="not a source checkout")


@pytest.fixture
def lists(monkeypatch):
    """The script behind both lists."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("list_scripts")


def test_every_benchmark_is_listed(lists):
    """Every file that can be run is there, with one sentence and a command that names it."""
    found = lists.benchmarks()
    runnable = [path for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")]
    assert [script.name for script in found] == sorted(str(path.relative_to(ROOT)) for path in runnable)
    for script in found:
        assert script.sentence.endswith(".")
        assert script.name in script.run


def test_every_figure_of_the_documentation_is_listed(lists):
    """Each PNG under docs/ is named by what draws it, and nothing else is."""
    drawn = " ".join(script.draws for script in lists.figures())
    built = {ROOT / "docs" / "_build", ROOT / "docs" / "gallery"}
    for path in (ROOT / "docs").rglob("*.png"):
        assert built & set(path.parents) or path.name in drawn, path
    for script in lists.figures():
        assert script.run
        assert (ROOT / script.draws.split(",")[0].split(" ")[0]).exists()


@pytest.mark.parametrize("name", ["make_trust_table", "make_advice_tables"])
def test_tables_are_those_of_the_results(name, monkeypatch):
    """No number in the tables of docs/trust.md and docs/advice.md is typed by hand."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    table = importlib.import_module(name)
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.written(page) == page
