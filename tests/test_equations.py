"""The ledger of equations, EQUATIONS.md, says what the docstrings of code and tests say, no more and no less."""

import ast
import importlib
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "speedlimits"
NUMBERS = range(1, 84)
# "Eq. (7)", "Eqs. (5), (24) and (48)", "Eqs. (29)–(31)".
TAG = re.compile(r"\bEqs?\.\s+(?P<numbers>\(\d+\)(?:(?:–|,\s+|\s+and\s+)\(\d+\))*)")

pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason="not a source checkout")


@dataclass(frozen=True)
class Row:
    """One line of the ledger."""

    number: int
    functions: set[str]
    tests: set[str]
    status: str


@cache
def ledger() -> list[Row]:
    lines = [line for line in (ROOT / "EQUATIONS.md").read_text().splitlines() if re.match(r"\| \(\d+\)", line)]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [
        Row(int(number.strip("()")), set(re.findall("`(.+?)`", functions)), set(re.findall("`(.+?)`", tests)), status)
        for number, _, functions, tests, status in cells
    ]


def numbers_in(text: str) -> set[int]:
    """Every equation a text names by its tag, ranges filled."""
    found: set[int] = set()
    for match in TAG.finditer(text):
        for first, _, last in re.findall(r"\((\d+)\)(–\((\d+)\))?", match["numbers"]):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def docstrings(path: Path) -> list[tuple[str, str]]:
    """Dotted name and docstring of the module, its classes, functions and methods; "" for the module itself."""

    def walk(node: ast.Module | ast.ClassDef | ast.FunctionDef, name: str) -> list[tuple[str, str]]:
        inner = [child for child in node.body if isinstance(child, ast.ClassDef | ast.FunctionDef)]
        found = [pair for child in inner for pair in walk(child, f"{name}.{child.name}".strip("."))]
        return [(name, ast.get_docstring(node) or ""), *found]

    return walk(ast.parse(path.read_text()), "")


@cache
def tagged_functions() -> dict[int, set[str]]:
    """Number to everything in the package whose docstring claims it; a Note only remarks on the paper."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for name, doc in docstrings(path):
            for number in numbers_in(doc.split("\nNote:")[0]):
                found[number].add(f"{module}.{name}".strip("."))
    return found


@cache
def tagged_tests() -> dict[int, set[str]]:
    """Number to the test files that name it."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        for _, doc in docstrings(path):
            for number in numbers_in(doc):
                found[number].add(str(path.relative_to(ROOT)))
    return found


def exists(name: str) -> bool:
    """Whether a dotted name under the package can be imported, whatever it needs (torch too)."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module("speedlimits." + ".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            thing = getattr(thing, part, None)
        return thing is not None
    return False


def test_every_equation_has_its_row():
    """The rows are (1) to (83), each once, in order."""
    assert [row.number for row in ledger()] == list(NUMBERS)


def test_every_function_exists():
    """What a row names can be imported."""
    missing = {name for row in ledger() for name in row.functions if not exists(name)}
    assert not missing


def test_rows_name_what_carries_their_tag():
    """A row names exactly the functions, classes and modules whose docstring has its number."""
    tagged = tagged_functions()
    absent = {row.number: names for row in ledger() if (names := tagged[row.number] - row.functions)}
    unclaimed = {row.number: names for row in ledger() if (names := row.functions - tagged[row.number])}
    assert not absent, "docstrings have these tags, EQUATIONS.md does not name them"
    assert not unclaimed, "EQUATIONS.md names these, their docstrings do not have the tag"
    assert set(tagged) <= set(NUMBERS)


def test_rows_name_the_tests_that_prove_them():
    """Every test file that names an equation stands in its row; what stands there names it, or one of its functions."""
    tagged = tagged_tests()
    absent = {row.number: files for row in ledger() if (files := tagged[row.number] - row.tests)}
    assert not absent, "tests have these tags, EQUATIONS.md does not name them"
    for row in ledger():
        for file in row.tests - tagged[row.number]:
            text = (ROOT / file).read_text()
            assert any(name.split(".")[-1] in text for name in row.functions), f"({row.number}) is not in {file}"
    assert set(tagged) <= set(NUMBERS)


def test_what_is_computed_is_proved():
    """A row with a function has a test; only a definition or a step between equations has neither."""
    for row in ledger():
        kind = row.status.split(":")[0]
        assert kind in {"as printed", "corrected", "definition", "derivation step"}, row
        assert bool(row.functions) == bool(row.tests), row
        assert row.functions or kind in {"definition", "derivation step"}, row


def test_corrections_are_explained():
    """Every equation the ledger corrects is on the page of errata."""
    explained = numbers_in((ROOT / "docs" / "errata.md").read_text())
    corrected = {row.number for row in ledger() if row.status.startswith("corrected")}
    assert corrected <= explained


def test_tags_can_be_read():
    """Every "Eq." in a docstring is followed by numbers as these tests read them."""
    for path in [*SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("test_*.py")]:
        if path != Path(__file__):
            for name, doc in docstrings(path):
                assert len(re.findall(r"\bEqs?\.", doc)) == len(TAG.findall(doc)), f"{path}: {name}"
