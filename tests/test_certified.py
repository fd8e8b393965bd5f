"""Certified limits: the right pair, the right confidence, and a reason where there is none."""

import numpy as np
import pytest

from speedlimits.certified import certified_speed_limit
from speedlimits.dissipation import bounds as dissipation_bounds
from speedlimits.estimates import Estimate, from_mean
from speedlimits.gaussian_start import Change, Passage, fitting, steepest_directions
from speedlimits.transport import bounds as transport_bounds
from tests.ensembles import draw, linear_network, potential


def known(name: str, value: float, side: str, error: float = 0.0, caveat: str = "") -> Estimate:
    return Estimate(name=name, value=value, standard_error=error, side=side, caveat=caveat)  # type: ignore[arg-type]


def test_best_pair_is_taken():
    """The farthest distance from below and the smallest dissipation from above, never one from the wrong side."""
    distances = [known("a", 1.0, "lower"), known("b", 1.2, "lower"), known("plan", 9.0, "upper")]
    spent = [known("loss", 4.0, "upper"), known("entropy", 2.4, "upper"), known("annealing", 0.1, "lower")]
    best = certified_speed_limit(distances, spent, time=3.0)
    assert (best.w2_squared.name, best.dissipation.name, best.certified) == ("b", "entropy", True)
    assert best.speed_limit == pytest.approx(0.5, rel=1e-12)
    assert str(best) == "T_SL ≥ 0.5 at 0.95 confidence (b over entropy); T = 3."


def measured(name: str, mean: float, side: str, seed: int = 0) -> Estimate:
    """A mean of 1,000 numbers."""
    return from_mean(name, mean + np.random.default_rng(seed).standard_normal(1000), side)  # type: ignore[arg-type]


def test_choice_is_paid_for():
    """Each of k candidates is held to 1 − 5 %/k, whether or not it is chosen; a plan from above is no candidate."""
    distances = [measured("a", 2.0, "lower"), measured("b", 0.1, "lower"), measured("plan", 3.0, "upper")]
    best = certified_speed_limit(distances, [known("loss", 3.0, "upper")], time=1.0)
    assert best.w2_squared_limit == pytest.approx(distances[0].limit("lower", 1 - 0.05 / 3), rel=1e-12)


@pytest.mark.parametrize(
    ("distance", "spent", "reason"),
    [
        (known("plan", 1.0, "upper"), known("loss", 2.0, "upper"), "plan is upper, not lower"),
        (known("a", 1.0, "lower"), known("neighbours", 2.0, "unsigned"), "neighbours is unsigned, not upper"),
        (known("a", 1.0, "lower"), known("integral", 2.0, "upper", caveat="in equilibrium"), "in equilibrium"),
    ],
)
def test_wrong_sides_are_not_certified(distance, spent, reason):
    """A number from the wrong side, or under a caveat, is shown with the reason."""
    plain = certified_speed_limit([distance], [spent], time=1.0)
    assert not plain.certified
    assert reason in str(plain)
    assert "NOT certified" in str(plain)
    assert plain.speed_limit == pytest.approx(0.5, rel=1e-12)


def test_limit_beyond_the_time_is_not_certified():
    """T_SL > T says that the numbers are not of one process."""
    wrong = certified_speed_limit([known("a", 3.0, "lower")], [known("loss", 1.0, "upper")], time=2.0)
    assert not wrong.certified
    assert "T_SL exceeds T" in str(wrong)


def test_nothing_moved():
    """A distance that cannot be told from zero gives T_SL = 0, which is certain."""
    best = certified_speed_limit([measured("a", 0.01, "lower")], [known("loss", 1.0, "upper")], time=2.0)
    assert (best.speed_limit, best.certified) == (0.0, True)


def test_standard_errors_certify_nothing():
    """A value with a standard error, whose law is not known, has no proved limit: 58 % of such limits were wrong."""
    best = certified_speed_limit([known("a", 1.0, "lower", 0.01)], [known("loss", 2.0, "upper")], time=1.0)
    assert not best.certified
    assert "a: its error is known as a standard error only" in str(best)


def test_heavy_tails_are_refused():
    """L = x¹² at 400 draws of a Gaussian: the largest few carry the mean, and the sentence says so."""
    losses = np.random.default_rng(1).standard_normal(400) ** 12
    best = certified_speed_limit([known("a", 1.0, "lower")], [dissipation_bounds.initial_loss(losses)], time=1e6)
    assert not best.certified
    assert "initial loss: a few rare members carry the mean" in str(best)


def test_too_few_members_are_named():
    """40 members have no limit at 95 % over four candidates: not certified, and told how many it takes."""
    rng = np.random.default_rng(1)
    start, end = rng.standard_normal((2, 40, 3))
    distances = [transport_bounds.gelbrich(start, end, rank=3), transport_bounds.max_sliced(start, end)]
    spent = [known("loss", 2.0, "upper"), known("entropy", 2.0, "upper")]
    few = certified_speed_limit(distances, spent, time=1.0)
    assert not few.certified
    assert "20 members are too few, it takes" in str(few)


def exceeds(dims: int, members: int, seed: int, confidence: float) -> tuple[bool, float]:
    """Whether the certified limit of one ensemble lies above the exact T_SL, and their ratio."""
    rng = np.random.default_rng(seed)
    process = linear_network(dims, 2 * dims, 2.0, np.random.default_rng(7))
    start, end = draw(process, 0.3, members, rng)
    fresh = draw(process, 0.3, 64 * members, rng)[0]
    losses, later, others = (potential(process, theta) - np.sum(theta**2, axis=1) for theta in (start, end, fresh))
    # ∇L, without the pull 2θ of the prior.
    directions = steepest_directions(fresh @ process.stiffness - process.force - 2 * fresh)
    passage = Passage(start=start, end=end, losses_start=losses, losses_end=later)
    fit, held = fitting(members)
    change = Change.fitted(passage[fit], directions, start_variance=0.25, inverse_temperature=2.0)
    distances, spent = [change.w2_squared(passage[held])], [change.dissipation(passage[held], others)]
    best = certified_speed_limit(distances, spent, 0.3, confidence=confidence)
    truth = float(process.speed_limit(np.array([0.3])).speed_limit[0])
    assert best.certified
    return best.speed_limit > truth, best.speed_limit / truth


def test_certified_limit_is_close_to_the_truth():
    """A linear network, 2,000 members: certified, below the exact T_SL, and more than 60 % of it."""
    above, share = exceeds(4, 2000, 0, 0.95)
    assert not above
    assert share > 0.6


@pytest.mark.slow
def test_certified_limits_hold_as_often_as_they_say():
    """Over 200 repetitions the 95 % limit lies above the true T_SL at most as often as 5 % allow (4 errors)."""
    wrong = sum(exceeds(4, 600, seed, 0.95)[0] for seed in range(200))
    assert wrong <= 200 * 0.05 + 4 * np.sqrt(200 * 0.05 * 0.95)
