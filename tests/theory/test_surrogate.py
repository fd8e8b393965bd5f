"""Losses between the same two Gaussians: the flow of the best, a solver for its programme, and what is left to gain."""

import re

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck
from speedlimits.theory.surrogate import SMALLEST, Surrogate
from speedlimits.transport.gaussian import w2_squared

TIME = 1.7
CASES = [(0.2, 3.0, 0.5), (3.0, 1.0, 0.3), (0.05, 0.0, 1.0), (0.5, -1.0, 0.01), (0.8, 0.1, 1.0), (4.0, -2.0, 1.0)]


def one(scale: float, shift: float, variance: float) -> Surrogate:
    return Surrogate(scales=np.array([scale]), shifts=np.array([shift]), variances=np.array([variance]))


def path(system: Surrogate, start: float) -> tuple[np.ndarray, np.ndarray]:
    """Places from a start to its end, and the best loss's velocity there."""
    end = float(system.shifts[0] + system.scales[0] * start)
    # Evenly in the logarithm of the distance from the fixed point, as the velocity varies.
    fixed = float(system.shifts[0] / (1 - system.scales[0]))
    places = fixed + (start - fixed) * np.geomspace(1, (end - fixed) / (start - fixed), 4001)
    return places, system.velocity(places[:, None], TIME)[:, 0]


@pytest.mark.parametrize(("scale", "shift", "variance"), CASES)
def test_the_best_flow_arrives_in_time_at_its_cost(scale, shift, variance):
    """Eq. (118): ∫dz/v from a start to its end is T, and the mean over starts of T∫v dz is what the best loss costs."""
    system = one(scale, shift, variance)
    # No start is just at the fixed point.
    widths = np.linspace(-6, 6, 121) + 1e-3
    drops = []
    for number, start in enumerate((np.sqrt(variance) * widths).tolist()):
        places, velocity = path(system, start)
        if number % 20 == 0:
            assert np.trapezoid(1 / velocity, places) == pytest.approx(TIME, rel=2e-3)
        drops.append(np.trapezoid(velocity, places))
    assert TIME * (np.array(drops) @ norm.pdf(widths) * 0.1) == pytest.approx(system.best, rel=2e-3)


