"""Distances between Gaussians against 50-digit arithmetic, sampling, and the motions that attain them."""

import mpmath
import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import norm

from speedlimits.transport import gaussian

RNG_SEED = 7


def covariance(rng: np.random.Generator, dims: int, rank: int | None = None) -> np.ndarray:
    factor = rng.standard_normal((dims, rank or dims + 2))
    return factor @ factor.T


def exact(mean_start, covariance_start, mean_end, covariance_end) -> float:
    """|m − m′|² + Tr(Σ + Σ′ − 2(Σ^½ Σ′ Σ^½)^½) of exactly these floats, in 60 digits."""
    with mpmath.workdps(60):
        start, end = mpmath.matrix(covariance_start.tolist()), mpmath.matrix(covariance_end.tolist())
        values, vectors = mpmath.eigsy(start)
        root = vectors * mpmath.diag([mpmath.sqrt(max(value, 0)) for value in values]) * vectors.T
        inner = mpmath.eigsy(root * end * root, eigvals_only=True)
        trace = sum(start[i, i] + end[i, i] for i in range(start.rows))
        shift = sum((mpmath.mpf(a) - mpmath.mpf(b)) ** 2 for a, b in zip(mean_start, mean_end, strict=True))
        return float(shift + trace - 2 * sum(mpmath.sqrt(max(value, 0)) for value in inner))


@pytest.fixture
def laws() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(RNG_SEED)
    return rng.standard_normal(4), covariance(rng, 4), rng.standard_normal(4), covariance(rng, 4)


def test_full_covariances(laws):
    """Eqs. (25), (78): the Procrustes form is the textbook form with matrix roots, in 60-digit arithmetic."""
    assert gaussian.w2_squared(*laws) == pytest.approx(exact(*laws), rel=1e-13)


@pytest.mark.parametrize("relative", [1e-3, 1e-6, 1e-9])
def test_nearly_equal_laws_keep_their_digits(laws, relative):
    """A relative difference δ costs about 10⁻¹⁶/δ of relative accuracy; the trace form would lose 10⁻¹⁶/δ².

    It also proves Eqs. (25), (78).
    """
    mean, start, _, other = laws
    end = start + relative * other
    distance = gaussian.w2_squared(mean, start, mean, end)
    assert distance == pytest.approx(exact(mean, start, mean, end), rel=2e-14 / relative, abs=0.0)


def test_equal_laws_are_at_distance_zero(laws):
    """Not negative, not NaN, and zero to the square of rounding."""
    mean, start, _, _ = laws
    assert 0.0 <= gaussian.w2_squared(mean, start, mean, start) < 1e-26


def test_singular_covariances():
    """Eqs. (25), (78): laws on different planes, where a root of the product is not defined, against 60 digits."""
    rng = np.random.default_rng(RNG_SEED)
    mean = np.zeros(5)
    start, end = covariance(rng, 5, rank=2), covariance(rng, 5, rank=3)
    # Rounding leaves eigenvalues of ~1e-16 where zeros belong; their roots, ~1e-8, meet no partner to multiply.
    assert gaussian.w2_squared(mean, start, mean, end) == pytest.approx(exact(mean, start, mean, end), rel=1e-7)


def test_factors_stand_for_their_covariances():
    """Low-rank factors of unequal rank give the distance of the matrices they stand for, and a delta has rank 0.

    It also proves Eq. (25).
    """
    rng = np.random.default_rng(RNG_SEED)
    mean, start, end = rng.standard_normal(6), rng.standard_normal((6, 2)), rng.standard_normal((6, 4))
    expected = exact(mean, start @ start.T, 0 * mean, end @ end.T)
    assert gaussian.w2_squared_factors(mean, start, 0 * mean, end) == pytest.approx(expected, rel=1e-7)
    to_delta = gaussian.w2_squared_factors(mean, start, 0 * mean, np.empty((6, 0)))
    assert to_delta == pytest.approx(mean @ mean + np.sum(start**2), rel=1e-14)
    points = gaussian.w2_squared_factors(mean, np.empty((6, 0)), 0 * mean, np.empty((6, 0)))
    assert points == pytest.approx(mean @ mean, rel=1e-14)


def test_factors_keep_the_nuclear_norm_form():
    """|F|² + |F′|² − 2‖F′ᵀF‖_*: the same number by singular values alone."""
    rng = np.random.default_rng(RNG_SEED)
    mean, start, end = np.zeros(50), rng.standard_normal((50, 8)), rng.standard_normal((50, 5))
    nuclear = np.linalg.svd(end.T @ start, compute_uv=False).sum()
    expected = np.sum(start**2) + np.sum(end**2) - 2 * nuclear
    assert gaussian.w2_squared_factors(mean, start, mean, end) == pytest.approx(expected, rel=1e-13)


def test_diagonal_is_full():
    """Diagonal covariances, a zero among them, give what the full form gives, for a whole batch at once.

    It also proves Eqs. (25), (78).
    """
    rng = np.random.default_rng(RNG_SEED)
    mean_start, mean_end = rng.standard_normal((2, 3, 4))
    start, end = rng.exponential(size=(2, 3, 4))
    start[0, 0] = end[0, 0] = 0.0
    batch = gaussian.w2_squared_diagonal(mean_start, start, mean_end, end)
    for k in range(3):
        full = gaussian.w2_squared(mean_start[k], np.diag(start[k]), mean_end[k], np.diag(end[k]))
        assert batch[k] == pytest.approx(full, rel=1e-13)
        single = gaussian.w2_squared_diagonal(mean_start[k], start[k], mean_end[k], end[k])
        assert single == batch[k]


