"""Expressions read as arithmetic: right where allowed, refused by name everywhere else, never run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speedlimits.cli.theory.expression import FUNCTIONS, potential_from_expression

X = np.linspace(-2.0, 2.0, 9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x**2 + 1.5*(x-1.2)**4", X**2 + 1.5 * (X - 1.2) ** 4),
        ("-x**2", -(X**2)),
        ("2 - 3 - x/2/4", -1 - X / 8),
        (" +cosh(2*x) - tanh(abs(x))*exp(-x**2)", np.cosh(2 * X) - np.tanh(np.abs(X)) * np.exp(-(X**2))),
        ("sqrt(1 + sin(x)**2)*cos(x)", np.sqrt(1 + np.sin(X) ** 2) * np.cos(X)),
        ("abs(x)**-0.5", np.array([np.inf if x == 0 else abs(x) ** -0.5 for x in X])),
        ("3", np.full(9, 3.0)),
    ],
)
def test_arithmetic(text, expected):
    """Precedence, unary signs, functions and constants are those of written mathematics."""
    assert potential_from_expression(text)(X) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x^2", r"found 'x\^2'"),
        ("y", "found 'y'"),
        ("__import__('os').system('true')", r"found \"__import__\('os'\)\.system\('true'\)\""),
        ("x.real", r"found 'x\.real'"),
        ("exp(x, x)", r"found 'exp\(x, x\)'"),
        ("exp(x, out=x)", r"found 'exp\(x, out=x\)'"),
        ("exp", "found 'exp'"),
        ("True", "found 'True'"),
        ("1j*x", "found '1j'"),
        ("[x]", r"found '\[x\]'"),
        ("(lambda: x)()", "found"),
        ("x if x else 1", "found"),
        ("x < 1", "found 'x < 1'"),
        ("2**x", "as exponents; found 'x'"),
        ("9**9**9", r"as exponents; found '9\*\*9'"),
        ("x**65", "at most 64 in size as exponents; found '65'"),
        ("x**--2", "as exponents"),
        ("x**'2'", "as exponents"),
        ("9" * 400, "must have numbers below 1e308"),
        ("x**1e999", "as exponents"),
        ("", "must be an expression in x; found ''"),
        ("x +", r"must be an expression in x; found 'x \+'"),
        ("x; x", "must be an expression in x"),
        ("x\0", "must be an expression in x"),
        ("(" * 300 + "x" + ")" * 300, "must be an expression in x"),
        ("[" + "-" * 900 + "x]", "must use only numbers|must be an expression"),
        ("-" * 900 + "x", "must nest at most 50 levels|must be an expression"),
        ("+x" * 60, "must nest at most 50 levels deep"),
        ("x" * 1001, "must be text of at most 1000 characters; found 1001"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_everything_else_is_refused_in_one_line(text, found):
    """The error names `potential`, the rule and what was found."""
    with pytest.raises(ValueError, match=found) as error:
        potential_from_expression(text)
    assert str(error.value).startswith("`potential` must ")
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("as_user")
def test_only_text_is_read():
    """A number is no expression."""
    with pytest.raises(ValueError, match="`potential` must be text of at most 1000 characters; found int"):
        potential_from_expression(3)


# Constants as arrays: plain floats would raise where arrays overflow.
leaves = st.sampled_from(["x", "(0*x+0.5)", "(0*x+3)"])
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: f"({''.join(parts)})"),
        st.tuples(inner, st.sampled_from(["2", "3", "0.5", "-1"])).map(lambda parts: f"(({parts[0]})**{parts[1]})"),
        st.tuples(st.sampled_from(sorted(FUNCTIONS)), inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
        inner.map(lambda text: f"-{text}"),
    ),
    max_leaves=8,
)


@given(expressions)
def test_agrees_with_the_language_on_what_it_allows(text):
    """Random allowed expressions: the same numbers as the interpreter computes over NumPy arrays."""
    with np.errstate(all="ignore"):
        expected = eval(text, {"x": X, "__builtins__": {}} | FUNCTIONS)
    np.testing.assert_array_equal(potential_from_expression(text)(X), expected)


@settings(max_examples=300)
@given(
    st.text(alphabet="x0123456789.+-*/()[]{}^%&|~<>=!,:;'\"\\_ \n\tabcdefgilnopqrst", max_size=60)
    | st.text(max_size=30)
)
@pytest.mark.usefixtures("as_user")
def test_any_text_is_read_or_refused(text):
    """Fuzz: whatever is typed gives numbers of the right shape or the one-line error, nothing else."""
    try:
        potential = potential_from_expression(text)
    except ValueError as error:
        assert str(error).startswith("`potential` must ")  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert potential(X).shape == X.shape
