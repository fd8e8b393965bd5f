"""Ensembles with a Gaussian start: both bounds against exact Ornstein–Uhlenbeck laws, tight in many dimensions."""

import re

import numpy as np
import pytest

from speedlimits.certified import certified_speed_limit
from speedlimits.gaussian_start import Change, Passage, fitting, steepest_directions
from speedlimits.theory.fokker_planck import FokkerPlanck
from tests.ensembles import Quadratic

BETA = 2.0


def estimates(process: Quadratic, time: float, members: int, seed: int):
    """Both estimates of one exactly drawn ensemble."""
    rng = np.random.default_rng(seed)
    start, end = process.draw(time, members, rng)
    fresh = process.draw_start(20 * members, rng)
    fit, held = fitting(members)
    passage = Passage(start=start, end=end, losses_start=process.loss(start), losses_end=process.loss(end))
    directions = steepest_directions(np.concatenate([process.gradient(fresh[:members]), process.gradient(end[fit])]))
    change = Change.fitted(
        passage[fit], directions, start_variance=process.start_variance, inverse_temperature=process.beta
    )
    return change.w2_squared(passage[held]), change.dissipation(passage[held], process.loss(fresh))


@pytest.mark.parametrize("time", [0.1, 2.0])
@pytest.mark.parametrize(("weights", "modes"), [(8, 3), (640, 50), (2000, 300)])
def test_bounds_are_close_in_many_dimensions(weights, modes, time):
    """1,000 members: 𝒲₂ from below and β⁻¹R from above, both within a tenth of the exact values."""
    process = Quadratic.example(weights, modes)
    moved, spent = process.truth(time)
    distance, dissipation = estimates(process, time, 1000, 1)
    assert (distance.side, dissipation.side) == ("lower", "upper")
    assert 0.9 * moved < distance.value < moved + 4 * distance.standard_error
    assert spent - 4 * dissipation.standard_error < dissipation.value < 1.1 * spent


@pytest.mark.parametrize("time", [0.01, 0.1, 2.0])
def test_certified_limit_is_close_to_the_truth(time):
    """640 weights, 1,000 members: the certified limit is over half of the exact T_SL, early and late."""
    process = Quadratic.example(640, 50)
    moved, spent = process.truth(time)
    distance, dissipation = estimates(process, time, 1000, 2)
    limit = certified_speed_limit([distance], [dissipation], time)
    assert limit.certified
    assert 0.5 * moved / spent < limit.speed_limit < moved / spent


def test_bounds_stay_on_their_side():
    """Over 60 small ensembles the mean of each bound is on its side, within four errors of that mean."""
    process = Quadratic.example(12, 4)
    moved, spent = process.truth(0.3)
    pairs = [estimates(process, 0.3, 60, seed) for seed in range(60)]
    below = np.array([distance.value for distance, _ in pairs]) - moved
    above = np.array([dissipation.value for _, dissipation in pairs]) - spent
    assert below.mean() < 4 * below.std() / 60**0.5
    assert above.mean() > -4 * above.std() / 60**0.5


def test_wells_are_bounded_too():
    """A double well, where no law is Gaussian: both bounds against the Fokker–Planck equation."""
    loss = lambda x: 1.5 * (x**2 - 1.2) ** 2  # noqa: E731
    solution = FokkerPlanck(lambda x: x**2 + loss(x), inverse_temperature=BETA).solution(np.array([1.0]))
    rng = np.random.default_rng(3)
    start = 0.5 * rng.standard_normal(30_000)
    cells = rng.choice(solution.points.size, size=start.size, p=solution.probabilities[0])
    end = solution.edges[cells] + rng.random(start.size) * np.diff(solution.edges)[cells]
    passage = Passage(start=start[:, None], end=end[:, None], losses_start=loss(start), losses_end=loss(end))
    fit, held = fitting(len(start))
    change = Change.fitted(passage[fit], np.eye(1), start_variance=0.25, inverse_temperature=BETA)
    distance, spent = change.w2_squared(passage[held]), change.dissipation(passage[held], loss(start))
    assert distance.value < solution.w2_squared[0] + 4 * distance.standard_error
    assert distance.value > 0.5 * solution.w2_squared[0]
    assert spent.value > solution.dissipation[0] - 4 * spent.standard_error


def test_nothing_changes_without_a_loss():
    """Two draws of the start, one after the other: no distance and no dissipation are made up."""
    rng = np.random.default_rng(4)
    start, end = rng.standard_normal((2, 400, 30))
    zero = np.zeros(400)
    passage = Passage(start=start, end=end, losses_start=zero, losses_end=zero)
    fit, held = fitting(400)
    change = Change.fitted(passage[fit], np.eye(30), start_variance=1.0, inverse_temperature=1.0)
    assert change.w2_squared(passage[held]).value < 0.5
    assert change.dissipation(passage[held], zero).value > -0.5


def test_directions_are_orthonormal_and_span_the_gradients():
    """Few gradients or few weights: unit columns at right angles, in which every gradient lies."""
    rng = np.random.default_rng(5)
    for shape in ((10, 40), (40, 10)):
        gradients = rng.standard_normal((shape[0], 3)) @ rng.standard_normal((3, shape[1]))
        directions = steepest_directions(gradients)
        np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(gradients @ directions @ directions.T, gradients, atol=1e-9)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end": np.zeros((9, 3))}, "`end` must have shape (10, 3); end.shape = (9, 3)."),
        ({"losses_end": np.zeros(9)}, "`losses_end` must have shape (10); losses_end.shape = (9,)."),
        ({"start": np.full((10, 3), np.nan)}, "`start` must be finite; start[0, 0] = nan."),
    ],
)
def test_bad_passages_are_named(change, message):
    """Argument, rule and value in one line."""
    whole = {"start": np.zeros((10, 3)), "end": np.zeros((10, 3))}
    whole |= {"losses_start": np.zeros(10), "losses_end": np.zeros(10)}
    with pytest.raises(ValueError, match=re.escape(message)):
        Passage(**(whole | change))
