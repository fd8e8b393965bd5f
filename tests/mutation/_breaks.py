"""The ways to break a function: each arithmetic term scaled, dropped, or joined by the wrong sign."""

import ast
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.mutation._equivalent import EQUIVALENT

SCALE = 1.01
NAME = "__broken__"  # what a broken term is replaced by, in the function's own globals

# What is never broken, and why:
# - errors, texts and statements without a value: they change no number;
# - subscripts: they say which number, and a wrong one is an error more often than a wrong number;
# - comparisons: they choose between two forms of one number, and each form is broken by itself;
# - arguments of these names: they say how exactly a number is found, or in which shape;
# - arguments of checks, of private helpers, which are broken themselves, and of what only looks at a shape;
# - what a loop of checks runs over, and the number by which `np.where` keeps an unused quotient from a zero below.
SKIPPED = (ast.Raise, ast.Assert, ast.JoinedStr, ast.Compare, ast.BoolOp)
PRECISION = {
    "axis",
    "atol",
    "rtol",
    "epsabs",
    "epsrel",
    "tolerance",
    "maxiter",
    "limit",
    "dtype",
    "points",
    "num",
    "spacing",
}
UNSEEN = {"len", "zeros_like", "ones_like", "empty_like", "full_like", "zeros", "empty", "isfinite", "isnan", "blocks"}

OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.MatMult: operator.matmul,
    ast.Pow: operator.pow,
}
SWAPPED: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
}
MARKS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@", ast.Pow: "**"}


def is_number(value: object) -> bool:
    """Whether a value is a number or an array of them, and not a flag."""
    if isinstance(value, bool | np.bool_):
        return False
    if isinstance(value, int | float | complex | np.number):
        return True
    kind = getattr(value, "dtype", None)
    return kind is not None and hasattr(value, "shape") and "bool" not in str(kind) and "object" not in str(kind)


def is_count(value: object) -> bool:
    """Whether a number counts or indexes things."""
    return isinstance(value, int) or "int" in str(getattr(value, "dtype", ""))


def scaled(value: Any, *, counts: bool) -> Any:
    """A number that is 1 % off: zero and what is not finite become another number, a count one more if `counts`."""
    if not is_number(value) or (is_count(value) and not counts):
        return value
    if is_count(value):
        return value + 1
    if not hasattr(value, "shape") or value.shape == ():
        return value * SCALE if value != 0 and abs(value) < np.inf else value * 0 + 0.01 if value == 0 else 0.5
    return value * SCALE + 0.01 if not value.any() else value * SCALE


@dataclass
class Break:
    """One way to break a function: what stands in place of one term.

    Args:
        what: for a reader.
        place: node, field and index (if the field is a list) of the term.
        terms: the expressions that are still evaluated.
        value: their values to the term's right value.
        wrong: their values to its wrong value.
        lines: of the statement.
    """

    what: str
    place: tuple[ast.AST, str, int | None]
    terms: list[ast.expr]
    value: Callable[..., Any]
    wrong: Callable[..., Any]
    lines: range = range(0)
    met: set[str] = field(default_factory=set)

    def __call__(self, *terms: Any) -> Any:
        """What the broken function computes instead; notes whether the term was met, and whether it was a number."""
        right = self.value(*terms)
        self.met.add("reached")
        if not is_number(right):
            return right
        wrong = self.wrong(*terms)
        if not same(right, wrong):
            self.met.add("changed")
        return wrong


def same(right: Any, wrong: Any) -> bool:
    """Whether two numbers are equal, bit for bit."""
    if wrong is right:
        return True
    try:
        return bool(np.array_equal(np.asarray(right), np.asarray(wrong), equal_nan=True))
    except (TypeError, RuntimeError):
        return False


def _identity(value: Any) -> Any:
    return value


