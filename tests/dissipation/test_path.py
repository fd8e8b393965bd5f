"""Dissipation along the path: velocity, current and the three-term rate, on Gaussian laws in several dimensions."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from speedlimits.dissipation import path
from speedlimits.dissipation.free_energy import gaussian_entropy
from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck
from speedlimits.transport.gaussian import speed_squared

BETA = 0.8
TIMES = np.array([2.0, 0.05, 0.4])


@pytest.fixture(params=["confined", "saddle"])
def process(request) -> OrnsteinUhlenbeck:
    """Three dimensions, with H, C₀ and b in no common basis; once with an unstable and a flat direction."""
    rng = np.random.default_rng(8)
    basis, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    rates = np.array([3.0, 1.0, 0.2]) if request.param == "confined" else np.array([2.0, 0.0, -0.5])
    factor = rng.standard_normal((3, 4))
    return OrnsteinUhlenbeck(
        stiffness=(basis * rates) @ basis.T,
        force=rng.standard_normal(3),
        mean_start=rng.standard_normal(3),
        covariance_start=factor @ factor.T,
        inverse_temperature=BETA,
    )


def instant(process: OrnsteinUhlenbeck, time: float) -> tuple:
    return process.stiffness, process.force, *process.law(time), BETA


def test_three_terms_are_the_mean_square_velocity(process):
    """Eqs. (5), (24), (48) = Eqs. (23), (36), (45): expanding ⟨|v|²⟩ and integrating by parts once."""
    for time in (0.0, *TIMES):
        expected = path.gaussian_velocity_squared(*instant(process, time))
        assert sum(path.gaussian_rate_terms(*instant(process, time))) == pytest.approx(expected, rel=1e-11)


def test_rate_is_the_loss_of_free_energy(process):
    """Eqs. (43), (45): ⟨|v|²⟩ = −∂ₜ(⟨V⟩ + β⁻¹⟨ln p⟩), the derivative by central differences.

    It also proves Eqs. (23), (36), (40), (41), (42).
    """
    for time in TIMES:
        step = 1e-4
        slope = (process.free_energy(time + step) - process.free_energy(time - step)) / (2 * step)
        # Truncation of order step² beside rounding of order 1e-15/step.
        assert process.dissipation_rate(time) == pytest.approx(-slope, rel=1e-6)


def test_integrated_rate_is_the_free_energy_drop(process):
    """Eqs. (24), (44): the integral along the path gives F(0) − F(t), at times in any order.

    It also proves Eqs. (5), (23), (39), (46), (48).
    """
    assert process.path_dissipation(TIMES) == pytest.approx(process.dissipation(TIMES), rel=1e-11)


def test_rate_is_the_speed_of_transport(process):
    """Eq. (25): v of Eq. (36) is a gradient, so no cheaper velocity moves the law the same way."""
    mean, covariance = process.law(0.4)
    mean_rate = process.force - process.stiffness @ mean
    covariance_rate = 2 / BETA * np.eye(3) - process.stiffness @ covariance - covariance @ process.stiffness
    assert speed_squared(mean_rate, covariance, covariance_rate) == pytest.approx(
        process.dissipation_rate(0.4), rel=1e-11
    )


def test_current_moves_the_density(process):
    """Eqs. (22), (32), (33), (35), (36): ∂ₜp = −∇·J with J = vp, by finite differences of the closed-form law."""
    step, time, place = 1e-4, 0.4, np.array([0.3, -0.2, 0.5])

    def density(at: np.ndarray, when: float) -> float:
        return multivariate_normal(*process.law(when)).pdf(at)

    def current(at: np.ndarray) -> np.ndarray:
        mean, covariance = process.law(time)
        force = process.force - process.stiffness @ at
        score = -np.linalg.solve(covariance, at - mean)
        p = np.full(3, density(at, time))
        flow = path.probability_current(p, p * score, force, BETA)
        assert flow == pytest.approx(p * path.velocity(force, score, BETA), rel=1e-12)
        return flow

    divergence = sum((current(place + e) - current(place - e))[k] for k, e in enumerate(step * np.eye(3))) / (2 * step)
    rate = (density(place, time + step) - density(place, time - step)) / (2 * step)
    assert rate == pytest.approx(-divergence, rel=1e-5)


def test_velocity_vanishes_in_equilibrium():
    """Eq. (34): where p ∝ e^{−βV} the entropic force balances the force at each point."""
    theta = np.linspace(-2, 2, 9)
    force = -4 * theta**3
    assert path.velocity(force, BETA * force, BETA) == pytest.approx(np.zeros(9), abs=1e-14)


def test_no_noise_leaves_the_gradient():
    """Eqs. (5), (23), (24), (36), (45), (48): at β⁻¹ = 0 the rate is ⟨|∇V|²⟩ alone, for a point too."""
    stiffness, force, mean = np.diag([1.0, 2.0]), np.array([0.5, 0.0]), np.array([2.0, -1.0])
    arguments = stiffness, force, mean, np.zeros((2, 2)), np.inf
    assert path.gaussian_rate_terms(*arguments) == (1.5**2 + 2.0**2, 0.0, 0.0)
    assert path.gaussian_velocity_squared(*arguments) == 1.5**2 + 2.0**2


def test_observables_follow_the_velocity(process):
    """Eq. (40): ∂ₜ⟨V⟩ = −⟨f·v⟩, sampled from the law within 4 standard errors."""
    time, step = 0.4, 1e-4
    mean, covariance = process.law(time)
    theta = np.random.default_rng(1).multivariate_normal(mean, covariance, 100_000)
    force = process.force - theta @ process.stiffness
    score = -np.linalg.solve(covariance, (theta - mean).T).T
    power = -np.sum(force * path.velocity(force, score, BETA), axis=1)
    slope = (process.mean_potential(time + step) - process.mean_potential(time - step)) / (2 * step)
    assert slope == pytest.approx(power.mean(), abs=4 * power.std() / np.sqrt(power.size))


@pytest.mark.usefixtures("as_user")
def test_log_density_follows_the_velocity(process):
    """Eqs. (41), (42): ∂ₜ⟨ln p⟩ = ⟨v·∇ln p⟩ = −⟨∇·v⟩, by differences, by samples within 4 standard errors, exactly."""
    step, time = 1e-4, 0.3
    mean, covariance = process.law(time)
    entropies = [gaussian_entropy(process.law(when)[1]) for when in (time - step, time + step)]
    # ∇·v of v = f − β⁻¹∇ln p, the same at every point.
    divergence = np.trace(np.linalg.inv(covariance)) / BETA - np.trace(process.stiffness)
    assert -np.diff(entropies)[0] / (2 * step) == pytest.approx(-divergence, rel=1e-6)
    theta = np.random.default_rng(5).multivariate_normal(mean, covariance, 20_000)
    score = -np.linalg.solve(covariance, (theta - mean).T).T
    products = np.sum(path.velocity(process.force - theta @ process.stiffness, score, BETA) * score, axis=1)
    assert abs(products.mean() + divergence) < 4 * products.std() / np.sqrt(products.size)


def test_rates_are_integrated_at_any_times():
    """Eqs. (23), (44): a rate s² has t³/3 by time t, in whatever order times come, at 0 and at one that comes twice."""
    times = np.array([2.0, 0.0, 0.5, 2.0, 1.0])
    np.testing.assert_allclose(path.time_integral(lambda s: s**2, times), times**3 / 3, rtol=1e-14, atol=0)


def test_a_law_without_width_is_named():
    """With noise a singular covariance has an infinite score."""
    one = np.eye(1)
    with pytest.raises(ValueError, match=r"`covariance` must be positive definite; its smallest eigenvalue is 0"):
        path.gaussian_velocity_squared(one, np.zeros(1), np.zeros(1), 0 * one, 1.0)
    with pytest.raises(ValueError, match=r"`inverse_temperature` must be positive .*; inverse_temperature = nan"):
        path.velocity(np.zeros(2), np.zeros(2), np.nan)
    with pytest.raises(ValueError, match=r"`times` must be non-negative and finite; times\[0\] = -1"):
        path.time_integral(lambda _: 1.0, np.array([-1.0]))
