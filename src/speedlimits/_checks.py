"""Argument checks with one error shape: argument, rule, value.

Every check raises ``ValueError("`name` must be <rule>; name[3] = -0.12.")`` for the first offending element.
"""

from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from numbers import Real

import numpy as np

# Seeds below this have streams of their own in every generator.
SEEDS = 2**32
# Characters of a value in a message.
SHOWN = 80


def shown(value: object) -> str:
    """A value on one line, for a message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def real(name: str, value: object, rule: str = "real numbers") -> np.ndarray:
    """The value as an array of float64, unless that would drop something: an imaginary part, a mask, a unit, a letter.

    Args:
        name: of the argument.
        value: numbers.
        rule: that the message gives.

    Returns:
        The array.

    Raises:
        ValueError: if the value is anything but real numbers.
    """

    def problem() -> str:
        # Not before it is needed: the text of an array takes far longer than its check.
        return f"`{name}` must be {rule}; {name} = {shown(value)}"

    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"`{name}` must be {rule}; {name} is a masked array (fill it, or leave masked values out).")
    try:
        array = np.asarray(value)
    # Foreign arrays raise what they like, torch's a RuntimeError where they need gradients.
    except Exception:
        raise ValueError(f"{problem()}.") from None
    if array.dtype.kind == "c":
        raise ValueError(f"{problem()}: complex numbers have no order, and no part of them is left out.")
    if array.dtype.kind == "O":
        # Fractions and decimals are real numbers; texts and truth values are not, though float() takes them.
        if not all(isinstance(each, Real | Decimal) and not isinstance(each, bool) for each in array.flat):
            raise ValueError(f"{problem()}.")
    elif array.dtype.kind not in "fiu":
        raise ValueError(f"{problem()}.")
    try:
        return array.astype(float, copy=False)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{problem()}.") from None


def check_finite(name: str, value: object) -> None:
    """Raise unless every element is a finite number."""
    _check(name, value, "finite", np.isfinite)


def check_positive(name: str, value: object) -> None:
    """Raise unless every element is finite and > 0."""
    _check(name, value, "positive and finite", lambda x: (x > 0) & np.isfinite(x))


def check_non_negative(name: str, value: object) -> None:
    """Raise unless every element is finite and ≥ 0."""
    _check(name, value, "non-negative and finite", lambda x: (x >= 0) & np.isfinite(x))


def check_increasing(name: str, values: object) -> None:
    """Raise unless the elements grow strictly."""
    array = np.atleast_1d(real(name, values, "strictly increasing"))
    check_shape(name, array, (None,))
    bad = np.flatnonzero(~(np.diff(array) > 0))
    if bad.size:
        first = int(bad[0])
        raise ValueError(
            f"`{name}` must be strictly increasing; "
            f"{name}[{first}:{first + 2}] = {array[first]:.17g}, {array[first + 1]:.17g}."
        )


def check_integer(name: str, value: object, *, minimum: int, maximum: int | None = None) -> None:
    """Raise unless the value is an integer (not a bool) of at least ``minimum``, and of at most ``maximum``."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"`{name}` must be an integer of at least {minimum}; {name} = {shown(value)}.")
    if maximum is not None and value > maximum:
        raise ValueError(f"`{name}` must be an integer of at most {maximum}; {name} = {shown(value)}.")


def check_seed(name: str, value: object) -> None:
    """Raise unless the value is an integer that torch's generator tells from every other: it reads 32 bits."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 0 <= value < SEEDS:
        raise ValueError(f"`{name}` must be an integer from 0 to {SEEDS - 1}; {name} = {shown(value)}.")


def check_one_of(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise unless the value is one of the choices, and list them."""
    choices = list(choices)
    # An array is none of them, and has no truth of its own.
    if not isinstance(value, Hashable) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}; {name} = {shown(value)}.")


def check_shape(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    """Raise unless the array has this shape; None stands for any length."""
    fits = array.ndim == len(shape) and all(
        want is None or got == want for got, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"`{name}` must have shape ({wanted}); {name}.shape = {array.shape}.")


def check_inverse_temperature(name: str, value: object) -> None:
    """Raise unless every element is > 0; infinity stands for no noise."""
    _check(name, value, "positive (infinity for no noise)", lambda x: x > 0)


def check_time(name: str, value: object) -> None:
    """Raise unless every element is ≥ 0; infinity stands for the end of all motion."""
    _check(name, value, "non-negative (infinity for the end)", lambda x: x >= 0)


def check_share(name: str, value: float) -> None:
    """Raise unless the number is a share of a whole, from 0 to 1."""
    _check(name, value, "a share from 0 to 1", lambda x: (x >= 0) & (x <= 1))


def check_momentum(name: str, value: float) -> None:
    """Raise unless the number is at least 0 and below 1."""
    check_non_negative(name, value)
    if not value < 1:
        raise ValueError(f"`{name}` must be below 1; {name} = {value:g}.")


def check_covariance(name: str, matrix: np.ndarray, dimension: int, *, definite: bool = False) -> None:
    """Raise unless the matrix is finite, symmetric and without negative (or, if ``definite``, zero) eigenvalues."""
    check_shape(name, matrix, (dimension, dimension))
    check_symmetric(name, matrix)
    if not dimension:
        return
    eigenvalues = np.linalg.eigvalsh(matrix)
    # A matrix of rank r has the rest of its eigenvalues at rounding level, of either sign.
    rounding = 8 * dimension * np.finfo(float).eps * np.abs(eigenvalues).max()
    if definite and eigenvalues[0] <= rounding:
        raise ValueError(f"`{name}` must be positive definite; its smallest eigenvalue is {eigenvalues[0]:.17g}.")
    if eigenvalues[0] < -rounding:
        raise ValueError(f"`{name}` must have no negative eigenvalue; its smallest is {eigenvalues[0]:.17g}.")


def check_symmetric(name: str, matrix: np.ndarray) -> None:
    """Raise unless the square matrix is finite and equals its transpose up to rounding."""
    check_finite(name, matrix)
    gap = np.abs(matrix - matrix.T)
    if gap.max(initial=0.0) > 1e-12 * np.abs(matrix).max(initial=0.0):
        row, column = sorted(int(index) for index in np.unravel_index(gap.argmax(), gap.shape))
        raise ValueError(
            f"`{name}` must be symmetric; {name}[{row}, {column}] = {matrix[row, column]:.17g}, "
            f"{name}[{column}, {row}] = {matrix[column, row]:.17g}."
        )


def _check(name: str, value: object, rule: str, holds: Callable[[np.ndarray], np.ndarray]) -> None:
    array = real(name, value, rule)
    bad = ~holds(array)
    if not bad.any():
        return
    if array.ndim == 0:
        raise ValueError(f"`{name}` must be {rule}; {name} = {array:.17g}.")
    where = tuple(int(index) for index in np.argwhere(bad)[0])
    place = ", ".join(map(str, where))
    raise ValueError(f"`{name}` must be {rule}; {name}[{place}] = {array[where]:.17g}.")
