"""Potentials from text such as ``"x**2 + 1.5*(x-1.2)**4"``, read as arithmetic and never executed."""

import ast
import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Potential = Callable[[np.ndarray], np.ndarray]

LONGEST, DEEPEST, LARGEST_EXPONENT = 1000, 50, 64.0
FUNCTIONS = {
    name: getattr(np, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "abs")
}
OPERATORS = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.UAdd: np.positive,
    ast.USub: np.negative,
}


def from_expression(name: str, text: str) -> Potential:
    """A function of x from arithmetic, as `potential_from_expression` reads it.

    Args:
        name: of the argument, for the error.
        text: the expression.

    Returns:
        The function.

    Raises:
        ValueError: naming what was found, if the text is anything else.
    """
    try:
        return potential_from_expression(text)
    except ValueError as error:
        raise ValueError(str(error).replace("`potential`", f"`{name}`", 1)) from None


def potential_from_expression(text: str) -> Potential:
    r"""Potential V(x) from arithmetic in x.

    Allowed are numbers, x, + - * / ** with constant exponents up to 64 in size, parentheses, and
    exp, log, sqrt, sin, cos, tan, sinh, cosh, tanh, abs of one argument.

    Args:
        text: the expression, up to 1000 characters and 50 levels of nesting.

    Returns:
        V, for an array of x; infinite or not a number where the arithmetic is.

    Raises:
        ValueError: naming what was found, if the text is anything else.
    """
    if not isinstance(text, str) or len(text) > LONGEST:
        found = f"{len(text)} characters" if isinstance(text, str) else type(text).__name__
        raise ValueError(f"`potential` must be text of at most {LONGEST} characters; found {found}.")
    text = text.strip()
    try:
        with warnings.catch_warnings():
            # Only texts refused below, such as strings, make the parser warn.
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"`potential` must be an expression in x; found {_shown(text)}.") from None
    _check(tree, text, DEEPEST)

    def potential(x: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        x = np.asarray(x, dtype=float)
        with np.errstate(all="ignore"):
            # A constant is a potential too.
            return _value(tree, x) + np.zeros_like(x)

    return potential


def _check(node: ast.expr, text: str, depth: int) -> None:
    if depth == 0:
        raise ValueError(f"`potential` must nest at most {DEEPEST} levels deep; found more.")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            _number(number)
        case ast.Name(id="x"):
            pass
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            _check(operand, text, depth - 1)
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            _check(base, text, depth - 1)
            _check_exponent(exponent, text)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
            _check(left, text, depth - 1)
            _check(right, text, depth - 1)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            _check(argument, text, depth - 1)
        case _:
            raise ValueError(
                "`potential` must use only numbers, x, + - * / **, parentheses and "
                f"{', '.join(FUNCTIONS)}; found {_shown(ast.get_source_segment(text, node) or '')}."
            )


def _check_exponent(node: ast.expr, text: str) -> None:
    number = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    match number:
        case ast.Constant(value=int() | float() as value) if _number(value) <= LARGEST_EXPONENT:
            return
    raise ValueError(
        f"`potential` must have numbers of at most {LARGEST_EXPONENT:g} in size as exponents; "
        f"found {_shown(ast.get_source_segment(text, node) or '')}."
    )


def _number(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("`potential` must have numbers below 1e308; found a larger one.") from None


def _value(node: ast.expr, x: np.ndarray) -> np.ndarray | np.float64:
    match node:
        case ast.Constant(value=int() | float() as number):
            return np.float64(number)
        case ast.UnaryOp(op=op, operand=operand):
            return OPERATORS[type(op)](_value(operand, x))
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](_value(left, x), _value(right, x))
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return FUNCTIONS[name](_value(argument, x))
        case _:
            return x


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
