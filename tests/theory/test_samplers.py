"""Samplers of Gaussians: velocities and their moments by direct integration, closed forms, and what grids bring."""

import itertools
import re

import numpy as np
import pytest
from scipy.integrate import quad

from speedlimits.theory.samplers import (
    ACCURACY,
    BETAS,
    END,
    GRIDS,
    SCHEDULES,
    TIMES,
    WEIGHTS,
    Sampler,
    coefficients,
    shared_equally,
)

EACH = pytest.mark.parametrize("schedule", SCHEDULES)


def two(schedule: str) -> Sampler:
    """Two Gaussians on a line."""
    return Sampler(means=np.array([[-1.0], [1.5]]), deviations=np.array([0.4]), schedule=schedule)


def one(schedule: str) -> Sampler:
    """One Gaussian that is wider and narrower than the noise."""
    return Sampler(means=np.array([[2.0, -1.0]]), deviations=np.array([0.3, 1.7]), schedule=schedule)


def ring(schedule: str, radius: float = 2.0) -> Sampler:
    angles = 2 * np.pi * np.arange(8) / 8
    means = radius * np.column_stack((np.cos(angles), np.sin(angles)))
    return Sampler(means=means, deviations=np.full(2, 0.1), schedule=schedule)


def bell(x: float | np.ndarray, mean: float | np.ndarray, variance: float):
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


@EACH
def test_schedules_have_their_rates(schedule):
    """α̇ and σ̇ are the rates of α and σ, which begin as noise and end as data."""
    for time in (0.05, 0.4, 0.9):
        step = 1e-6
        before, at, after = (coefficients(schedule, time + sign * step) for sign in (-1, 0, 1))
        assert at.signal_rate == pytest.approx((after.signal - before.signal) / (2 * step), rel=1e-7)
        assert at.noise_rate == pytest.approx((after.noise - before.noise) / (2 * step), rel=1e-7)
        if schedule != "cond-ot":
            assert at.signal**2 + at.noise**2 == pytest.approx(1, rel=1e-14)
    assert coefficients(schedule, 1.0).noise == pytest.approx(1, abs=1e-4)
    assert coefficients(schedule, END).signal == pytest.approx(1, abs=2e-3)
    if schedule == "vp-linear":
        integral = quad(lambda t: BETAS[0] + (BETAS[1] - BETAS[0]) * t, 0, 0.4)[0]
        assert coefficients(schedule, 0.4).signal == pytest.approx(np.exp(-0.5 * integral), rel=1e-12)
    elif schedule == "cosine":
        assert coefficients(schedule, 1 / 3).noise == pytest.approx(0.5, rel=1e-14)
    else:
        assert coefficients(schedule, 0.3)[::2] == pytest.approx((0.7, 0.3), rel=1e-14)


@EACH
def test_velocities_are_posterior_means(schedule):
    """A velocity is α̇⟨x₀|x⟩ + σ̇⟨z|x⟩, Eq. (111), with ⟨x₀|x⟩ by integration over the data."""
    sampler = two(schedule)
    for time in (0.2, 0.6):
        signal, signal_rate, noise, noise_rate = coefficients(schedule, time)
        for x in (-0.7, 0.4, 2.0):

            def joint(start: float, power: int, x: float = x, signal: float = signal, noise: float = noise) -> float:
                return (
                    start**power
                    * (bell(start, -1.0, 0.16) + bell(start, 1.5, 0.16))
                    * bell(x, signal * start, noise**2)
                )

            mass, moment = (quad(joint, -4, 5, args=(power,), epsabs=1e-13, limit=200)[0] for power in (0, 1))
            start = moment / mass
            expected = signal_rate * start + noise_rate * (x - signal * start) / noise
            assert sampler.velocity(np.array([[x]]), time)[0, 0] == pytest.approx(expected, rel=1e-7)


@EACH
def test_moments_of_a_mixture(schedule):
    """Eqs. (112), (113): ⟨|v|²⟩ and ⟨|a|²⟩ by integration over the line, a by differences in x and in t."""
    sampler, time = two(schedule), 0.45
    signal, _, noise, _ = coefficients(schedule, time)
    variance = signal**2 * 0.16 + noise**2

    def density(x: float) -> float:
        return 0.5 * (bell(x, -signal, variance) + bell(x, 1.5 * signal, variance))

    def velocity(x: float, t: float = time) -> float:
        return float(sampler.velocity(np.array([[x]]), t)[0, 0])

    def acceleration(x: float, step: float = 1e-5) -> float:
        in_time = (velocity(x, time + step) - velocity(x, time - step)) / (2 * step)
        return in_time + velocity(x) * (velocity(x + step) - velocity(x - step)) / (2 * step)

    speed = quad(lambda x: density(x) * velocity(x) ** 2, -6, 6, epsrel=1e-9)[0]
    assert sampler.speed_squared(time) == pytest.approx(speed, rel=1e-6)
    squared = quad(lambda x: density(x) * acceleration(x) ** 2, -6, 6, epsrel=1e-7)[0]
    assert sampler.acceleration_squared(time) == pytest.approx(squared, rel=1e-4)
    mean, covariance = sampler.law(time)
    first, second = (quad(lambda x, power=power: density(x) * x**power, -6, 6)[0] for power in (1, 2))
    assert mean[0] == pytest.approx(first, rel=1e-7)
    assert covariance[0, 0] == pytest.approx(second - first**2, rel=1e-7)


