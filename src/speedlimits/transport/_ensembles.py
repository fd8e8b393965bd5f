"""Moments of ensembles too large to copy, read in slices of columns; closed forms leave single members out."""

from collections.abc import Iterator

import numpy as np

from speedlimits._checks import check_shape
from speedlimits.estimates import check_ensemble

# Numbers of a slice that is worked on in float64 at a time: 8 MB, which stay in a cache.
SLICE = 1 << 20
# A quarter of the members must still have a covariance.
FEWEST = 8


def check_pair(start: np.ndarray, end: np.ndarray) -> None:
    """Raise unless both are ensembles of one shape, with members enough and finite numbers alone."""
    check_ensemble("start", start, FEWEST)
    check_shape("end", end, start.shape)
    check_ensemble("end", end, FEWEST)


def halves(members: int) -> list[tuple[slice, slice]]:
    """The members to fit on and those to evaluate on, both ways round."""
    first, second = split(slice(0, members))
    return [(first, second), (second, first)]


def split(rows: slice) -> tuple[slice, slice]:
    """The first and the second half of some rows."""
    middle = (rows.start + rows.stop) // 2
    return slice(rows.start, middle), slice(middle, rows.stop)


def column_slices(ensemble: np.ndarray, first: int = 0, last: int | None = None) -> Iterator[slice]:
    """Slices of the columns first…last (all by default), each small enough to work on in float64."""
    end = ensemble.shape[1] if last is None else last
    width = max(1, SLICE // len(ensemble))
    return (slice(begin, min(begin + width, end)) for begin in range(first, end, width))


def mean_shift_squared(start: np.ndarray, end: np.ndarray) -> tuple[float, np.ndarray]:
    """The unbiased |Δm|² of all members, and with each member left out."""
    squares, overlaps, total = np.zeros(len(start)), np.zeros(len(start)), 0.0
    for columns in column_slices(start):
        steps = np.subtract(end[:, columns], start[:, columns], dtype=float)
        sums = steps.sum(axis=0)
        squares += np.einsum("ij,ij->i", steps, steps)
        overlaps += steps @ sums
        total += float(sums @ sums)
    n = len(start)
    pairs = total - squares.sum()
    # Leaving i out removes the pairs (i, j) and (j, i).
    return pairs / (n * (n - 1)), (pairs - 2.0 * (overlaps - squares)) / ((n - 1) * (n - 2))


def total_variance(ensemble: np.ndarray, first: int, last: int) -> tuple[float, np.ndarray]:
    """Total variance of some weights over all members, and with each member left out."""
    squares = np.zeros(len(ensemble))
    for columns in column_slices(ensemble, first, last):
        values = np.asarray(ensemble[:, columns], dtype=float)
        values = values - values.mean(axis=0)
        squares += np.einsum("ij,ij->i", values, values)
    n = len(ensemble)
    without = squares.sum() - n / (n - 1) * squares
    return squares.sum() / (n - 1), np.maximum(without, 0.0) / (n - 2)


def projected(ensemble: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Each member along each direction, in float64."""
    along = np.zeros((len(ensemble), directions.shape[1]))
    for columns in column_slices(ensemble):
        along += np.asarray(ensemble[:, columns], dtype=float) @ directions[columns]
    return along
