"""Mini-batch descent on given data: means over every sequence of batches there is, and what follows from them."""

import itertools
import re

import numpy as np
import pytest

from speedlimits.theory.linear_regression import LinearRegression
from speedlimits.theory.mini_batch_path import MiniBatchPath
from speedlimits.theory.mini_batches import MiniBatches
from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck

RATE, STEPS = 0.3, 4
SIZES = [(2, 4, 2, False), (2, 4, 2, True), (3, 2, 1, False), (1, 3, 3, False)]
CASES = pytest.mark.parametrize(("dims", "samples", "batch", "replacement"), SIZES)


def problem(dims: int, samples: int, batch: int, replacement: bool, width: float = 0.2) -> MiniBatches:
    rng = np.random.default_rng(dims)
    return MiniBatches(
        inputs=rng.standard_normal((dims, samples)),
        targets=rng.standard_normal(samples),
        start=rng.standard_normal(dims),
        batch=batch,
        learning_rate=RATE,
        replacement=replacement,
        start_variance=width,
    )


def all_paths(case: MiniBatches) -> tuple[np.ndarray, np.ndarray]:
    """Weights and step's noise of every sequence of batches, from starts that have the start's mean and covariance."""
    dims, samples = case.inputs.shape
    indices = range(samples)
    batches = (
        itertools.product(indices, repeat=case.batch)
        if case.replacement
        else itertools.combinations(indices, case.batch)
    )
    away = np.sqrt(dims * case.start_variance) * np.eye(dims)
    paths = (case.start + np.concatenate([away, -away]))[:, None]
    noises = np.empty((len(paths), 0))
    chosen = np.array(list(batches))
    for _ in range(STEPS):
        gradients = (paths[:, -1] @ case.inputs - case.targets)[:, :, None] * case.inputs.T
        of_batches = gradients[:, chosen].mean(2)
        noise = np.sum((of_batches - gradients.mean(1)[:, None]) ** 2, 2)
        ends = paths[:, -1, None] - RATE * of_batches
        grown = np.repeat(paths[:, None], len(chosen), axis=1)
        paths = np.concatenate([grown, ends[:, :, None]], 2).reshape(-1, paths.shape[1] + 1, dims)
        noises = np.concatenate([np.repeat(noises, len(chosen), axis=0), noise.reshape(-1, 1)], 1)
    return paths, noises


def descent(case: MiniBatches) -> np.ndarray:
    """Descent by all data from the same starts."""
    away = np.sqrt(case.start.size * case.start_variance) * np.eye(case.start.size)
    path = [case.start + np.concatenate([away, -away])]
    for _ in range(STEPS):
        path.append(path[-1] - RATE * (path[-1] @ case.inputs - case.targets) @ case.inputs.T / case.targets.size)
    return np.array(path).transpose(1, 0, 2)


@CASES
def test_moments_are_means_over_all_sequences(dims, samples, batch, replacement):
    """Mean, covariance, loss and noise after each step, Eqs. (101), (103), (105), in all orders of batches."""
    case = problem(dims, samples, batch, replacement)
    found = case.path(STEPS)
    paths, noises = all_paths(case)
    for step in range(STEPS + 1):
        mean, covariance = case.law(step)
        np.testing.assert_allclose(mean, paths[:, step].mean(0), rtol=1e-10)
        np.testing.assert_allclose(
            covariance, np.cov(paths[:, step].T, bias=True).reshape(dims, dims), rtol=1e-10, atol=1e-12
        )
    losses = 0.5 * np.mean((paths @ case.inputs - case.targets) ** 2, axis=(0, 2))
    np.testing.assert_allclose(found.losses, losses, rtol=1e-10)
    noise = noises.mean(0)
    np.testing.assert_allclose(found.gradient_noise, noise, rtol=1e-10, atol=1e-28)
    np.testing.assert_allclose(found.noise[1:], RATE * np.cumsum(noise), rtol=1e-10, atol=1e-28)
    np.testing.assert_allclose(found.noise_moved[1:], RATE**2 * np.cumsum(noise), rtol=1e-10, atol=1e-28)
    rank = min(dims, samples)
    with np.errstate(divide="ignore"):
        betas = 2 * rank / samples / (RATE * found.gradient_noise)
    np.testing.assert_allclose(found.inverse_temperature, betas, rtol=1e-12)
    np.testing.assert_array_equal(found.steps, np.arange(STEPS + 1))
    np.testing.assert_allclose(found.times, RATE * np.arange(STEPS + 1))