@EACH
def test_one_gaussian_has_closed_forms(schedule):
    """The flow is αμ + √V ξ: distance, speeds, accelerations and ends of the flow, Eqs. (111), (112), (113)."""
    sampler = one(schedule)

    def roots(time: float) -> np.ndarray:
        signal, _, noise, _ = coefficients(schedule, time)
        return np.sqrt(signal**2 * sampler.deviations**2 + noise**2)

    def moved(time: float) -> np.ndarray:
        """Of the mean, and of one deviation in each dimension; orthogonal on average."""
        return np.concatenate((coefficients(schedule, time).signal * sampler.means[0], roots(time)))

    def speed(time: float, step: float = 1e-6) -> float:
        return float(np.sum(((moved(time + step) - moved(time - step)) / (2 * step)) ** 2))

    time, step = 0.3, 1e-4
    assert sampler.speed_squared(time) == pytest.approx(speed(time), rel=1e-8)
    bent = (moved(time + step) - 2 * moved(time) + moved(time - step)) / step**2
    assert sampler.acceleration_squared(time) == pytest.approx(np.sum(bent**2), rel=1e-5)
    limit = sampler.speed_limit
    assert limit.w2_squared == pytest.approx(np.sum((moved(1.0) - moved(END)) ** 2), rel=1e-12)
    assert limit.dissipation == pytest.approx(quad(speed, END, 1, limit=200)[0], rel=1e-4)
    assert limit.arc_length == pytest.approx(quad(lambda t: np.sqrt(speed(t)), END, 1, limit=200)[0], rel=1e-4)
    assert limit.time == 1 - END
    assert limit.tolerance == ACCURACY
    assert limit.certified
    noise = np.random.default_rng(0).standard_normal((20, 2))
    points = coefficients(schedule, 1.0).signal * sampler.means[0] + roots(1.0) * noise
    ends = coefficients(schedule, END).signal * sampler.means[0] + roots(END) * noise
    np.testing.assert_allclose(sampler.exact(points), ends, rtol=1e-6, atol=1e-7)


@EACH
def test_no_flow_beats_the_limit(schedule):
    """T ≥ T_SL on a ring of eight, with both factors at least 1, Eq. (112)."""
    limit = ring(schedule).speed_limit
    assert limit.certified
    assert limit.geometric > 1
    assert limit.pace > 1


@EACH
def test_grids_share_out_equally(schedule):
    """Each step covers the same length, or the same of ⟨|a|²⟩^¼, Eq. (113), within the grid's own resolution."""
    sampler = two(schedule)
    densities = {
        "uniform": lambda t: 1.0,
        "speed": lambda t: np.sqrt(sampler.speed_squared(t)),
        "acceleration": lambda t: sampler.acceleration_squared(t) ** 0.25,
    }
    for kind, density in densities.items():
        grid = sampler.grid(4, kind)
        assert grid.size == 5
        assert grid[0] == 1.0
        assert grid[-1] == pytest.approx(END)
        parts = [quad(density, after, time, epsrel=1e-4)[0] for time, after in itertools.pairwise(grid)]
        np.testing.assert_allclose(parts, np.mean(parts), rtol=0.02)
        if kind != "uniform":
            masses = WEIGHTS * np.array([density(time) for time in TIMES.tolist()])
            np.testing.assert_allclose(grid, shared_equally(TIMES, masses, np.arange(5) / 4), rtol=1e-12)


def test_equal_shares_of_a_constant_are_equal_steps():
    """Masses of equal panels: a quarter of them lies before a quarter of the way."""
    nodes = 1 - (1 - END) * (np.arange(8) + 0.5) / 8
    np.testing.assert_allclose(shared_equally(nodes, np.ones(8), np.array([0, 0.25, 1])), [1, 1 - (1 - END) / 4, END])


def test_five_steps_on_a_ring_of_eight():
    """The error of five Euler steps of the variance-preserving schedule falls from 0.19 to 0.04, on both grids."""
    sampler = ring("vp-linear")
    noise = np.random.default_rng(0).standard_normal((300, 2))
    errors = dict(zip(GRIDS, sampler.errors(noise, [sampler.grid(5, kind) for kind in GRIDS]), strict=True))
    assert errors["uniform"] == pytest.approx(0.19, abs=0.01)
    assert errors["speed"] == pytest.approx(0.04, abs=0.005)
    assert errors["acceleration"] == pytest.approx(0.04, abs=0.005)


def test_speed_grid_may_be_worse():
    """On a wide ring with the cosine schedule the speed grid is worse than the uniform one, by more than twice."""
    sampler = ring("cosine", radius=6.0)
    noise = np.random.default_rng(0).standard_normal((100, 2))
    uniform, speed, _ = sampler.errors(noise, [sampler.grid(10, kind) for kind in GRIDS])
    assert speed > 2 * uniform


def test_errors_are_distances_of_ends():
    """Two points, one Euler step by hand."""
    sampler = one("cosine")
    points = np.array([[0.5, -0.2], [1.0, 0.3]])
    by_hand = points - (1 - END) * sampler.velocity(points, 1.0)
    np.testing.assert_allclose(sampler.euler(points, np.array([1.0, END])), by_hand, rtol=1e-14)
    ends = sampler.exact(points)
    expected = np.sqrt(np.sum((by_hand - ends) ** 2) / np.sum(ends**2))
    assert sampler.errors(points, [np.array([1.0, END])]) == pytest.approx([expected])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schedule": "linear"}, "`schedule` must be one of"),
        ({"deviations": np.zeros(2)}, "`deviations` must be positive"),
        ({"means": np.full((1, 2), np.nan)}, "`means` must be finite"),
        ({"means": np.ones((1, 4)), "deviations": np.ones(4)}, "`means.shape[1]` must be an integer of at most 3"),
    ],
)
def test_wrong_arguments_are_named(changed, message):
    """One line with the argument, its rule and its value."""
    given = {"means": np.ones((1, 2)), "deviations": np.ones(2), "schedule": "cosine"}
    with pytest.raises(ValueError, match=re.escape(message)):
        Sampler(**given | changed)
