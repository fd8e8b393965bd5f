"""Each misprint beside its correction and a brute-force number: how wrong the printed formula is."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from speedlimits.dissipation import path_measure
from speedlimits.dissipation.free_energy import log_partition
from speedlimits.dissipation.path import gaussian_velocity_squared
from speedlimits.misprints import entropy

BETA, CURVATURE, STEP, STEPS = 2.5, 0.8, 0.01, 100


@pytest.fixture(scope="module")
def path() -> np.ndarray:
    """Paths of two coordinates in a well, in equilibrium, where R = 0."""
    rng = np.random.default_rng(4)
    # The stationary variance of the discrete steps themselves.
    spread = 1 / np.sqrt(BETA * CURVATURE * (1 - STEP * CURVATURE / 2))
    states = [spread * rng.standard_normal((4_000, 2))]
    for _ in range(STEPS):
        noise = rng.standard_normal((4_000, 2))
        states.append(path_measure.euler_maruyama_step(states[-1], -CURVATURE * states[-1], noise, BETA, STEP))
    return np.stack(states, axis=-2)


def agrees(samples: np.ndarray, expected: float) -> bool:
    return abs(samples.mean() - expected) < 4 * samples.std() / np.sqrt(samples.size)


def test_printed_density_has_the_wrong_mass():
    """Below Eq. (4): e^{−βV}/ln 𝒵 integrates to 𝒵/ln 𝒵, here −1.86, where e^{−βV}/𝒵 integrates to 1."""
    log_z = log_partition(np.array([[CURVATURE * 4]]), np.zeros(1), 0.1, BETA)

    def printed(x: float) -> float:
        return entropy.gibbs_density(np.array([2 * CURVATURE * x**2 + 0.1]), log_z, BETA)[0]

    mass = quad(printed, -20, 20, epsabs=1e-12, points=[0])[0]
    assert mass == pytest.approx(np.exp(log_z) / log_z, rel=1e-9)
    assert mass * log_z / np.exp(log_z) == pytest.approx(1.0, rel=1e-9)
    assert mass == pytest.approx(-1.8615, abs=1e-4)


def test_printed_force_climbs():
    """Eq. (28) with f = +∇V: without noise the distance from the minimum grows as (1 + κdt)ᴺ instead of shrinking."""
    printed = corrected = np.array([1.0])
    quiet = np.zeros(1)
    for _ in range(STEPS):
        printed = entropy.euler_maruyama_step(printed, CURVATURE * printed, quiet, BETA, STEP)
        corrected = path_measure.euler_maruyama_step(corrected, -CURVATURE * corrected, quiet, BETA, STEP)
    assert printed == pytest.approx((1 + CURVATURE * STEP) ** STEPS, rel=1e-12)
    assert corrected == pytest.approx((1 - CURVATURE * STEP) ** STEPS, rel=1e-12)


def test_printed_steps_and_densities_are_gaussian():
    """Eqs. (28), (29) as printed: from θ the step ends at N(θ + ∇V dt, 2dt/β), coordinate by coordinate."""
    rng = np.random.default_rng(2)
    states, gradients = rng.standard_normal((2, 6, 3))
    width = np.sqrt(2 * STEP / BETA)
    ends = entropy.euler_maruyama_step(states[0], gradients[0], np.ones(3), BETA, STEP)
    assert ends == pytest.approx(states[0] + gradients[0] * STEP + width, rel=1e-14)
    laws = norm(states[:-1] + gradients[:-1] * STEP, width)
    density = entropy.log_path_density(states, gradients, BETA, STEP)
    assert density == pytest.approx(laws.logpdf(states[1:]).sum(), rel=1e-12)


def test_printed_product_takes_the_left_end():
    """Eq. (38) with the product of Eq. (27): βΣf(θ_l)·(θ_{l+1} − θ_l), for a path of three states by hand."""
    states = np.array([[1.0, 2.0], [1.5, 1.0], [0.5, 4.0]])
    forces = np.array([[3.0, -1.0], [2.0, 0.5], [7.0, 7.0]])
    by_hand = 3 * 0.5 + -1 * -1.0 + 2 * -1.0 + 0.5 * 3.0
    assert entropy.bath_entropy_production(states, forces, BETA) == pytest.approx(BETA * by_hand, rel=1e-14)


def test_printed_path_density_prefers_the_wrong_paths(path):
    """Eq. (29) with f = +∇V: true paths lose βT⟨|∇V|²⟩ = 2κT of log density, within 4 standard errors."""
    printed = entropy.log_path_density(path, CURVATURE * path, BETA, STEP)
    corrected = path_measure.log_path_density(path, -CURVATURE * path, BETA, STEP)
    # 1/(1 − κdt/2) from the variance of discrete steps.
    lost = 2 * CURVATURE * STEP * STEPS / (1 - CURVATURE * STEP / 2)
    assert agrees(corrected - printed, lost)
    assert lost == pytest.approx(1.606, abs=1e-3)


def test_printed_product_dissipates_in_equilibrium(path):
    """Eq. (38) by Itô's product gives R₁ = κDT = 1.6 in equilibrium; the exact ratio gives 0."""
    printed = entropy.bath_entropy_production(path, -CURVATURE * path, BETA)
    corrected = path_measure.log_path_ratio(path, -CURVATURE * path, BETA, STEP)
    expected = 2 * CURVATURE * STEP * STEPS / (1 - CURVATURE * STEP / 2)
    assert agrees(printed, expected)
    assert agrees(corrected, 0.0)
    assert abs(corrected.mean()) < 0.05


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_printed_rate_is_right_at_unit_temperature_only(beta):
    """Eq. (47), last line: off by 2(1 − β⁻¹)Tr H, so nonzero in equilibrium and negative for β < 1."""
    stiffness = np.array([[2.0, 0.3], [0.3, 1.0]])
    law = np.zeros(2), np.linalg.inv(stiffness) / beta
    printed = entropy.gaussian_entropy_production_rate(stiffness, np.zeros(2), *law, beta)
    corrected = beta * gaussian_velocity_squared(stiffness, np.zeros(2), *law, beta)
    assert corrected == pytest.approx(0.0, abs=1e-14)
    assert printed == pytest.approx(2 * (1 - 1 / beta) * 3.0, abs=1e-12)


@pytest.mark.parametrize("beta", [0.5, 4.0])
def test_printed_rate_is_off_by_the_curvature(beta):
    """Eq. (47), last line, for any law: β⟨|v|²⟩ and 2(1 − β⁻¹)Tr H more."""
    stiffness, force = np.array([[2.0, 0.3], [0.3, 1.0]]), np.array([0.7, -0.4])
    mean, covariance = np.array([0.5, 1.5]), np.array([[0.6, 0.2], [0.2, 0.9]])
    # v = b − Hθ + β⁻¹C⁻¹(θ − m) is linear in θ: its mean square by its mean and its gradient.
    gradient = np.linalg.inv(covariance) / beta - stiffness
    drift = force - stiffness @ mean
    speed = drift @ drift + np.trace(gradient @ covariance @ gradient.T)
    printed = entropy.gaussian_entropy_production_rate(stiffness, force, mean, covariance, beta)
    assert printed == pytest.approx(beta * speed + 2 * (1 - 1 / beta) * 3.0, rel=1e-12)


@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(path):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=r"`forces` must have shape \(4000, 101, 2\)"):
        entropy.bath_entropy_production(path, path[0], BETA)
    with pytest.raises(ValueError, match=r"`inverse_temperature` must be positive and finite; .* = inf"):
        entropy.gibbs_density(np.ones(1), 1.0, np.inf)
