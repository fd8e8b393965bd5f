"""The recorder's estimates of noise beside exact second moments of mini-batch descent in linear regression."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from speedlimits.noise import Noise
from speedlimits.recorder import Recorder
from speedlimits.theory.mini_batches import MiniBatches

pytestmark = pytest.mark.usefixtures("as_user")
SEEDS, STEPS = 16, 128


def problem(*, replacement: bool) -> MiniBatches:
    rng = np.random.default_rng(0)
    return MiniBatches(
        inputs=rng.standard_normal((20, 100)),
        targets=rng.standard_normal(100),
        start=2.0 * rng.standard_normal(20),
        batch=40,
        learning_rate=0.02,
        replacement=replacement,
    )


def train(case: MiniBatches, seed: int) -> Recorder:
    """The loop of a user who hands the gradients of two half batches to the recorder."""
    weights = nn.Parameter(torch.from_numpy(case.start.copy()))
    inputs, targets = torch.from_numpy(case.inputs), torch.from_numpy(case.targets)
    optimizer = torch.optim.SGD([weights], lr=case.learning_rate)
    recorder = Recorder().attach(optimizer)
    draws = np.random.default_rng(seed)
    samples, half = len(targets), case.batch // 2
    recorder.record(loss=0.5 * float((inputs.T @ weights.detach() - targets).square().mean()))
    for _ in range(STEPS):
        chosen = draws.choice(samples, case.batch, replace=case.replacement)
        gradients = inputs[:, chosen] * (inputs[:, chosen].T @ weights.detach() - targets[chosen])
        first, second = gradients[:, :half].mean(1), gradients[:, half:].mean(1)
        recorder.half_gradients([first], [second])
        weights.grad = (first + second) / 2
        optimizer.step()
    return recorder.finish()


@functools.cache
def trained(replacement: bool) -> list[tuple[Noise, Noise]]:
    """By strides and by halves, of each seed."""
    runs = [train(problem(replacement=replacement), seed) for seed in range(SEEDS)]
    return [(run.noise(), run.noise(by="halves")) for run in runs]


def assert_means(found: list, expected: np.ndarray | float) -> None:
    """Means agree within 4 standard errors."""
    values = np.array(found)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    assert np.all(np.abs(values.mean(0) - expected) < 4 * error)


@pytest.mark.parametrize("replacement", [True, False])
def test_sums_at_strides_are_the_exact_moments(replacement):
    """D, V and M at every stride and |Δθ|² of 16 recordings, within 4 standard errors."""
    path = problem(replacement=replacement).path(STEPS)
    curves = [strides.curve for strides, _ in trained(replacement)]
    expected = path.strides()
    # One chunk has no neighbour to differ from.
    few = len(expected.strides) - 1
    assert curves[0].strides.tolist() == expected.strides.tolist()
    assert_means([curve.dissipation.sum(0) for curve in curves], expected.dissipation)
    assert_means([curve.noise.sum(0)[:few] for curve in curves], expected.noise[:few])
    assert_means([curve.noise_moved.sum(0)[:few] for curve in curves], expected.noise_moved[:few])
    assert_means([curve.w2_squared.sum() for curve in curves], path.raw.final.w2_squared)


def test_half_batches_see_the_noise_of_draws_with_replacement():
    """The noise in Σ|δ|²/η and what it would move, within 4 standard errors of the exact moments."""
    path = problem(replacement=True).path(STEPS)
    halves = [halves for _, halves in trained(True)]
    assert_means([each.share * each.curve.dissipation[:, 0].sum() for each in halves], path.noise[-1])
    assert_means([each.moved_by_noise * each.curve.w2_squared.sum() for each in halves], path.noise_moved[-1])


def test_half_batches_without_replacement_see_more_noise_than_there_is():
    """Halves of a batch that holds no sample twice lie further apart than chance: by n/(n − B)."""
    case = problem(replacement=False)
    path = case.path(STEPS)
    halves = [halves for _, halves in trained(False)]
    seen = [each.share * each.curve.dissipation[:, 0].sum() for each in halves]
    assert_means(seen, path.noise[-1] * 100 / (100 - case.batch))
    assert np.mean(seen) > 1.5 * path.noise[-1]


@pytest.mark.parametrize("replacement", [True, False])
def test_the_number_is_that_of_the_drift(replacement):
    """Most of the raw number is noise; strides find the drift's within 4 standard errors, each with its own error."""
    path = problem(replacement=replacement).path(STEPS)
    truth = float(path.drift.final.inefficiency)
    found = [strides for strides, _ in trained(replacement)]
    assert all(each.identifiable == "number" for each in found)
    assert_means([each.inefficiency for each in found], truth)
    assert all(abs(each.inefficiency - truth) < 4 * each.standard_error for each in found)
    assert path.raw.final.inefficiency > 1.1 * truth
    assert path.estimate[-1] == pytest.approx(truth, rel=0.02)
