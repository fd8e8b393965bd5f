"""The constant-speed protocol: the Langevin moments it drives arrive in time and spend the least."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from speedlimits.dissipation.path import gaussian_velocity_squared
from speedlimits.transport import gaussian
from speedlimits.transport.protocol import OptimalProtocol

TIME, BETA = 0.7, 2.5


@pytest.fixture
def protocol() -> OptimalProtocol:
    rng = np.random.default_rng(3)
    factors = rng.standard_normal((2, 3, 5))
    start, end = factors @ factors.transpose(0, 2, 1)
    means = rng.standard_normal((2, 3))
    return OptimalProtocol(
        mean_start=means[0], covariance_start=start, mean_end=means[1], covariance_end=end, time=TIME
    )


def test_its_langevin_moments_arrive(protocol):
    """The moments dm = (b − Hm)dt, dC = (2/β − HC − CH)dt under its potential end in the law asked for.

    It also proves Eqs. (22), (26), (36).
    """

    def rates(time: float, state: np.ndarray) -> np.ndarray:
        mean, covariance = state[:3], state[3:].reshape(3, 3)
        stiffness, force = protocol.potential(min(time, TIME), BETA)
        spread = 2 / BETA * np.eye(3) - stiffness @ covariance - covariance @ stiffness
        return np.concatenate((force - stiffness @ mean, spread.ravel()))

    start = np.concatenate((protocol.mean_start, protocol.covariance_start.ravel()))
    end = solve_ivp(rates, (0.0, TIME), start, method="DOP853", rtol=1e-10, atol=1e-12).y[:, -1]
    assert end[:3] == pytest.approx(protocol.mean_end, rel=1e-7)
    assert end[3:].reshape(3, 3) == pytest.approx(protocol.covariance_end, rel=1e-7, abs=1e-7)


def test_it_saturates_the_speed_limit(protocol):
    """Eqs. (22), (26) with equality: ⟨|v|²⟩ by Eq. (36) is 𝒲₂/T² at every time, so that T β⁻¹R = 𝒲₂."""
    total = gaussian.w2_squared(
        protocol.mean_start, protocol.covariance_start, protocol.mean_end, protocol.covariance_end
    )
    for time in (0.0, 0.2, TIME):
        rate = gaussian_velocity_squared(*protocol.potential(time, BETA), *protocol.law(time), BETA)
        assert rate == pytest.approx(total / TIME**2, rel=1e-9)
    assert protocol.dissipation == pytest.approx(total / TIME, rel=1e-12)


def test_a_narrow_law_is_met_to_its_own_width():
    """Eq. (22): each axis shrinks in a straight line, √C = √C₀ + (√C₁ − √C₀)t/T, to a variance of 10⁻⁶ as well."""
    start, end = np.array([2.0, 0.5]), np.array([1.0, 1e-6])
    protocol = OptimalProtocol(
        mean_start=np.zeros(2),
        covariance_start=np.diag(start),
        mean_end=np.ones(2),
        covariance_end=np.diag(end),
        time=2.0,
    )
    for time in (0.0, 0.5, 2.0):
        widths = np.sqrt(start) + (np.sqrt(end) - np.sqrt(start)) * time / 2.0
        np.testing.assert_allclose(protocol.law(time)[1], np.diag(widths**2), rtol=1e-9, atol=0)
        pace = (np.sqrt(end) - np.sqrt(start)) / 2.0
        np.testing.assert_allclose(protocol.velocity(time)[1], np.diag(pace / widths), rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("as_user")
def test_a_delta_cannot_be_left_at_finite_speed():
    """A singular start needs an infinite velocity gradient, and is named."""
    with pytest.raises(ValueError, match=r"`covariance_start` must be positive definite; its smallest eigenvalue is 0"):
        OptimalProtocol(
            mean_start=np.zeros(1),
            covariance_start=np.zeros((1, 1)),
            mean_end=np.ones(1),
            covariance_end=np.eye(1),
            time=1.0,
        )
