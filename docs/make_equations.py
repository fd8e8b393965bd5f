"""Fill the columns "function" and "proved by" of EQUATIONS.md from the tags in docstrings, such as "Eq. (13)".

Run: python docs/make_equations.py [--check]

Rows, and the columns "what it says" and "status", are written by hand.
"""

import argparse
import ast
import re
import sys
from collections import defaultdict
from pathlib import Path
from types import UnionType

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "speedlimits"
LEDGER = ROOT / "EQUATIONS.md"
# "Eq. (7)", "Eqs. (5), (24) and (48)", "Eqs. (29)–(31)".
TAG = re.compile(r"\bEqs?\.\s+(?P<numbers>\(\d+\)(?:(?:–|,\s+|\s+and\s+)\(\d+\))*)")
ROW = re.compile(r"^\| \((\d+)\) \|.*$", re.MULTILINE)


def numbers_in(text: str) -> set[int]:
    """Every equation a text names by its tag, ranges filled."""
    found: set[int] = set()
    for match in TAG.finditer(text):
        for first, _, last in re.findall(r"\((\d+)\)(–\((\d+)\))?", match["numbers"]):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def docstrings(path: Path, kinds: type | UnionType = object) -> list[tuple[str, str]]:
    """Dotted name and docstring of a module, its classes, functions and methods; "" is the module itself."""

    def walk(node: ast.Module | ast.ClassDef | ast.FunctionDef, name: str) -> list[tuple[str, str]]:
        inner = [child for child in node.body if isinstance(child, ast.ClassDef | ast.FunctionDef)]
        found = [pair for child in inner for pair in walk(child, f"{name}.{child.name}".strip("."))]
        return [(name, ast.get_docstring(node) or ""), *found] if isinstance(node, kinds) else found

    return walk(ast.parse(path.read_text(encoding="utf-8")), "")


def tagged_functions() -> dict[int, set[str]]:
    """Number to the functions and methods whose docstring claims it in its first paragraph; the rest only remarks."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for name, doc in docstrings(path, ast.FunctionDef):
            for number in numbers_in(doc.split("\n\n")[0]):
                found[number].add(f"{module}.{name}".strip("."))
    return found


def tagged_tests() -> dict[int, set[str]]:
    """Number to the tests that name it, as pytest calls them; a file or a helper that names it proves nothing."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        for name, doc in docstrings(path, ast.FunctionDef):
            if name.startswith("test_"):
                for number in numbers_in(doc):
                    found[number].add(f"{path.relative_to(ROOT).as_posix()}::{name}")
    return found


def cells(row: str) -> list[str]:
    """Number, what it says, function, proved by, status."""
    return [cell.strip() for cell in row.strip("| ").split(" | ")]


def render(text: str) -> str:
    """The ledger with both columns filled.

    Args:
        text: as it stands.

    Returns:
        As it should stand.
    """
    functions, tests = tagged_functions(), tagged_tests()

    def fill(match: re.Match) -> str:
        number, says, _, _, status = cells(match[0])
        found = (functions[int(match[1])], tests[int(match[1])])
        names, files = (", ".join(f"`{name}`" for name in sorted(column)) for column in found)
        return f"| {number} | {says} | {names} | {files} | {status} |"

    return ROW.sub(fill, text)


def main() -> None:
    """Fill the columns, or only compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if EQUATIONS.md is not current")
    before = LEDGER.read_text(encoding="utf-8")
    after = render(before)
    if not parser.parse_args().check:
        LEDGER.write_text(after, encoding="utf-8")
    elif after != before:
        sys.exit("EQUATIONS.md is not current: run python docs/make_equations.py")


if __name__ == "__main__":
    main()
