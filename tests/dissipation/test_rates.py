"""The integral of Eq. (5) over members, against the two free energies of Eq. (4) in closed form."""

import numpy as np
import pytest

from speedlimits.dissipation import rates
from tests.ensembles import draw, linear_network

BETA = 2.0


def test_integral_equals_free_energy_drop():
    """Eq. (5) by 4,000 members at 41 times equals β⁻¹R of the ends within 4 errors; the scores are exact."""
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


@pytest.mark.parametrize(("members", "exact"), [(200, True), (50, False)])
def test_score_bound(members, exact):
    """Tr Σ⁻¹ without bias where members allow it, the smaller sum over single variances elsewhere."""
    rng = np.random.default_rng(2)
    factor = np.tril(rng.standard_normal((20, 20))) + 3 * np.eye(20)
    covariance = factor @ factor.T
    truth = np.trace(np.linalg.inv(covariance)) if exact else np.sum(1 / np.diag(covariance))
    values = [rates.score_squared_bound(rng.standard_normal((members, 20)) @ factor.T) for _ in range(200)]
    assert abs(np.mean(values) - truth) < 4 * np.std(values) / np.sqrt(200)
    assert np.sum(1 / np.diag(covariance)) < np.trace(np.linalg.inv(covariance))


def test_shapes_must_agree():
    """One score for each time."""
    with pytest.raises(ValueError, match="`inverse_temperature` must be positive"):
        rates.rate_integral(np.arange(3.0), np.ones((3, 9)), np.ones((3, 9)), np.ones(3), -1.0)
