"""The ledger of equations, EQUATIONS.md: every equation once, and what is computed is proved."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation._targets import resolve

ROOT = Path(__file__).parents[1]
# The paper's, and ours.
NUMBERS = [*range(1, 84), *range(101, 122)]

pytestmark = pytest.mark.skipif(not (ROOT / "docs").exists(), reason="not a source checkout")


@pytest.fixture(name="equations")
def _equations(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("make_equations")


@pytest.fixture(name="ledger")
def _ledger(equations) -> dict[int, list[str]]:
    rows = [match for match in equations.ROW.finditer(equations.LEDGER.read_text(encoding="utf-8"))]
    assert [int(row[1]) for row in rows] == NUMBERS, "the rows are (1) to (83), then ours, each once, in order"
    return {int(row[1]): equations.cells(row[0]) for row in rows}


def test_ledger_is_current():
    """Both columns of names are what docs/make_equations.py finds in the docstrings."""
    command = [sys.executable, str(ROOT / "docs" / "make_equations.py"), "--check"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_what_is_computed_is_proved(ledger):
    """A row with a function has a test that names it; only a definition or a derivation step may have neither."""
    for number, (_, _, functions, tests, status) in ledger.items():
        kind = status.split(":")[0]
        assert kind in ({"ours"} if number > 100 else {"as printed", "corrected", "definition", "derivation step"}), (
            number
        )
        assert bool(functions) == bool(tests), number
        assert functions or kind in {"definition", "derivation step"}, number


def test_names_are_those_of_functions_and_tests(ledger):
    """Each name in a row is whole: the module and name of a function here, the file and name of a test."""
    for number, (_, _, functions, tests, _) in ledger.items():
        for name in re.findall("`(.+?)`", functions):
            assert resolve(name).__name__ == name.split(".")[-1], number
        for name in re.findall("`(.+?)`", tests):
            path, test = name.split("::")
            assert re.search(rf"^def {test}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), number


def test_corrections_are_explained(equations, ledger):
    """Every equation the ledger corrects is on the page of errata."""
    explained = equations.numbers_in((ROOT / "docs" / "errata.md").read_text(encoding="utf-8"))
    assert {number for number, row in ledger.items() if row[-1].startswith("corrected")} <= explained


def test_tags_can_be_read(equations):
    """Every "Eq." in a docstring is followed by numbers of the ledger, as the script reads them."""
    for path in [*equations.SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("test_*.py")]:
        if path != Path(__file__):
            for name, doc in equations.docstrings(path):
                assert len(re.findall(r"\bEqs?\.", doc)) == len(equations.TAG.findall(doc)), f"{path}: {name}"
                assert equations.numbers_in(doc) <= set(NUMBERS), f"{path}: {name}"