def test_quantile_functions_in_one_dimension():
    """Eqs. (25), (78): ∫(Q₀ − Q₁)² du by the midpoint rule over a million levels."""
    levels = (np.arange(1_000_000) + 0.5) / 1_000_000
    expected = np.mean((norm.ppf(levels, 0.3, 0.7) - norm.ppf(levels, -1.0, 2.0)) ** 2)
    distance = gaussian.w2_squared(np.array([0.3]), np.array([[0.49]]), np.array([-1.0]), np.array([[4.0]]))
    # The rule misses the last half level of each Gaussian tail, of order 1e-6 · (ln 1e6).
    assert distance == pytest.approx(expected, rel=1e-4)


def test_best_pairing_of_samples():
    """Samples of two Gaussians on a line, paired at least cost by order, cost 𝒲₂ in the mean."""
    rng = np.random.default_rng(RNG_SEED)
    x = np.sort(rng.normal(0.3, 0.7, (20, 20_000)))
    y = np.sort(rng.normal(-1.0, 2.0, (20, 20_000)))
    costs = np.mean((x - y) ** 2, axis=1)
    distance = gaussian.w2_squared(np.array([0.3]), np.array([[0.49]]), np.array([-1.0]), np.array([[4.0]]))
    # The upward bias, of order (ln ln n)/n, is a hundredth of the standard error.
    assert distance == pytest.approx(costs.mean(), abs=4 * costs.std() / np.sqrt(costs.size))


def test_displacement_is_a_geodesic(laws):
    """Eq. (25): along the shortest path the distance grows in proportion to s, so 𝒲₂ (a square) as (s − s′)²."""
    for fraction, law in ((0.0, laws[:2]), (1.0, laws[2:])):
        for found, expected in zip(gaussian.displacement(*laws, fraction), law, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    total = gaussian.w2_squared(*laws)
    for first, second in ((0.0, 1.0), (0.0, 0.3), (0.3, 0.7)):
        pieces = *gaussian.displacement(*laws, first), *gaussian.displacement(*laws, second)
        assert gaussian.w2_squared(*pieces) == pytest.approx((second - first) ** 2 * total, rel=1e-12)


def test_displacement_joins_singular_laws():
    """Eq. (25): from a delta to a line: the width grows linearly."""
    mean, line = np.zeros(2), np.array([[4.0, 4.0], [4.0, 4.0]])
    law = gaussian.displacement(mean, np.zeros((2, 2)), mean + 1.0, line, 0.5)
    assert law[0] == pytest.approx([0.5, 0.5])
    assert law[1] == pytest.approx(line / 4, rel=1e-12)


def test_straight_action_is_the_distance(laws):
    """Eq. (25): the displacement interpolation at constant speed has the least action, 𝒲₂ itself."""
    times = np.array([0.0, 0.1, 0.5, 0.6, 2.0])
    path = [gaussian.displacement(*laws, time / 2.0) for time in times]
    means, covariances = (np.array(part) for part in zip(*path, strict=True))
    assert gaussian.action(times, means, covariances) == pytest.approx(gaussian.w2_squared(*laws), rel=1e-12)
    uneven = gaussian.action(times**2, means, covariances)
    assert uneven > 1.2 * gaussian.w2_squared(*laws)


def test_action_of_a_rotation_is_that_of_its_velocity():
    """A covariance turned at rate ω, Eq. (25): the chords' action tends to ∫⟨|v|²⟩, with an error of order 2."""
    rate, time = 0.8, 1.5
    turn = rate * np.array([[0.0, -1.0], [1.0, 0.0]])
    start = np.diag([3.0, 0.5])
    # A in AC + CA = Ċ for C = diag(a, b): off-diagonal ω(a − b)/(a + b), so ⟨|v|²⟩ = ω²(a − b)²/(a + b).
    speed = rate**2 * 2.5**2 / 3.5
    assert gaussian.speed_squared(np.zeros(2), start, turn @ start + start @ turn.T) == pytest.approx(speed, rel=1e-13)
    errors = []
    for pieces in (8, 16, 32):
        times = np.linspace(0.0, time, pieces + 1)
        covariances = np.array([expm(turn * t) @ start @ expm(turn * t).T for t in times])
        errors.append(time**2 * speed - gaussian.action(times, np.zeros((times.size, 2)), covariances))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert min(errors) > 0
    assert orders == pytest.approx([2.0, 2.0], abs=0.05)


def test_deltas():
    """Between two points the squared distance is |θ_T − θ₀|²."""
    assert gaussian.w2_squared_deltas(np.array([1.0, 2.0]), np.array([4.0, 6.0])) == 25.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0, np.inf], np.eye(2), [0.0, 0.0], np.eye(2)), r"`mean_start` must be finite; mean_start\[1\] = inf"),
        (([0.0], np.eye(2), [0.0], np.eye(1)), r"`covariance_start` must have shape \(1, 1\)"),
        (([0.0], -np.eye(1), [0.0], np.eye(1)), r"`covariance_start` must have no negative eigenvalue; .* -1\."),
        (([0.0], np.eye(1), [0.0, 0.0], np.eye(1)), r"`mean_end` must have shape \(1\)"),
        (([0.0] * 2, np.eye(2), [0.0] * 2, [[1.0, 0.5], [0.0, 1.0]]), r"`covariance_end` must be symmetric; .* = 0\.5"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(arguments, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        gaussian.w2_squared(*(np.array(argument) for argument in arguments))