@CASES
def test_distance_and_dissipation_are_means_over_all_sequences(dims, samples, batch, replacement):
    """|Δθ|² and Σ|δ|²/η with their noise, and those of the mean path, Eqs. (101), (103), (104)."""
    case = problem(dims, samples, batch, replacement)
    found = case.path(STEPS)
    paths, quiet = all_paths(case)[0], descent(case)
    moved, quiet_moved = (np.mean(np.sum((walk - walk[:, :1]) ** 2, 2), 0) for walk in (paths, quiet))
    spent, quiet_spent = (
        np.append(0.0, np.cumsum(np.mean(np.sum(np.diff(walk, axis=1) ** 2, 2), 0)) / RATE) for walk in (paths, quiet)
    )
    np.testing.assert_allclose(found.raw.w2_squared, moved, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.raw.dissipation, spent, rtol=1e-10)
    np.testing.assert_allclose(found.drift.w2_squared, quiet_moved, rtol=1e-10)
    np.testing.assert_allclose(found.drift.dissipation, quiet_spent, rtol=1e-10)
    np.testing.assert_allclose(found.moved_by_noise, moved - quiet_moved, rtol=1e-9, atol=1e-12)
    for limit in (found.raw, found.drift):
        np.testing.assert_allclose(limit.time, RATE * np.arange(STEPS + 1))
        assert limit.certified
    estimate = (found.times * (spent - found.noise))[1:] / (moved - found.noise_moved)[1:]
    np.testing.assert_allclose(found.estimate[1:], estimate, rtol=1e-10)


@CASES
def test_strides_are_means_over_all_sequences(dims, samples, batch, replacement):
    """D, V and M of strides 1, 2 and 4 as the recorder's meter sums them, Eq. (106), also with a short last chunk."""
    case = problem(dims, samples, batch, replacement)
    paths = all_paths(case)[0]
    for steps in (STEPS, STEPS - 1):
        found = case.path(steps).strides()
        walks = paths[:, : steps + 1]
        assert found.strides.tolist() == [1, 2, 4][: steps.bit_length()]
        for place, stride in enumerate(found.strides):
            ends = np.unique([*range(0, steps + 1, stride), steps])
            moves, times = np.diff(walks[:, ends], axis=1), RATE * np.diff(ends)
            assert found.dissipation[place] == pytest.approx(np.mean(np.sum(moves**2, 2), 0) @ (1 / times), rel=1e-11)
            whole = steps // stride
            if whole == 1:
                assert np.isnan([found.noise[place], found.noise_moved[place]]).all()
                continue
            turns = np.mean(np.sum(0.5 * np.sum(np.diff(moves[:, :whole], axis=1) ** 2, 2), 1))
            assert found.noise_moved[place] == pytest.approx(whole / (whole - 1) * turns, rel=1e-10)
            assert found.noise[place] == pytest.approx(found.noise_moved[place] / times[0], rel=1e-12)


def test_all_data_leave_no_noise():
    """A batch of all samples, without replacement, is descent: no noise, no scatter, an infinite β."""
    found = problem(1, 3, 3, False).path(STEPS)
    assert not found.noise.any()
    assert not found.scatter.any()
    assert np.isinf(found.inverse_temperature).all()
    np.testing.assert_allclose(found.raw.inefficiency[1:], found.drift.inefficiency[1:], rtol=1e-10)


