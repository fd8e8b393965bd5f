"""Dual pairs: below the cost everywhere, equal to it along the map."""

import numpy as np
import pytest

from speedlimits.transport.gaussian import w2_squared
from speedlimits.transport.maps import LinearMap, MonotoneMap, fastest_map


def test_monotone_pair_is_below_the_cost():
    """Both gains together never exceed (x − y)², and touch it on y = T(x), inside the knots and far outside."""
    rng = np.random.default_rng(1)
    carried = MonotoneMap.between(rng.standard_normal(50), 1.0 + rng.exponential(size=50))
    x, y = np.linspace(-6, 6, 241), np.linspace(-6, 9, 301)
    excess = carried.start_gain(x)[:, None] + carried.end_gain(y) - (x[:, None] - y) ** 2
    assert excess.max() <= 1e-12
    images = np.interp(x, carried.knots, carried.images)
    images = images + np.minimum(x - carried.knots[0], 0) + np.maximum(x - carried.knots[-1], 0)
    gains = carried.start_gain(x) + carried.end_gain(images)
    np.testing.assert_allclose(gains, (x - images) ** 2, rtol=0, atol=1e-12)


def test_ties_leave_a_map():
    """Laws with atoms, such as rectified units, still give a valid pair."""
    carried = MonotoneMap.between(np.zeros(30), np.arange(30.0))
    points = np.linspace(-3, 3, 13)
    assert np.max(carried.start_gain(points)[:, None] + carried.end_gain(points) - (points[:, None] - points) ** 2) <= 0


def test_linear_pair_is_below_the_cost():
    """xᵀ(1−A)x + yᵀ(1−A⁻¹)y ≤ |x − y|² everywhere, with equality for y = Ax."""
    rng = np.random.default_rng(2)
    basis = np.linalg.qr(rng.standard_normal((5, 2)))[0]
    carried = LinearMap(basis, np.array([[2.0, 0.3], [0.3, 0.4]]), 0.7)
    matrix = basis @ carried.inside @ basis.T + 0.7 * (np.eye(5) - basis @ basis.T)
    x, y = rng.standard_normal((2, 200, 5))
    gains = carried.start_gain(x) + carried.end_gain(y)
    assert np.all(gains <= np.sum((x - y) ** 2, axis=1))
    np.testing.assert_allclose(
        carried.start_gain(x) + carried.end_gain(x @ matrix), np.sum((x - x @ matrix) ** 2, axis=1), atol=1e-12
    )


def test_fastest_map_is_optimal():
    """A carries Σ₀ to Σ₁, and its cost is the Gaussian distance."""
    rng = np.random.default_rng(3)
    start, end = (m @ m.T + 0.1 * np.eye(4) for m in rng.standard_normal((2, 4, 4)))
    carried = fastest_map(start, end)
    np.testing.assert_allclose(carried @ start @ carried, end, atol=1e-10)
    move = np.eye(4) - carried
    zero = np.zeros(4)
    assert np.trace(move @ start @ move) == pytest.approx(w2_squared(zero, start, zero, end), rel=1e-10)
