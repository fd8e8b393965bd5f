"""Directions in which two laws differ most, found on some members for bounds that are evaluated on others."""

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_integer, check_shape
from speedlimits._shapes import Ensemble
from speedlimits.transport._ensembles import check_pair, column_slices, halves, split

Directions = Float[np.ndarray, "dims directions"]
# For each half of the members, found on members of it alone.
HeldOut = tuple[Directions, Directions]

# Share of the largest eigenvalue below which those of products in float32 are rounding.
ROUNDING = 1e-6


def changed_directions(start: Ensemble, end: Ensemble, *, count: int = 16) -> HeldOut:
    r"""The directions in which second moments change most, for each half of the members without a look at the other.

    .. math:: \Bigl(\sum_i y_iy_i^{\mathsf T} - x_ix_i^{\mathsf T}\Bigr)u_k = \sigma_ku_k,
              \qquad |\sigma_1| \ge |\sigma_2| \ge \dots

    with the members x at the start and y at the end measured from the mean of the start.
    `gelbrich` and `max_sliced` find them by themselves; where both are wanted, this finds them once.

    Args:
        start: members at the start.
        end: the same members at the end.
        count: directions, from the most changed on; fewer where the members span fewer.

    Returns:
        Orthonormal columns, found on the first half of the first half of the members, and of the second half.

    Raises:
        ValueError: if a number is not finite, the shapes differ, there are fewer than 8 members, or count < 1.
    """
    check_pair(start, end)
    check_integer("count", count, minimum=1)
    return _found(start, end, count)


def held_out(
    start: np.ndarray, end: np.ndarray, count: int, known: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """So many directions for each half: the first of those that are known, or found.

    Args:
        start: members at the start, checked.
        end: the same members at the end.
        count: directions.
        known: those of `changed_directions`, if they are known.

    Returns:
        Orthonormal columns for each half.

    Raises:
        ValueError: if the known ones are not orthonormal.
    """
    if known is None:
        return _found(start, end, count)
    for directions in known:
        check_directions(directions, start.shape[1])
    one, other = (directions[:, :count] for directions in known)
    return one, other


def check_directions(directions: np.ndarray, dims: int) -> None:
    """Raise unless the columns are orthonormal directions.

    Args:
        directions: a direction in each column.
        dims: weights of a member.

    Raises:
        ValueError: if their length is another, or they are not orthonormal.
    """
    check_shape("directions", directions, (dims, None))
    excess = np.abs(directions.T @ directions - np.eye(directions.shape[1])).max(initial=0.0)
    if not excess < 1e-8:
        raise ValueError(f"`directions` must be orthonormal; directionsᵀdirections is off by {excess:.3g}.")


def _found(start: np.ndarray, end: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    quarters = [split(fitted)[0] for fitted, _ in halves(len(start))]
    one, other = (_most_changed(start[rows], end[rows], count) for rows in quarters)
    return one, other


def _most_changed(start: np.ndarray, end: np.ndarray, count: int) -> np.ndarray:
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
