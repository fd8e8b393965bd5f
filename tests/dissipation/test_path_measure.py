"""Path probabilities of Euler–Maruyama, against Gaussian densities step by step and against R of the law."""

import numpy as np
import pytest
from scipy.stats import norm

from speedlimits.dissipation import path_measure
from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck

BETA, STEP = 1.3, 0.02


def double_well(theta: np.ndarray) -> np.ndarray:
    return -4 * theta * (theta**2 - 1)


def walk(start: np.ndarray, force, steps: int, rng: np.random.Generator, step: float = STEP) -> np.ndarray:
    states = [start]
    for _ in range(steps):
        noise = rng.standard_normal(start.shape)
        states.append(path_measure.euler_maruyama_step(states[-1], force(states[-1]), noise, BETA, step))
    return np.stack(states, axis=-2)


@pytest.fixture
def path() -> np.ndarray:
    rng = np.random.default_rng(0)
    return walk(rng.standard_normal((3, 2)), double_well, 40, rng)


def direct(path: np.ndarray) -> np.ndarray:
    """Sum of ln N(θ′; θ + f dt, 2β⁻¹dt) over steps and coordinates."""
    means = path[..., :-1, :] + STEP * double_well(path[..., :-1, :])
    return norm.logpdf(path[..., 1:, :], means, np.sqrt(2 * STEP / BETA)).sum(axis=(-2, -1))


def test_one_step_by_hand():
    """Eqs. (27), (28): from 1 with force −3, noise 2, β = 8 and dt = 0.01: 1 − 0.03 + √(0.02/8)·2 = 1.07."""
    step = path_measure.euler_maruyama_step(np.array([1.0]), np.array([-3.0]), np.array([2.0]), 8.0, 0.01)
    assert step == pytest.approx([1.07], rel=1e-15)


def test_steps_settle_at_their_own_temperature():
    """Eqs. (27), (28): in a well of curvature κ the steps have variance 1/(βκ(1 − κdt/2)), within 4 standard errors."""
    curvature, step, walkers = 2.0, 0.25, 40_000
    rng = np.random.default_rng(3)
    ends = walk(np.zeros((walkers, 1)), lambda theta: -curvature * theta, 40, rng, step)[:, -1]
    expected = 1 / (BETA * curvature * (1 - step * curvature / 2))
    assert np.mean(ends**2) == pytest.approx(expected, abs=4 * expected * np.sqrt(2 / walkers))


def test_density_is_the_product_of_gaussians(path):
    """Eqs. (29), (30), (31): with its normalisation the action is the log density of the increments."""
    value = path_measure.log_path_density(path, double_well(path), BETA, STEP)
    assert value == pytest.approx(direct(path), rel=1e-12)


def test_ratio_is_forward_over_backward(path):
    """Eqs. (3), (17), (37), (38): the closed form is the direct ratio of the path to its reversal."""
    value = path_measure.log_path_ratio(path, double_well(path), BETA, STEP)
    assert value == pytest.approx(direct(path) - direct(path[..., ::-1, :]), rel=1e-10)


def test_ratio_tends_to_the_potential_drop():
    """Eq. (38), last line: on a smooth path, as dt → 0, the ratio is β(V(θ(0)) − V(θ(T))), with order one."""

    def error(steps: int) -> float:
        time = np.linspace(0, 1, steps + 1)
        path = np.stack((np.sin(2 * time), 0.3 + time**2), axis=-1)
        ends = np.sum((path[[0, -1]] ** 2 - 1) ** 2, axis=-1)
        ratio = path_measure.log_path_ratio(path, double_well(path), BETA, 1 / steps)
        return float(ratio - BETA * (ends[0] - ends[1]))

    assert np.log2(abs(error(200) / error(400))) == pytest.approx(1.0, abs=0.1)
    assert abs(error(6400)) < 1e-2


def test_mean_ratio_is_the_entropy_production():
    """Eq. (17): ⟨ln p(θ(0)) − ln p(θ(T))⟩ + ⟨ln ratio⟩ over sampled paths is R of the Ornstein–Uhlenbeck law."""
    stiffness, force = np.array([[2.0, 0.4], [0.4, 0.7]]), np.array([1.0, -0.5])
    process = OrnsteinUhlenbeck(
        stiffness=stiffness,
        force=force,
        mean_start=np.zeros(2),
        covariance_start=np.diag([0.3, 0.9]),
        inverse_temperature=BETA,
    )
    rng = np.random.default_rng(11)
    step, steps = 0.0025, 200
    start = rng.multivariate_normal(process.mean_start, process.covariance_start, 8_000)

    def pull(theta: np.ndarray) -> np.ndarray:
        return force - theta @ stiffness

    path = walk(start, pull, steps, rng, step)
    ratio = path_measure.log_path_ratio(path, pull(path), BETA, step)

    def log_density(theta: np.ndarray, time: float) -> np.ndarray:
        mean, covariance = process.law(time)
        shift = theta - mean
        square = np.sum(shift * np.linalg.solve(covariance, shift.T).T, axis=1)
        return -0.5 * square - 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]

    samples = log_density(start, 0.0) - log_density(path[:, -1], step * steps) + ratio
    expected = BETA * process.dissipation(np.array([step * steps]))[0]
    error = samples.std() / np.sqrt(samples.size)
    assert error < 0.02 * expected
    # The bias of a finite step, of order κ dt = 0.5 %, lies within the 4 standard errors.
    assert samples.mean() == pytest.approx(expected, abs=4 * error)


@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named():
    """Argument, rule and value stand in the error."""
    path = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"`time_step` must be positive and finite; time_step = 0\."):
        path_measure.log_path_ratio(path, path, 1.0, 0.0)
    with pytest.raises(ValueError, match=r"`path` must have at least two states; path.shape = \(1, 2\)"):
        path_measure.log_path_density(path[:1], path[:1], 1.0, 0.1)
    with pytest.raises(ValueError, match=r"`forces` must have shape \(3, 2\); forces.shape = \(2, 2\)"):
        path_measure.log_path_ratio(path, path[:2], 1.0, 0.1)
