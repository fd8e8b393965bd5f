"""Bounds on the dissipation of sampled ensembles, against Ornstein–Uhlenbeck and Fokker–Planck."""

import re

import numpy as np
import pytest

from speedlimits.dissipation import bounds
from speedlimits.dissipation.free_energy import gaussian_entropy
from speedlimits.estimates import Estimate
from speedlimits.theory.fokker_planck import FokkerPlanck
from tests.ensembles import draw, linear_network, potential

BETA = 2.0


def measured(dims: int, members: int, time: float, structure: str, seed: int = 0) -> tuple[Estimate, float]:
    """The maximum entropy bound on an exactly drawn ensemble, and the exact dissipation."""
    rng = np.random.default_rng(seed)
    process = linear_network(dims, dims, BETA, rng)
    start, end = draw(process, time, members, rng)
    estimate = bounds.maximum_entropy(
        potential(process, start),
        potential(process, end),
        end,
        entropy_start=gaussian_entropy(process.covariance_start),
        inverse_temperature=BETA,
        structure=structure,  # type: ignore[arg-type]
    )
    return estimate, float(process.dissipation(np.array([time]))[0])


@pytest.mark.parametrize("time", [0.1, 1.0])
def test_full_maximum_entropy_is_exact_for_gaussians(time):
    """In 30 dimensions, with 120 members: within 4 standard errors of β⁻¹R, after a bias of many is removed."""
    estimate, truth = measured(30, 120, time, "full")
    assert abs(estimate.value - truth) < 4 * estimate.standard_error
    assert estimate.side == "upper"


def test_full_maximum_entropy_has_no_bias():
    """Averaged over 60 ensembles of 40 members in 10 dimensions: within 4 errors of the mean difference."""
    pairs = [measured(10, 40, 0.5, "full", seed) for seed in range(60)]
    gaps = np.array([estimate.value - truth for estimate, truth in pairs])
    assert abs(gaps.mean()) < 4 * gaps.std() / np.sqrt(60)


@pytest.mark.parametrize("structure", ["diagonal", "isotropic"])
def test_less_structure_bounds_from_above(structure):
    """Single variances, and their sum, give looser bounds from above; in 100 dimensions both stay above the truth."""
    estimate, truth = measured(100, 400, 0.5, structure)
    assert estimate.value > truth - 4 * estimate.standard_error
    full, _ = measured(100, 400, 0.5, "full")
    assert estimate.value > full.value


@pytest.mark.parametrize("structure", ["full", "diagonal", "isotropic"])
def test_members_left_out_in_closed_form(structure):
    """The jackknife's shortcuts against leaving each member out."""
    rng = np.random.default_rng(3)
    end = rng.standard_normal((14, 4)) * [1, 2, 3, 0.1]
    entropy = {"full": bounds._full, "diagonal": bounds._diagonal, "isotropic": bounds._isotropic}[structure]
    expected = [entropy(np.delete(end, k, axis=0))[0] for k in range(14)]
    np.testing.assert_allclose(entropy(end)[1], expected, rtol=1e-12)


@pytest.mark.parametrize("structure", ["full", "diagonal", "isotropic"])
def test_cross_entropy_is_above_and_close(structure):
    """2,000 members in 6 dimensions: above the truth, and over the maximum entropy by the cost of the fit alone."""
    rng = np.random.default_rng(6)
    process = linear_network(6, 6, BETA, rng)
    start, end = draw(process, 0.5, 2000, rng)
    energies = potential(process, start), potential(process, end)
    arguments = {"entropy_start": gaussian_entropy(process.covariance_start), "inverse_temperature": BETA}
    mean = bounds.cross_entropy(*energies, end, structure=structure, **arguments)
    most = bounds.maximum_entropy(*energies, end, structure=structure, **arguments)
    truth = float(process.dissipation(np.array([0.5]))[0])
    assert mean.side == "upper"
    assert not mean.obstacle(0.95)
    assert mean.value > truth - 4 * mean.standard_error
    # A Gaussian with p parameters fitted to n members costs p/(2n) of entropy.
    assert abs(mean.value - most.value) < 27 / (2 * 1000) / BETA + 2 * mean.standard_error


