"""How the package is built: no import circle, and no function too long to read at once."""

import ast
from pathlib import Path

import pytest

import speedlimits

ROOT = Path(speedlimits.__file__).parent
LONGEST = 50
# The step of the flow's solver is one thought: try, judge, accept; its parts share eight numbers.
LONGER = {"step": "dynamics/flow/gradient_flow.py"}


def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = ("speedlimits", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: set[str]) -> set[str]:
    """What a module imports at any time, within functions too; imports for type checkers do not count."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in hidden:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else str(node.module) for name in names}
    return found & known


def test_no_import_circle():
    """Modules can be put in an order in which each imports only earlier ones, late imports included."""
    files = modules()
    left = {name: imports(path, set(files)) - {name} for name, path in files.items()}
    while free := {name for name, needed in left.items() if not needed & left.keys()}:
        left = {name: needed for name, needed in left.items() if name not in free}
    assert not left, sorted(left)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_short(path):
    """No function has more than fifty lines besides its docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and LONGER.get(node.name) != str(path.relative_to(ROOT)):
            doc = ast.get_docstring(node, clean=False) or ""
            lines = (node.end_lineno or 0) - node.lineno + 1 - (doc.count("\n") + 1 if doc else 0)
            assert lines <= LONGEST, f"{node.name} has {lines} lines"