def _operations(node: ast.BinOp) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Wrong values of one operation on two numbers.

    Yields:
        What is wrong, and the wrong operation.
    """
    kind = type(node.op)
    right = OPERATORS[kind]

    def scale_left(a: Any, b: Any) -> Any:
        return right(scaled(a, counts=True), b)

    def scale_right(a: Any, b: Any) -> Any:
        return right(a, scaled(b, counts=True))

    if kind in {ast.Add, ast.Sub}:
        yield "left 1 % off", scale_left
        yield "right 1 % off", scale_right
        yield "left dropped", lambda a, b: right(a * 0, b)
        yield "right dropped", lambda a, b: right(a, b * 0)
    elif kind is ast.Pow:
        yield "exponent off", scale_right
        yield "exponent dropped", lambda a, b: a
    else:
        yield "1 % off", lambda a, b: scaled(right(a, b), counts=True)
    if kind in {ast.Mult, ast.Div}:
        yield "left dropped", lambda a, b: right(_one(a), b)
        yield "right dropped", lambda a, b: right(a, _one(b))
    if swap := SWAPPED.get(kind):
        yield f"{MARKS[swap]} for {MARKS[kind]}", lambda a, b: OPERATORS[swap](a, b)


def _one(value: Any) -> Any:
    """A factor without effect, in the shape of the one it replaces."""
    return value * 0 + 1 if hasattr(value, "shape") else 1


def _of(node: ast.AST) -> Iterator[tuple[str, ast.AST, str, int | None, ast.expr]]:
    """Every expression below a node that may be a number.

    Yields:
        Its role, its place, itself.
    """
    for name, value in ast.iter_fields(node):
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or isinstance(child, SKIPPED) or skipped(node, name, child):
                continue
            if isinstance(child, ast.expr):
                yield role(node, name), node, name, index, child
            yield from _of(child)


def skipped(node: ast.AST, name: str, child: ast.AST) -> bool:
    """Whether what a field holds is no term of the function; see the head of this module."""
    if isinstance(child, ast.keyword):
        return child.arg in PRECISION
    if isinstance(child, ast.Call):
        of_text = isinstance(child.func, ast.Attribute) and isinstance(child.func.value, ast.Constant)
        if of_text or ast.unparse(child.func).startswith("np.empty"):
            return True
    if isinstance(node, ast.For) and name == "iter":
        return all(isinstance(line, ast.Expr | ast.If | ast.Raise) for line in node.body)
    if isinstance(node, ast.Call) and name == "args":
        called = ast.unparse(node.func).split(".")[-1]
        if called in UNSEEN or called.startswith(("_", "check_")):
            return not isinstance(child, ast.BinOp | ast.UnaryOp)
    return (
        (isinstance(node, ast.Subscript) and name == "slice")
        or (isinstance(node, ast.FunctionDef | ast.Lambda) and name != "body")
        or (isinstance(node, ast.arg | ast.AnnAssign) and name == "annotation")
        or (isinstance(node, ast.Expr) and not isinstance(child, ast.Yield | ast.YieldFrom))
        or name in {"test", "ifs", "func", "targets", "target", "items"}
    )


def role(node: ast.AST, name: str) -> str:
    """What an expression is to its parent: "argument", "value" or "operand"."""
    if isinstance(node, ast.Call | ast.keyword):
        return "argument"
    if isinstance(node, ast.Return | ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Yield | ast.Tuple | ast.Lambda):
        return "value"
    return "element" if isinstance(node, ast.List | ast.IfExp | ast.GeneratorExp | ast.ListComp) else "operand"


def breaks(name: str, function: ast.FunctionDef) -> Iterator[Break]:
    """Every way to break a function.

    Args:
        name: qualified, as in `EQUIVALENT`.
        function: as parsed.

    Yields:
        One break each.
    """
    unused = set(_unused(function))
    for part, node, place, index, child in list(_of(function)):
        if child in unused or (isinstance(child, ast.Constant) and not is_number(child.value)):
            continue
        text = ast.unparse(child)
        if {(name, text), (name, f"{ast.unparse(node)}: {text}")} & EQUIVALENT.keys():
            continue
        for broken in _at(part, (node, place, index), child):
            if (name, broken.what.partition(": ")[2]) in EQUIVALENT:
                continue
            broken.lines = range(child.lineno, (child.end_lineno or child.lineno) + 1)
            yield broken


def _unused(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """The constants of `x / np.where(…, 1.0, y)`, which stand below what is not used.

    Yields:
        Each of them.
    """
    for node in ast.walk(function):
        below = node.right if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) else None
        if isinstance(below, ast.Call) and ast.unparse(below.func) == "np.where":
            yield from (child for child in below.args if isinstance(child, ast.Constant))


def _at(part: str, place: tuple[ast.AST, str, int | None], child: ast.expr) -> Iterator[Break]:
    """Every way to break one expression.

    Yields:
        One break each.
    """
    node, name, _ = place
    text = f"line {child.lineno}: {ast.unparse(child)[:80]}"
    if isinstance(child, ast.BinOp) and type(child.op) in OPERATORS:
        for what, wrong in _operations(child):
            yield Break(f"{text}: {what}", place, [child.left, child.right], OPERATORS[type(child.op)], wrong)
    elif isinstance(child, ast.UnaryOp) and isinstance(child.op, ast.USub):
        yield Break(f"{text}: sign", place, [child.operand], operator.neg, _identity)
    elif part != "operand" and isinstance(child, ast.Name | ast.Attribute | ast.Call | ast.Constant | ast.Subscript):
        off = _off_but_counts if part == "argument" else _off
        yield Break(f"{text}: {part} 1 % off", place, [child], _identity, off)
    if isinstance(node, ast.AugAssign) and name == "value" and type(node.op) in SWAPPED:
        yield Break(f"{text}: sign of the update", place, [child], _identity, _opposite(node.op))


def _off(value: Any) -> Any:
    return scaled(value, counts=True)


def _off_but_counts(value: Any) -> Any:
    """Counts that a function is called with are nodes, sizes and seeds: as in PRECISION."""
    return scaled(value, counts=False)


def _opposite(operation: ast.operator) -> Callable[[Any], Any]:
    return operator.neg if isinstance(operation, ast.Add | ast.Sub) else lambda value: 1 / value