def test_initial_loss_bounds_every_time():
    """Eq. (21): ⟨L(θ₀)⟩ − inf L exceeds the dissipation at every time, T = ∞ included."""
    rng = np.random.default_rng(4)
    process = linear_network(6, 20, BETA, rng)
    start, _ = draw(process, 1.0, 2000, rng)
    losses = potential(process, start) - np.sum(start**2, axis=1)
    # inf L of ½θᵀJᵀJθ − bᵀθ.
    infimum = -0.5 * process.force @ np.linalg.solve(process.stiffness - 2 * np.eye(6), process.force)
    estimate = bounds.initial_loss(losses, infimum=float(infimum))
    assert (
        estimate.limit("lower" if estimate.side == "exact" else "upper", 0.95)
        > process.dissipation(np.array([50.0])).item()
    )
    exact = 0.5 * np.trace(process.stiffness - 2 * np.eye(6)) / (2 * BETA) - infimum
    assert abs(estimate.value - exact) < 4 * estimate.standard_error
    assert estimate.value == pytest.approx(losses.mean() - infimum, rel=1e-13)


def test_double_well_by_nearest_neighbours_and_from_above():
    """V = x² + 1.5(x² − 1.2)², β = 2, T = 1: β⁻¹R within 4 errors by neighbours, and below the Gaussian bound."""

    def well(x: np.ndarray) -> np.ndarray:
        return x**2 + 1.5 * (x**2 - 1.2) ** 2

    solution = FokkerPlanck(well, inverse_temperature=2.0).solution(np.array([1.0]))
    truth = solution.dissipation[0]
    rng = np.random.default_rng(5)
    start = 0.5 * rng.standard_normal(20_000)
    # Draws from the solved law: a cell, and a place in it.
    cells = rng.choice(solution.points.size, size=start.size, p=solution.probabilities[0])
    end = solution.edges[cells] + rng.random(start.size) * np.diff(solution.edges)[cells]
    arguments = {"entropy_start": gaussian_entropy(np.array([[0.25]])), "inverse_temperature": 2.0}
    neighbours = bounds.energy_entropy(well(start), well(end), end[:, None], **arguments)
    assert abs(neighbours.value - truth) < 4 * neighbours.standard_error
    above = bounds.maximum_entropy(well(start), well(end), end[:, None], **arguments)
    assert above.value - truth > 4 * above.standard_error


def test_distance_over_time_is_below():
    """Eq. (26): 𝒲₂/T is a bound from below, and only distances from below may give it."""
    distance = Estimate(name="mean shift", value=3.0, standard_error=0.5, side="lower", degrees_of_freedom=99)
    bound = bounds.distance_over_time(distance, 2.0)
    assert (bound.value, bound.standard_error, bound.side) == (1.5, 0.25, "lower")
    with pytest.raises(ValueError, match="assignment is upper"):
        bounds.distance_over_time(Estimate(name="assignment", value=3.0, standard_error=0.5, side="upper"), 2.0)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inverse_temperature": 0.0}, "`inverse_temperature` must be positive and finite; inverse_temperature = 0."),
        ({"structure": "round"}, "`structure` must be one of 'full', 'diagonal', 'isotropic'; structure = 'round'."),
        ({"entropy_start": -np.inf}, "`entropy_start` must be finite; entropy_start = -inf."),
        ({"end": np.zeros((12, 3))}, "`end` must vary in every direction;"),
        ({"structure": "full", "end": np.eye(12)}, "`end` must have at least 36 members; len(end) = 12."),
    ],
)
def test_bad_input_is_named(change, message):
    """Argument, rule and value in one line."""
    end = np.random.default_rng(0).standard_normal((12, 3))
    arguments = {"end": end, "entropy_start": 0.0, "inverse_temperature": 1.0} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        bounds.maximum_entropy(np.zeros(12), np.zeros(12), **arguments)


def test_loss_below_its_infimum():
    """A loss below the stated infimum would make the bound wrong: refused."""
    with pytest.raises(ValueError, match=r"`infimum` must be at most every loss; infimum = 0\.5, loss 0\.0\."):
        bounds.initial_loss(np.array([1.0, 0.0]), infimum=0.5)