def test_loss_at_rest_is_a_quarter_step_of_the_squared_gradient():
    """⟨L⟩ − L⋆ = η⟨|g|²⟩/4 once the moments rest, Eq. (105)."""
    found = problem(2, 4, 2, True).path(400)
    assert found.losses[-1] == pytest.approx(found.losses[-2], rel=1e-14)
    squares = np.diff(found.raw.dissipation)[-1] / RATE
    assert found.losses[-1] - found.floor == pytest.approx(RATE / 4 * squares, rel=1e-12)


def test_small_steps_have_the_temperature_of_langevin_training():
    """As η → 0 the summed loss rests r/2β above its floor, as in `LinearRegression` with almost no weight decay."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((3, 12)), rng.standard_normal(12)
    gaps = []
    for rate in (0.02, 0.01):
        path = MiniBatches(
            inputs=inputs, targets=targets, start=np.zeros(3), batch=2, learning_rate=rate, replacement=True
        ).path(round(40 / rate))
        beta = path.inverse_temperature[-1]
        langevin = LinearRegression(inputs=inputs, targets=targets, weight_decay=1e-9, inverse_temperature=beta)
        mean, covariance = langevin.law(np.inf)
        errors = inputs.T @ mean - targets
        summed = 0.5 * (errors @ errors + np.trace(inputs.T @ covariance @ inputs))
        assert summed == pytest.approx(12 * path.floor + 3 / (2 * beta), rel=1e-6)
        gaps.append((12 * path.losses[-1] - summed) * beta)
    # What is left is a step's own share, of order η.
    assert gaps[0] == pytest.approx(2 * gaps[1], rel=0.05)
    assert abs(gaps[1]) < 0.02


def test_a_start_without_width_costs_a_logarithm():
    """With noise, β⁻¹R from a width that is e times smaller is larger by r/2β: from a point it is infinite."""

    def spent(width: float) -> float:
        flow = OrnsteinUhlenbeck(
            stiffness=np.diag([2.0, 1.0]),
            force=np.zeros(2),
            mean_start=np.ones(2),
            covariance_start=width * np.eye(2),
            inverse_temperature=5.0,
        )
        return float(flow.dissipation(np.array([1.0]))[0])

    assert spent(1e-9 / np.e) - spent(1e-9) == pytest.approx(2 / (2 * 5.0), rel=1e-6)


def test_noise_of_small_steps_stays_at_a_given_batch():
    """At a given time V tends to a limit as η → 0; at a given temperature, η/B, it grows as 1/η; see Eq. (103)."""
    rng = np.random.default_rng(1)
    inputs, targets = rng.standard_normal((3, 40)), rng.standard_normal(40)

    def noise(rate: float, batch: int) -> MiniBatchPath:
        return MiniBatches(
            inputs=inputs, targets=targets, start=np.ones(3), batch=batch, learning_rate=rate, replacement=True
        ).path(round(1 / rate))

    coarse, fine, finest = (noise(rate, 8).noise[-1] for rate in (0.02, 0.01, 0.005))
    assert coarse - fine == pytest.approx(2 * (fine - finest), rel=0.1)
    assert abs(fine / finest - 1) < 0.02
    assert noise(0.005, 2).noise[-1] / noise(0.01, 4).noise[-1] == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch": 5}, "`batch` must be an integer of at most 4; batch = 5."),
        ({"batch": 0}, "`batch` must be an integer of at least 1; batch = 0."),
        ({"learning_rate": 0.0}, "`learning_rate` must be positive and finite"),
        ({"start_variance": -1.0}, "`start_variance` must be non-negative"),
        ({"inputs": np.empty((0, 4)), "start": np.empty(0)}, "`inputs` must not be empty"),
    ],
)
def test_wrong_arguments_are_named(changed, message):
    """One line with the argument, its rule and its value."""
    given = {"inputs": np.ones((2, 4)), "targets": np.ones(4), "start": np.ones(2), "batch": 2, "learning_rate": 0.1}
    with pytest.raises(ValueError, match=re.escape(message)):
        MiniBatches(**given | changed)
