"""Moments of ensembles too large to copy, read in slices of columns; closed forms leave single members out."""

from collections.abc import Iterator

import numpy as np

# Numbers of a slice that is worked on in float64 at a time: 8 MB, which stay in a cache.
SLICE = 1 << 20
# Share of the largest eigenvalue below which those of products in float32 are rounding.
ROUNDING = 1e-6


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


def most_changed_directions(start: np.ndarray, end: np.ndarray, count: int) -> np.ndarray:
    """Orthonormal directions in which the second moments about the mean of the start change most.

    Bounds hold along any directions, so products in float32, twice as fast, are enough to find them by; what they lose
    is a millionth of the largest change.
    """
    n, dims = start.shape
    # What is stored in float32 is told no better by a mean in float64.
    mean = start.mean(axis=0, dtype=float).astype(np.result_type(start, np.float32))
    largest = max(float(np.abs(extreme)) for each in (start, end) for extreme in (each.min(), each.max()))
    # Their squares must not leave the range of float32.
    size = 1.0 if 1e-12 < largest < 1e12 else largest or 1.0

    def centred(columns: slice) -> np.ndarray:
        both = np.empty((2 * n, columns.stop - columns.start), dtype=np.float32)
        for part, ensemble in ((both[:n], start), (both[n:], end)):
            values = ensemble[:, columns] / size if size != 1.0 else ensemble[:, columns]
            np.subtract(values, mean[columns] / size, out=part, casting="same_kind")
        return both

    gram = np.zeros((2 * n, 2 * n))
    for columns in column_slices(start):
        rows = centred(columns)
        gram += rows @ rows.T
    values, vectors = np.linalg.eigh(gram)
    # Only directions that the members span.
    kept = values > ROUNDING * values[-1]
    coordinates = vectors[:, kept] * np.sqrt(values[kept])
    change = coordinates[n:].T @ coordinates[n:] - coordinates[:n].T @ coordinates[:n]
    sizes, modes = np.linalg.eigh(change)
    chosen = np.argsort(-np.abs(sizes))[:count]
    weights = (vectors[:, kept] / np.sqrt(values[kept])) @ modes[:, chosen]
    directions = np.empty((dims, chosen.size))
    weights = weights.astype(np.float32)
    for columns in column_slices(start):
        directions[columns] = centred(columns).T @ weights
    return np.linalg.qr(directions)[0]
