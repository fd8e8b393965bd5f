"""Distances between laws on a line, against brute-force assignment and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment, linprog

from speedlimits.transport import points

coordinates = st.floats(-5, 5, allow_subnormal=False)


def cheapest_plan(start, end, start_weights, end_weights) -> float:
    """The defining linear program over all plans with these marginals."""
    rows, columns = start.size, end.size
    marginals = np.concatenate((np.kron(np.eye(rows), np.ones(columns)), np.kron(np.ones(rows), np.eye(columns))))
    weights = np.concatenate((start_weights / start_weights.sum(), end_weights / end_weights.sum()))
    cost = (start[:, None] - end[None]) ** 2
    return linprog(cost.ravel(), A_eq=marginals, b_eq=weights).fun


@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=8))
def test_samples_are_matched_in_the_best_order(pairs):
    """Eq. (25): equal weights: the optimal assignment over all orders, by brute force."""
    start, end = np.array(pairs).T
    table = (start[:, None] - end[None]) ** 2
    best = table[linear_sum_assignment(table)].mean()
    assert points.w2_squared_samples(start, end) == pytest.approx(best, rel=1e-12, abs=1e-25)


def test_weights_and_sizes_may_differ():
    """Eq. (25): unequal numbers and weights, a zero among them: the linear program over all plans."""
    rng = np.random.default_rng(5)
    start, end = rng.standard_normal(7), 2 + 0.5 * rng.standard_normal(4)
    start_weights, end_weights = rng.exponential(size=7), rng.exponential(size=4)
    start_weights[2] = 0.0
    expected = cheapest_plan(start, end, start_weights, end_weights)
    distance = points.w2_squared_samples(start, end, start_weights=start_weights, end_weights=end_weights)
    assert distance == pytest.approx(expected, rel=1e-9)
    plain = cheapest_plan(start, end, np.ones(7), np.ones(4))
    assert points.w2_squared_samples(start, end) == pytest.approx(plain, rel=1e-9)


def test_uniform_laws():
    """Eq. (25): from a uniform law on (0, 1) to one on (2, 5): Q₁ − Q₀ = 2 + 2u, so 𝒲₂ = 28/3."""
    edges = np.arange(11) / 2.0
    start = (edges[:-1] < 1.0).astype(float)
    end = (edges[:-1] >= 2.0).astype(float)
    assert points.w2_squared_histograms(edges, start, end) == pytest.approx(28.0 / 3.0, rel=1e-14)


def test_histograms_are_their_quantiles():
    """Random masses on uneven cells, empty ones among them, against ∫(Q₀ − Q₁)² by brute force over the levels.

    It also proves Eq. (25).
    """
    rng = np.random.default_rng(5)
    edges = np.cumsum(rng.exponential(size=9))
    start, end = rng.exponential(size=(2, 8))
    start[[0, 3]] = end[[4, 7]] = 0.0
    levels = (np.arange(400_000) + 0.5) / 400_000
    quantiles = [np.interp(levels, np.concatenate(([0.0], np.cumsum(law) / law.sum())), edges) for law in (start, end)]
    expected = np.mean((quantiles[0] - quantiles[1]) ** 2)
    # Errors of the brute force: 1e-5 at the jumps across empty cells.
    assert points.w2_squared_histograms(edges, start, end) == pytest.approx(expected, rel=2e-5)


def gaussian_densities(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = np.linspace(-12.0, 14.0, size)
    return x, np.exp(-0.5 * (x + 0.5) ** 2), np.exp(-0.5 * ((x - 0.8) / 1.4) ** 2)


GAUSSIAN = 1.3**2 + 0.4**2


def test_smooth_densities_reach_sixth_order():
    """Eq. (25): Gaussians from their densities: sixth order at least, and twelve digits from 161 points."""
    sizes = np.array([41, 61, 81])
    errors = [abs(points.w2_squared_densities(*gaussian_densities(size)) - GAUSSIAN) for size in sizes]
    order = -np.polyfit(np.log(sizes - 1.0), np.log(errors), 1)[0]
    assert order > 5.8
    assert points.w2_squared_densities(*gaussian_densities(161)) == pytest.approx(GAUSSIAN, rel=1e-12)


def test_polynomial_densities_are_exact():
    """Eq. (25): from density 2x to a uniform one on (0, 1), Q₁(F₀(x)) = x² and 𝒲₂ = 2/4 − 4/5 + 2/6 = 1/30.

    Splines of fifth degree are exact here, up to the ends, whatever the places of the points and the laws' own masses.
    """
    x = np.array([0.0, 0.07, 0.2, 0.3, 0.55, 0.6, 0.8, 0.9, 1.0])
    distance = points.w2_squared_densities(3.0 + x, 10 * x, np.full(x.size, 3.0))
    assert distance == pytest.approx(1 / 30, rel=1e-12)
    # The other way round: Q₁(F₀(x)) = √x is no polynomial, and its spline only near.
    back = points.w2_squared_densities(3.0 + np.linspace(0, 1, 400), np.ones(400), np.linspace(0, 1, 400))
    assert back == pytest.approx(1 / 30, rel=1e-4)


def test_densities_resolve_small_moves():
    """Eq. (25): a shift of 1e-4, a thousandth of the spacing, comes out with its square to 1e-6."""
    x = np.linspace(-9.0, 9.0, 241)
    start, end = np.exp(-0.5 * x**2), np.exp(-0.5 * (x - 1e-4) ** 2)
    assert points.w2_squared_densities(x, start, end) == pytest.approx(1e-8, rel=1e-6, abs=0.0)


def test_histograms_resolve_small_moves():
    """A Gaussian moved by 1e-9, with tails down to e⁻⁵⁰: its square to 1e-3, which summation from one end loses.

    It also proves Eq. (25).
    """
    edges = np.linspace(-10.0, 10.0, 1001)
    masses = np.exp(-0.5 * (0.5 * (edges[1:] + edges[:-1])) ** 2)
    masses /= masses.sum()
    # Moving each law's mass across edges at the local speed: p − a·∂ₓp.
    flow = 1e-9 * np.exp(-0.5 * edges**2) / np.sqrt(2 * np.pi)
    flow[[0, -1]] = 0.0
    assert points.w2_squared_histograms(edges, masses, masses - np.diff(flow)) == pytest.approx(1e-18, rel=1e-3, abs=0)


def test_histograms_of_smooth_laws_converge_quadratically():
    """Eq. (25): cell masses of the same Gaussians: order 2 in the cell width."""
    errors = []
    for size in (60, 120, 240):
        edges = np.linspace(-9.0, 9.0, size + 1)
        centres = 0.5 * (edges[1:] + edges[:-1])
        start, end = np.exp(-0.5 * (centres + 0.5) ** 2), np.exp(-0.5 * ((centres - 0.8) / 1.4) ** 2)
        errors.append(abs(points.w2_squared_histograms(edges, start, end) - GAUSSIAN))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.2)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: points.w2_squared_samples(np.array([]), np.ones(2)), r"`start` must have at least one point"),
        (
            lambda: points.w2_squared_samples(np.ones(2), np.ones(1), start_weights=np.array([1.0, -1.0])),
            r"`start_weights` must be non-negative and finite; start_weights\[1\] = -1",
        ),
        (
            lambda: points.w2_squared_histograms(np.arange(3.0), np.zeros(2), np.ones(2)),
            r"`start` must not all be zero; their sum = 0",
        ),
        (
            lambda: points.w2_squared_densities(np.arange(4.0), np.ones(4), np.ones(4)),
            r"`points` must be at least six; points.size = 4",
        ),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(call, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        call()
