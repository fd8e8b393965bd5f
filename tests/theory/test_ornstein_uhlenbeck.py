"""The law of a Langevin process in a quadratic potential, against the moment equations, and its speed limit."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck

BETA = 0.8
TIMES = np.array([0.01, 0.1, 0.5, 2.0, 20.0])


def process(rates: list[float], seed: int = 8) -> OrnsteinUhlenbeck:
    rng = np.random.default_rng(seed)
    dims = len(rates)
    basis, _ = np.linalg.qr(rng.standard_normal((dims, dims)))
    factor = rng.standard_normal((dims, dims + 1))
    return OrnsteinUhlenbeck(
        stiffness=(basis * np.array(rates)) @ basis.T,
        force=rng.standard_normal(dims),
        mean_start=rng.standard_normal(dims),
        covariance_start=factor @ factor.T,
        inverse_temperature=BETA,
    )


@pytest.mark.parametrize("rates", [[3.0, 1.0, 0.2], [2.0, 0.0, -0.5]])
def test_law_solves_the_moment_equations(rates):
    """Eq. (1): dm/dt = b − Hm and dC/dt = 2β⁻¹ − HC − CH, integrated numerically, flat and unstable modes too."""
    ou = process(rates)

    def slopes(_: float, state: np.ndarray) -> np.ndarray:
        mean, covariance = state[:3], state[3:].reshape(3, 3)
        spread = 2 / BETA * np.eye(3) - ou.stiffness @ covariance - covariance @ ou.stiffness
        return np.concatenate((ou.force - ou.stiffness @ mean, spread.ravel()))

    start = np.concatenate((ou.mean_start, ou.covariance_start.ravel()))
    end = solve_ivp(slopes, (0.0, 1.5), start, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    mean, covariance = ou.law(1.5)
    assert mean == pytest.approx(end[:3], rel=1e-9)
    assert covariance == pytest.approx(end[3:].reshape(3, 3), rel=1e-9, abs=1e-11)


def test_flat_potential_drifts_and_diffuses():
    """Eq. (1): with H = 0 the mean moves at b and the covariance grows by 2t/β, exactly."""
    ou = OrnsteinUhlenbeck(
        stiffness=np.zeros((2, 2)),
        force=np.array([0.5, -1.0]),
        mean_start=np.ones(2),
        covariance_start=np.eye(2),
        inverse_temperature=BETA,
    )
    mean, covariance = ou.law(3.0)
    assert mean == pytest.approx([2.5, -2.0], rel=1e-14)
    assert covariance == pytest.approx((1 + 6.0 / BETA) * np.eye(2), rel=1e-14)


def test_speed_limit_holds_and_splits():
    """Eqs. (7), (26): T_SL ≤ T at every time, with both factors at least 1, and their product T/T_SL."""
    limit = process([3.0, 1.0, 0.2]).speed_limit(TIMES)
    assert limit.certified
    assert np.all(limit.geometric >= 1)
    assert np.all(limit.pace >= 1)
    assert limit.geometric * limit.pace == pytest.approx(limit.inefficiency, rel=1e-12)
    assert limit.inefficiency[0] == pytest.approx(1.0, abs=0.02)
    assert limit.inefficiency[-1] > 2
    np.testing.assert_array_equal(limit.time, TIMES)


def test_methods_have_what_the_limit_has():
    """Distance, dissipation and length alone are those of the speed limit; the dissipation comes by two routes.

    It also proves Eqs. (7), (26).
    """
    ou = process([3.0, 1.0, 0.2])
    limit = ou.speed_limit(TIMES)
    np.testing.assert_array_equal(limit.time, TIMES)
    np.testing.assert_array_equal(ou.w2_squared(TIMES), limit.w2_squared)
    np.testing.assert_array_equal(ou.arc_length(TIMES), limit.arc_length)
    np.testing.assert_allclose(ou.dissipation(TIMES), limit.dissipation, rtol=1e-9)


def test_shifted_equilibrium_reaches_two_over_stiffness():
    """Eqs. (7), (26): a Gibbs law moved aside in an isotropic well: T_SL(t) = (2/κ)tanh(κt/2), hence 2/κ at T = ∞."""
    stiffness = 1.7
    ou = OrnsteinUhlenbeck(
        stiffness=stiffness * np.eye(2),
        force=np.zeros(2),
        mean_start=np.array([1.0, -3.0]),
        covariance_start=np.eye(2) / (BETA * stiffness),
        inverse_temperature=BETA,
    )
    expected = 2 / stiffness * np.tanh(stiffness * TIMES / 2)
    assert ou.speed_limit(TIMES).speed_limit == pytest.approx(expected, rel=1e-10)


def test_dissipation_from_a_point_is_infinite():
    """Eqs. (39), (44), (46): with noise, a start without width has entropy −∞."""
    ou = OrnsteinUhlenbeck(
        stiffness=np.eye(1),
        force=np.zeros(1),
        mean_start=np.ones(1),
        covariance_start=np.zeros((1, 1)),
        inverse_temperature=BETA,
    )
    assert ou.dissipation(np.array([1.0]))[0] == np.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stiffness": np.array([[1.0, 2.0], [0.0, 1.0]])}, r"`stiffness` must be symmetric; stiffness\[0, 1\] = 2"),
        ({"force": np.ones(3)}, r"`mean_start` must have shape \(3\)"),
        ({"inverse_temperature": -1.0}, r"`inverse_temperature` must be positive .*; inverse_temperature = -1"),
        ({"covariance_start": -np.eye(2)}, r"`covariance_start` must have no negative eigenvalue"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(change, message):
    """Argument, rule and value stand in the error."""
    fields = {
        "stiffness": np.eye(2),
        "force": np.zeros(2),
        "mean_start": np.zeros(2),
        "covariance_start": np.eye(2),
        "inverse_temperature": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        OrnsteinUhlenbeck(**(fields | change))
