"""The integral of Eq. (5) over members, against the two free energies of Eq. (4) in closed form."""

import numpy as np
import pytest
from scipy.stats import chi2

from speedlimits.dissipation import rates
from tests.ensembles import draw, linear_network

BETA = 2.0


def test_integral_equals_free_energy_drop():
    """Eq. (5) by 4,000 members at 41 times equals β⁻¹R of the ends within 4 errors; the scores are exact.

    It also proves Eqs. (24), (48).
    """
    rng = np.random.default_rng(1)
    process = linear_network(5, 8, BETA, rng)
    times = 1.5 * np.linspace(0, 1, 41) ** 2
    ensembles = [draw(process, time, 4000, rng)[bool(time)] for time in np.maximum(times, 1e-12)]
    forces = np.array([np.sum((theta @ process.stiffness - process.force) ** 2, axis=1) for theta in ensembles])
    # Hutchinson's estimate with random signs: unbiased for the trace.
    signs = rng.choice([-1.0, 1.0], size=(times.size, 4000, 5))
    laplacians = np.einsum("tmi,ij,tmj->tm", signs, process.stiffness, signs)
    scores = np.array([np.trace(np.linalg.inv(process.law(time)[1])) for time in times])
    estimate = rates.rate_integral(times, forces, laplacians, scores, BETA, side="exact")
    truth = process.dissipation(np.array([1.5]))[0]
    assert abs(estimate.value - truth) < 4 * estimate.standard_error
    assert estimate.caveat


def test_each_term_has_its_factor():
    """Eqs. (5), (24), (48): |∇V|² − 2β⁻¹ΔV + β⁻²|∇ln p|² of members that differ, cubic in time: the rule is exact."""
    times, shares = np.linspace(0.5, 2.5, 5), np.linspace(0.5, 1.5, 8)
    forces = np.outer(times**3 + 1.0, shares)
    laplacians = np.outer(2.0 * times**2 - 0.3, shares**2)
    estimate = rates.rate_integral(times, forces, laplacians, 4.0 * times + 7.0, BETA)

    def spent(t: float) -> np.ndarray:
        cubic = (t**4 / 4 + t) * shares - 2 / BETA * (2 * t**3 / 3 - 0.3 * t) * shares**2
        return cubic + (2 * t**2 + 7 * t) / BETA**2

    exact = spent(2.5) - spent(0.5)
    assert estimate.value == pytest.approx(exact.mean(), rel=1e-13)
    assert estimate.standard_error == pytest.approx(exact.std(ddof=1) / np.sqrt(8), rel=1e-12)


@pytest.mark.parametrize(("members", "exact"), [(200, True), (50, False)])
def test_score_bound(members, exact):
    """Eq. (5): Tr Σ⁻¹ without bias where members allow it, the smaller sum over single variances elsewhere."""
    rng = np.random.default_rng(2)
    factor = np.tril(rng.standard_normal((20, 20))) + 3 * np.eye(20)
    covariance = factor @ factor.T
    truth = np.trace(np.linalg.inv(covariance)) if exact else np.sum(1 / np.diag(covariance))
    values = [rates.score_squared_bound(rng.standard_normal((members, 20)) @ factor.T) for _ in range(200)]
    assert abs(np.mean(values) - truth) < 4 * np.std(values) / np.sqrt(200)
    assert np.sum(1 / np.diag(covariance)) < np.trace(np.linalg.inv(covariance))


@pytest.mark.parametrize(("members", "free"), [(12, 12 - 4), (11, 11 - 1)])
def test_score_bound_is_the_inverse_without_its_bias(members, free):
    """Eq. (5): the inverse of a sample variance is too large by the mean of (n − 1)/χ², here by quadrature.

    For Gaussian members a diagonal element of the inverse is 1/χ² with n − P degrees of freedom.
    """
    ensemble = np.random.default_rng(3).standard_normal((members, 4)) @ np.diag([1.0, 2.0, 0.5, 3.0])
    away = ensemble - ensemble.mean(axis=0)
    covariance = away.T @ away / (members - 1)
    if free == members - 1:
        covariance = np.diag(np.diag(covariance))
    bias = chi2(free).expect(lambda x: (members - 1) / x)
    expected = np.sum(1 / np.linalg.eigvalsh(covariance)) / bias
    assert rates.score_squared_bound(ensemble) == pytest.approx(expected, rel=1e-6)


def test_shapes_must_agree():
    """One score for each time."""
    with pytest.raises(ValueError, match="`inverse_temperature` must be positive"):
        rates.rate_integral(np.arange(3.0), np.ones((3, 9)), np.ones((3, 9)), np.ones(3), -1.0)
