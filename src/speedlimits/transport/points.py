r"""Laws on a line: squared Wasserstein-2 distance through quantile functions, exactly.

In one dimension the optimal plan keeps the order of the points, so that

.. math:: \mathcal W_2 = \int_0^1 \bigl(Q_0(u) - Q_1(u)\bigr)^2 du

with the quantile functions Q, the inverses of the cumulative distributions.
"""

import numpy as np
from jaxtyping import Float
from scipy.interpolate import BSpline, make_interp_spline

from speedlimits._checks import check_finite, check_increasing, check_non_negative, check_shape


def w2_squared_samples(
    start: Float[np.ndarray, " start_points"],
    end: Float[np.ndarray, " end_points"],
    *,
    start_weights: Float[np.ndarray, " start_points"] | None = None,
    end_weights: Float[np.ndarray, " end_points"] | None = None,
) -> float:
    r"""Exact squared distance between two weighted point sets on a line, the minimum of Eq. (25).

    Args:
        start: points, in any order.
        end: points, in any order, of any number.
        start_weights: non-negative weights, normalised here; equal by default.
        end_weights: likewise.

    Returns:
        𝒲₂.

    Raises:
        ValueError: if a point is not finite, a weight is negative, all weights are zero, or a law has no points.
    """
    start, start_weights = _sorted_law("start", start, start_weights)
    end, end_weights = _sorted_law("end", end, end_weights)
    widths, start_index, _, end_index, _ = _common_levels(start_weights, end_weights)
    return float(widths @ (start[start_index] - end[end_index]) ** 2)


def w2_squared_histograms(
    edges: Float[np.ndarray, " edges"], start: Float[np.ndarray, " cells"], end: Float[np.ndarray, " cells"]
) -> float:
    r"""Exact squared distance between two piecewise uniform laws on the same cells, the minimum of Eq. (25).

    Both quantile functions are piecewise linear, with steps where cells are empty; the integral is done piece
    by piece in closed form.

    Args:
        edges: cell edges, strictly increasing.
        start: non-negative probability in each cell, normalised here.
        end: likewise.

    Returns:
        𝒲₂; for smooth laws within O(h²) of their distance, with cells of width h.

    Raises:
        ValueError: if edges do not increase, a probability is negative, all are zero, or the lengths differ.
    """
    check_finite("edges", edges)
    check_increasing("edges", edges)
    start, end = (_normalised(name, law, edges.size - 1) for name, law in (("start", start), ("end", end)))
    # Each half is summed from its own end: near level 1 a small upper tail would lose its digits.
    return _lower_half(edges, start, end) + _lower_half(edges[::-1], start[::-1], end[::-1])


def w2_squared_densities(
    points: Float[np.ndarray, " points"], start: Float[np.ndarray, " points"], end: Float[np.ndarray, " points"]
) -> float:
    r"""Squared distance between two smooth densities, the minimum of Eq. (25), to sixth order in the spacing.

    .. math:: \mathcal W_2 = \int \bigl(x - Q_1(F_0(x))\bigr)^2 p_0(x)\,dx

    with the cumulative distributions F of quintic splines through the given values.

    Args:
        points: x, strictly increasing, at least six; both laws must vanish outside.
        start: density p₀ at the points, non-negative, normalised here.
        end: density p₁ at the points, likewise.

    Returns:
        𝒲₂.

    Raises:
        ValueError: if points do not increase, a density is negative, one is zero everywhere, or lengths differ.
    """
    check_finite("points", points)
    check_increasing("points", points)
    if points.size < 6:
        raise ValueError(f"`points` must be at least six; points.size = {points.size}.")
    start, end = (_normalised(name, law, points.size) for name, law in (("start", start), ("end", end)))
    carried = _quantiles(points, end, _cumulative(points, start)(points))
    integral = _antiderivative(points, (points - carried) ** 2 * start)
    mass = _antiderivative(points, start)
    return float(integral(points[-1]) / mass(points[-1]))


def _sorted_law(name: str, points: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    check_shape(name, points, (None,))
    check_finite(name, points)
    if not points.size:
        raise ValueError(f"`{name}` must have at least one point; {name}.size = 0.")
    weights = _normalised(f"{name}_weights", np.ones(points.size) if weights is None else weights, points.size)
    order = np.argsort(points)
    return points[order], weights[order]


def _normalised(name: str, weights: np.ndarray, size: int) -> np.ndarray:
    check_shape(name, weights, (size,))
    check_non_negative(name, weights)
    total = np.sum(weights)
    if not total > 0:
        raise ValueError(f"`{name}` must not all be zero; their sum = {total:.17g}.")
    return weights / total


def _lower_half(edges: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """∫(Q₀ − Q₁)² over the levels 0…½."""
    widths, start_index, start_levels, end_index, end_levels = _common_levels(start, end, 0.5)
    left, right = (
        _positions(edges, start, start_index, start_levels + shift)
        - _positions(edges, end, end_index, end_levels + shift)
        for shift in (0.0, widths)
    )
    return float(widths @ (left**2 + left * right + right**2)) / 3.0


def _common_levels(start: np.ndarray, end: np.ndarray, highest: float = 1.0) -> tuple[np.ndarray, ...]:
    """Cut 0…highest at every cumulative weight of both laws.

    Returns the width of each piece and, for each law, the cell it lies in and its depth inside that cell.
    """
    tops = [np.cumsum(law) for law in (start, end)]
    for top in tops:
        top /= top[-1]
    levels = np.unique(np.minimum(np.concatenate(([0.0], *tops)), highest))
    widths = np.diff(levels)
    result: list[np.ndarray] = [widths]
    for top in tops:
        cell = np.searchsorted(top, levels[:-1], side="right")
        result += [cell, levels[:-1] - np.concatenate(([0.0], top))[cell]]
    return tuple(result)


def _positions(edges: np.ndarray, masses: np.ndarray, cells: np.ndarray, depths: np.ndarray) -> np.ndarray:
    # Sums of masses are rounded: a depth may exceed the mass of its cell, by more than a tiny mass itself.
    fractions = np.minimum(depths / masses[cells], 1.0)
    return edges[cells] + fractions * np.diff(edges)[cells]


def _antiderivative(points: np.ndarray, values: np.ndarray) -> BSpline:
    return make_interp_spline(points, values, k=5).antiderivative()


def _cumulative(points: np.ndarray, density: np.ndarray) -> BSpline:
    spline = _antiderivative(points, density)
    # It is 0 at the first point.
    return BSpline(spline.t, spline.c / spline(points[-1]), spline.k)


def _quantiles(points: np.ndarray, density: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Where the cumulative distribution reaches the levels, by bisection between grid points."""
    cumulative = _cumulative(points, density)
    # In the far tails a spline may dip by its own error; the search needs an ordered list.
    known = np.maximum.accumulate(cumulative(points))
    right = np.clip(np.searchsorted(known, levels), 1, points.size - 1)
    low, high = points[right - 1], points[right]
    for _ in range(52):
        middle = 0.5 * (low + high)
        below = cumulative(middle) < levels
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)
