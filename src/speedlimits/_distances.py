"""Distances between weights that were kept along a path."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64


def distances_squared(points: Sequence[np.ndarray]) -> Float64[np.ndarray, "points points"]:
    """|θ_i − θ_j|² between weight vectors, from differences: dot products would lose all digits.

    Args:
        points: flat weight vectors of one length; they are read pair by pair, so the sequence may be lazy.

    Returns:
        The symmetric matrix, zero on its diagonal.
    """
    matrix = np.zeros((len(points), len(points)))
    for i, j in itertools.combinations(range(len(points)), 2):
        difference = np.subtract(points[i], points[j], dtype=np.float64)
        matrix[i, j] = matrix[j, i] = difference @ difference
    return matrix
