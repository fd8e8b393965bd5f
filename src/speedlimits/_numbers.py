"""Numbers outside the program: what JSON can hold, and text for a reader."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

import numpy as np


def finite_or_none(value: SupportsFloat) -> float | None:
    """A number as JSON knows it: neither NaN nor infinity.

    Args:
        value: any number.

    Returns:
        The same as Python's own float; None where it is not finite.
    """
    number = float(value)
    return number if math.isfinite(number) else None


def deviation(values: Sequence[float] | np.ndarray) -> float:
    """Standard deviation (n − 1).

    Args:
        values: of the members.

    Returns:
        The deviation; NaN for one value, which has none.
    """
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def plain(value: object) -> Any:
    """What JSON can hold: lists for arrays and tuples, None for infinities and what is not a number.

    Args:
        value: numbers, texts, arrays, and mappings or tuples of them.

    Returns:
        The same as Python's own types.
    """
    match value:
        case Mapping():
            return {name: plain(part) for name, part in value.items()}
        case np.ndarray() | np.generic():
            return plain(value.tolist())
        case list() | tuple():
            return [plain(part) for part in value]
        case float():
            return finite_or_none(value)
    return value


def number(value: float | None, form: str = ".4g") -> str:
    """A number for a reader; a dash where there is none.

    Args:
        value: or None.
        form: a format specification.

    Returns:
        The text.
    """
    return "–" if value is None else format(value, form)
