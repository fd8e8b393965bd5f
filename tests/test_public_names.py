"""What `import speedlimits` offers: few names, all documented, torch only when needed."""

import ast
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import speedlimits

SOURCES = sorted(Path(speedlimits.__file__).parent.rglob("*.py"))


def test_root_names_are_few_and_exist():
    """Twelve names or fewer, each importable and documented."""
    assert len(speedlimits.__all__) <= 12
    for name in set(speedlimits.__all__) - {"__version__"}:
        assert inspect.getdoc(getattr(speedlimits, name)), name
    assert dir(speedlimits) == speedlimits.__all__
    with pytest.raises(AttributeError, match="no attribute 'warp_drive'"):
        speedlimits.warp_drive  # noqa: B018


def test_version_is_stated_once_more_correctly():
    """`__version__` is that of the installed package."""
    assert speedlimits.__version__ == version("speedlimits")


def test_importing_the_package_does_not_import_torch():
    """The analysis arm starts in a fraction of a second and runs without torch."""
    modules = "speedlimits, speedlimits.theory.constant_kernel, speedlimits.report.pages.page"
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(Path(speedlimits.__file__).parent)))
def test_every_public_name_says_what_it_takes_and_gives(path):
    """Public functions document their arguments and results; modules are one sentence and at most 300 lines."""
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says its one sentence"
    assert text.count("\n") <= 330, "a module of more than 300 lines is split by quantity"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            doc = ast.get_docstring(node) or ""
            arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            one_line = "\n" not in doc
            assert doc, f"{node.name} has no docstring"
            assert one_line or all(f"{a}:" in doc for a in arguments) or "Args:" not in doc, node.name
