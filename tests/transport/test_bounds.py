"""Bounds on the distance of sampled laws: below it on average, tight where they can be, zero for equal laws."""

import re
import tracemalloc

import numpy as np
import pytest

from speedlimits.estimates import Estimate
from speedlimits.transport import bounds, plans
from speedlimits.transport.directions import changed_directions
from speedlimits.transport.gaussian import w2_squared, w2_squared_diagonal
from speedlimits.transport.points import w2_squared_samples

# Every lower bound, as (start, end) → estimate.
LOWER = {
    "mean_shift": bounds.mean_shift,
    "trace_bound": bounds.trace_bound,
    "layers": lambda x, y: bounds.trace_bound(x, y, blocks=[x.shape[1] // 4, x.shape[1] - x.shape[1] // 4]),
    "weights": lambda x, y: bounds.trace_bound(x, y, blocks=[1] * x.shape[1]),
    "gelbrich": lambda x, y: bounds.gelbrich(x, y, rank=x.shape[1]),
    "low_rank": lambda x, y: bounds.gelbrich(x, y, rank=4),
    "projections": lambda x, y: bounds.projections(x, y, np.eye(x.shape[1])[:, :8]),
    "sliced": lambda x, y: bounds.sliced(x, y, slices=16, generator=np.random.default_rng(0)),
    "max_sliced": bounds.max_sliced,
}
UPPER = {
    "member_cost": plans.member_cost,
    "assignment_cost": plans.assignment_cost,
    "sinkhorn_cost": plans.sinkhorn_cost,
}


def pair(members: int, dims: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, float]:
    """Two correlated Gaussian ensembles, and the distance of their laws."""
    rng = np.random.default_rng(seed)
    widths, shift = np.linspace(0.4, 1.6, dims), np.full(dims, 0.3)
    start = rng.standard_normal((members, dims))
    end = shift + widths * (0.6 * start + 0.8 * rng.standard_normal((members, dims)))
    return start, end, float(w2_squared_diagonal(np.zeros(dims), np.ones(dims), shift, widths**2))


def z_score(estimate: Estimate, truth: float) -> float:
    """Standard errors above the truth."""
    return (estimate.value - truth) / estimate.standard_error


@pytest.mark.parametrize("name", LOWER)
def test_lower_bounds_stay_below(name):
    """On average over ensembles no lower bound exceeds the distance by more than 4 standard errors."""
    values = []
    for seed in range(40):
        start, end, truth = pair(80, 8, seed)
        estimate = LOWER[name](start, end)
        assert estimate.side == "lower"
        values.append(estimate.value - truth)
    assert np.mean(values) <= 4 * np.std(values) / np.sqrt(len(values))


@pytest.mark.parametrize("name", UPPER)
def test_upper_bounds_stay_above(name):
    """No plan is cheaper than the distance of the laws."""
    start, end, truth = pair(200, 8)
    estimate = UPPER[name](start, end)
    assert estimate.side == "upper"
    assert z_score(estimate, truth) > -4


def test_mean_shift_is_unbiased():
    """|Δm|² of correlated members, within 4 standard errors; the plug-in is off by many."""
    start, end, _ = pair(400, 500)
    estimate = bounds.mean_shift(start, end)
    assert abs(z_score(estimate, 500 * 0.3**2)) < 4
    plug_in = np.sum((end.mean(axis=0) - start.mean(axis=0)) ** 2)
    assert plug_in - 500 * 0.3**2 > 1.0


def test_mean_shift_left_out_is_the_jackknife():
    """Members left out in closed form, against leaving each out."""
    start, end, _ = pair(10, 3)

    def unbiased(steps: np.ndarray) -> float:
        gram = steps @ steps.T
        return (gram.sum() - np.trace(gram)) / (len(steps) * (len(steps) - 1))

    steps = end - start
    left_out = np.array([unbiased(np.delete(steps, k, axis=0)) for k in range(10)])
    expected = np.std(10 * unbiased(steps) - 9 * left_out, ddof=1) / np.sqrt(10)
    estimate = bounds.mean_shift(start, end)
    assert (estimate.value, estimate.standard_error) == pytest.approx((unbiased(steps), expected), rel=1e-12)


def test_traces_by_weights_are_exact_for_independent_gaussians():
    """With a block for each weight the trace bound is the distance itself when weights are independent Gaussians."""
    start, end, truth = pair(400, 60)
    blocks = [bounds.trace_bound(start, end, blocks=sizes) for sizes in ([60], [20, 20, 20], [1] * 60)]
    assert abs(z_score(blocks[2], truth)) < 4
    assert blocks[0].value < blocks[1].value < blocks[2].value


@pytest.mark.parametrize("means", [np.zeros((2, 4)), np.array([[2.0, 0.0, -1.0, 7.0], [1.0, 3.0, -1.0, 5.0]])])
def test_gelbrich_finds_the_gaussian_distance(means):
    """Correlated Gaussians in 4 dimensions, 4,000 members: within 1 % of fit loss and 4 standard errors."""
    rng = np.random.default_rng(5)
    factors = rng.standard_normal((2, 4, 4))
    start, end = (mean + rng.standard_normal((4000, 4)) @ factor.T for mean, factor in zip(means, factors, strict=True))
    truth = w2_squared(means[0], factors[0] @ factors[0].T, means[1], factors[1] @ factors[1].T)
    estimate = bounds.gelbrich(start, end, rank=4)
    assert -4 * estimate.standard_error - 0.01 * truth < estimate.value - truth < 4 * estimate.standard_error


def test_low_rank_finds_what_stands_out():
    """Two of 3,000 directions widened tenfold: rank 4 finds over half of it, a single trace next to nothing."""
    rng = np.random.default_rng(6)
    start, end = rng.standard_normal((2, 400, 3000))
    end[:, :2] *= 10.0
    truth = 2 * 81.0
    assert 0.5 * truth < bounds.gelbrich(start, end, rank=4).value < truth
    assert bounds.trace_bound(start, end).value < 0.1 * truth


def test_projection_sees_what_moments_do_not():
    """Laws of equal mean and variance but other shape: the full 1-D distance, by a large sorted sample."""
    rng = np.random.default_rng(7)
    law = lambda size: np.where(rng.random(size) < 0.5, -1.0, 1.0) + 0.1 * rng.standard_normal(size)  # noqa: E731
    width = np.sqrt(1.01)
    truth = w2_squared_samples(width * rng.standard_normal(400_000), law(400_000))
    start, end = width * rng.standard_normal((2000, 1)), law(2000)[:, None]
    estimate = bounds.projections(start, end, np.eye(1))
    assert 0.9 * truth < estimate.value < truth + 4 * estimate.standard_error
    assert bounds.gelbrich(start, end, rank=1).value < 0.05 * truth


def test_slices_add_up_to_a_shift():
    """For a shift d·SW₂² is |Δm|²: within 4 standard errors, directions included, and half of them is 64 of 128."""
    rng = np.random.default_rng(8)
    start = rng.standard_normal((2000, 128))
    end = start[rng.permutation(2000)] + rng.standard_normal(128)
    shift = np.sum((end.mean(axis=0) - start.mean(axis=0)) ** 2)
    estimate = bounds.sliced(start, end, slices=64, generator=rng)
    assert abs(z_score(estimate, shift)) < 4
    assert estimate.standard_error < 0.3 * shift


def test_held_out_direction_finds_a_shift():
    """A shift of 5 in one of 300 directions: more than 80 % of 25 is found, and no more than 25."""
    rng = np.random.default_rng(9)
    start, end = rng.standard_normal((2, 400, 300))
    end[:, 7] += 5.0
    estimate = bounds.max_sliced(start, end)
    assert 0.8 * 25 < estimate.value < 25 + 4 * estimate.standard_error


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_changed_directions_are_those_of_the_second_moments(scale, dtype):
    """Against the eigenvectors of the whole matrix, in float64: each spans what it should, at any scale."""
    if dtype == np.float32 and scale == 1e-30:
        scale = 1e-25  # the smallest squares of float32 have no digits left
    start, end, _ = pair(400, 12, seed=3)
    start, end = ((scale * each).astype(dtype) for each in (start, end))
    found = changed_directions(start, end, count=3)
    for rows, directions in zip((slice(0, 100), slice(200, 300)), found, strict=True):
        x, y = (
            each[rows].astype(float) / scale - start[rows].mean(axis=0, dtype=float) / scale for each in (start, end)
        )
        sizes, modes = np.linalg.eigh(y.T @ y - x.T @ x)
        wanted = modes[:, np.argsort(-np.abs(sizes))[:3]]
        np.testing.assert_allclose(np.abs(np.sum(wanted * directions, axis=0)), 1.0, atol=1e-4)
        np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-12)


def test_known_directions_give_the_same_bounds():
    """Found once or by each bound for itself: the same but for float32; those that are not orthonormal are refused."""
    start, end, _ = pair(200, 30)
    found = changed_directions(start, end)
    for bound in (bounds.gelbrich, bounds.max_sliced):
        assert bound(start, end, directions=found).value == pytest.approx(bound(start, end).value, rel=1e-6)
        with pytest.raises(ValueError, match="`directions` must be orthonormal"):
            bound(start, end, directions=(found[0], 2.0 * found[1]))


@pytest.mark.parametrize("name", sorted(LOWER.keys() - {"gelbrich"}))
def test_equal_laws_are_at_distance_zero(name):
    """Two samples of one law in 10⁴ dimensions, 64 members: the lower bounds say at most 0 within 4 errors."""
    rng = np.random.default_rng(10)
    start, end = rng.standard_normal((2, 64, 10_000))
    assert z_score(LOWER[name](start, end), 0.0) < 4


def test_assignment_is_no_lower_bound():
    """The same two samples: the plug-in assignment says 1.95 P, the truth being 0."""
    rng = np.random.default_rng(10)
    start, end = rng.standard_normal((2, 64, 10_000))
    assert plans.assignment_cost(start, end).value / 10_000 == pytest.approx(1.95, abs=0.01)


def test_sinkhorn_plan_has_the_right_marginals_at_once():
    """Even after a single iteration what is reported is a plan: never below the optimal assignment."""
    start, end, _ = pair(50, 3)
    best = plans.assignment_cost(start, end).value
    costs = [plans.sinkhorn_cost(start, end, iterations=n, temperature=0.01).value for n in (1, 500)]
    assert best <= costs[1] < costs[0]
    assert costs[1] < 1.1 * best


@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_limits_hold_as_often_as_they_say(confidence):
    """Over 300 ensembles the confidence limit exceeds the exact distance no more often than promised (4 errors)."""
    exceeded = 0
    for seed in range(300):
        start, end, truth = pair(100, 2, seed)
        limit = bounds.trace_bound(start, end, blocks=[1, 1]).limit("lower", confidence)
        exceeded += limit > truth
    allowed = 1 - confidence
    assert exceeded / 300 < allowed + 4 * np.sqrt(allowed / 300)


@pytest.mark.slow
def test_memory_of_a_large_network():
    """10⁵ weights, 1,000 members in float32 (0.8 GB): all bounds within 0.3 GB on top of them."""
    rng = np.random.default_rng(11)
    start, end = (rng.standard_normal((1000, 100_000), dtype=np.float32) for _ in range(2))
    tracemalloc.start()
    layers = [60_000, 30_000, 10_000]
    assert abs(z_score(bounds.trace_bound(start, end, blocks=layers), 0.0)) < 4
    bounds.gelbrich(start, end)
    bounds.sliced(start, end, generator=rng)
    bounds.max_sliced(start, end)
    plans.assignment_cost(start, end)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.3e9


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: bounds.mean_shift(x[:5], x[:5]), "`start` must have at least 8 members; len(start) = 5."),
        (lambda x: bounds.mean_shift(x, x[:, :2]), "`end` must have shape (20, 3); end.shape = (20, 2)."),
        (lambda x: bounds.mean_shift(x, x * np.nan), "`end` must be finite; end[0, 0] = nan."),
        (lambda x: bounds.trace_bound(x, x, blocks=[1, 1]), "`blocks` must be positive and of sum 3; sum(blocks) = 2."),
        (lambda x: bounds.gelbrich(x, x, rank=0), "`rank` must be an integer of at least 1; rank = 0."),
        (lambda x: bounds.projections(x, x, 2 * np.eye(3)), "`directions` must be orthonormal; directionsᵀdirections"),
        (lambda x: plans.assignment_cost(x[:1], x[:1]), "`start` must have at least 2 members; len(start) = 1."),
    ],
)
def test_bad_ensembles_are_named(call, message):
    """Argument, rule and value in one line."""
    with pytest.raises(ValueError, match=re.escape(message)):
        call(np.random.default_rng(0).standard_normal((20, 3)))