@pytest.mark.parametrize(("scale", "shift", "variance"), CASES)
def test_a_solver_finds_no_better(scale, shift, variance):
    """Eq. (118): p on 24 phases by a general solver, its weights from starts that pass; a constant p is quadratic."""
    system, phases = one(scale, shift, variance), 24
    period = abs(np.log(scale))
    fixed = shift / (1 - scale)
    starts = np.sqrt(variance) * norm.ppf((np.arange(20_000) + 0.5) / 20_000) - fixed
    found, flat = 0.0, 0.0
    for side in (starts[starts > 0], -starts[starts < 0]):
        if not side.size:
            continue
        ends = np.log(side) + np.array([[0.0], [np.log(scale)]])
        low, high = ends.min(0), ends.max(0)
        weights = np.zeros(phases)
        for turn in range(int(low.min() // period) - 1, int(high.max() // period) + 2):
            edges = turn * period + period * np.arange(phases + 1) / phases
            seen = np.exp(2 * np.clip(edges[:, None], low, high))
            weights += 0.5 * np.diff(seen, axis=0).sum(1) / starts.size
        step = period / phases
        flat += weights.sum() * period
        result = minimize(
            lambda logs, weights=weights, step=step: (
                np.log(weights @ np.exp(logs)) + np.log(np.sum(step * np.exp(-logs)))
            ),
            np.zeros(phases),
        )
        found += np.exp(result.fun)
    assert flat == pytest.approx(system.quadratic, rel=2e-3)
    # Within a phase p is constant, which costs a little.
    assert system.best * (1 - 2e-3) <= found <= system.best * 1.02


@pytest.mark.parametrize("seed", range(4))
def test_quadratic_losses_are_gradient_flows(seed):
    """Eq. (117) between the two ends of a noise-free flow in three dimensions: T × drop, and 𝒲₂ of Gaussians."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    factor = rng.standard_normal((3, 5))
    flow = OrnsteinUhlenbeck(
        stiffness=(basis * np.array([2.0, 0.4, -0.3])) @ basis.T,
        force=rng.standard_normal(3),
        mean_start=rng.standard_normal(3),
        covariance_start=factor @ factor.T,
        inverse_temperature=np.inf,
    )
    start, end = flow.law(0.0), flow.law(TIME)
    system = Surrogate.between(*start, *end)
    drop = flow.mean_potential(0.0) - flow.mean_potential(TIME)
    assert system.quadratic == pytest.approx(TIME * drop, rel=1e-9)
    assert system.w2_squared == pytest.approx(w2_squared(*start, *end), rel=1e-9)
    assert system.w2_squared < system.best < system.quadratic
    times = system.times(drop)
    assert times.quadratic == pytest.approx(TIME, rel=1e-9)
    assert times.limit == pytest.approx(system.w2_squared / drop, rel=1e-12)
    assert times.best == pytest.approx(system.best / drop, rel=1e-12)


def test_one_start_can_be_carried_at_the_limit():
    """Without width the best loss falls evenly along a line, Eqs. (117), (118); nearly so with a little."""
    point = Surrogate(scales=np.array([0.1, 2.0]), shifts=np.array([3.0, -1.0]), variances=np.zeros(2))
    assert point.best == point.w2_squared == 10.0
    np.testing.assert_allclose(point.velocity(np.zeros((1, 2)), 2.0), [[1.5, -0.5]])
    narrow = one(0.1, 3.0, 1e-6)
    assert narrow.best == pytest.approx(narrow.w2_squared, rel=2e-3)
    assert narrow.quadratic > 1.2 * narrow.best
    # On the way from 0 to 3 it moves as one start does.
    np.testing.assert_allclose(narrow.velocity(np.array([[0.1], [1.0], [2.9]]), 2.0), 1.5, rtol=2e-3)


def test_maps_near_the_identity_are_smooth():
    """A pure shift is a constant force, Eqs. (117), (118); where the family stops, best and quadratic agree to 1e-5."""
    shift = one(1.0, 2.0, 0.5)
    assert shift.quadratic == shift.best == shift.w2_squared == 4.0
    np.testing.assert_allclose(shift.velocity(np.ones((1, 1)), TIME), 2.0 / TIME)
    for sign in (-1, 1):
        below, above = (one(np.exp(sign * factor * SMALLEST), 0.3, 1.0) for factor in (0.999, 1.001))
        assert below.best == below.quadratic > 0
        assert above.best == pytest.approx(above.quadratic, rel=1e-5)
        points = np.array([[-1.0], [2.0]])
        np.testing.assert_allclose(below.velocity(points, 2.0), above.velocity(points, 2.0), rtol=0.004)


@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_units_of_distance_do_not_matter(unit):
    """Eq. (118): in other units the product of the best loss is that of squared distances."""
    assert one(0.2, 3.0 * unit, 0.5 * unit**2).best == pytest.approx(one(0.2, 3.0, 0.5).best * unit**2, rel=1e-6)


def test_far_falls_are_finite():
    """Eq. (118) for a scale of e⁻⁴⁰⁰ with its starts on both sides of the end: finite cost and velocity."""
    system = one(np.exp(-400.0), 0.5, 1.0)
    assert system.w2_squared < system.best < system.quadratic
    assert np.isfinite(system.velocity(np.linspace(-3, 3, 50)[:, None], TIME)).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scales": np.zeros(1)}, "`scales` must be positive"),
        ({"variances": -np.ones(1)}, "`variances` must be non-negative"),
        ({"shifts": np.array([np.nan])}, "`shifts` must be finite"),
    ],
)
def test_wrong_arguments_are_named(changed, message):
    """One line with the argument, its rule and its value."""
    given = {"scales": np.ones(1), "shifts": np.ones(1), "variances": np.ones(1)}
    with pytest.raises(ValueError, match=re.escape(message)):
        Surrogate(**given | changed)
    with pytest.raises(ValueError, match="`drop` must be positive"):
        one(0.5, 1.0, 1.0).times(0.0)
