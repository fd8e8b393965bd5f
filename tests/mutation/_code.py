"""The code of a function with one of its terms broken, compiled from the syntax tree of its module."""

import ast
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

from tests.mutation._breaks import NAME, Break


class Module:
    """A source file, from which the code of one broken function at a time is made.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))

    def function(self, qualified: str) -> ast.FunctionDef:
        """The function of a qualified name, such as "Class.method"."""
        node: ast.AST = self.tree
        for name in qualified.split("."):
            found = [child for child in getattr(node, "body", []) if getattr(child, "name", None) == name]
            node = found[-1]
        assert isinstance(node, ast.FunctionDef)
        return node

    def code(self, qualified: str, broken: Break) -> CodeType:
        """The function's code with one term broken; the term is a call of `NAME`."""
        node, name, index = broken.place
        call = ast.Call(ast.Name(NAME, ast.Load()), broken.terms, [])
        before = getattr(node, name)
        after = [*before[:index], call, *before[index + 1 :]] if index is not None else call
        setattr(node, name, after)
        try:
            whole = compile(ast.fix_missing_locations(self.tree), str(self.path), "exec")
        finally:
            setattr(node, name, before)
        return next(code for code in codes(whole) if code.co_qualname == qualified)


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and all within it.

    Yields:
        Each of them.
    """
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)
