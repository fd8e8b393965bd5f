"""Certified limits: the right pair, the right confidence, and a reason where there is none."""

import numpy as np
import pytest

from speedlimits.certified import certified_speed_limit
from speedlimits.dissipation import bounds as dissipation_bounds
from speedlimits.dissipation.free_energy import gaussian_entropy
from speedlimits.estimates import Estimate
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


def test_choice_is_paid_for():
    """Each of k candidates is held to 1 − 5 %/k, whether or not it is chosen."""
    distances = [known("a", 1.0, "lower", 0.1), known("b", 0.1, "lower", 0.1)]
    best = certified_speed_limit(distances, [known("loss", 2.0, "upper")], time=1.0)
    assert best.w2_squared_limit == pytest.approx(distances[0].limit("lower", 1 - 0.05 / 3), rel=1e-12)


@pytest.mark.parametrize(
    ("distance", "spent", "reason"),
    [
        (known("plan", 1.0, "upper"), known("loss", 2.0, "upper"), "no estimate of the distance bounds it from below"),
        (known("a", 1.0, "lower"), known("neighbours", 2.0, "unsigned"), "no estimate of the dissipation bounds it"),
        (known("a", 1.0, "lower"), known("integral", 2.0, "upper", caveat="in equilibrium"), "without a caveat"),
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
    best = certified_speed_limit([known("a", 0.1, "lower", 0.2)], [known("loss", 1.0, "upper")], time=2.0)
    assert (best.speed_limit, best.certified) == (0.0, True)


def test_too_few_members_are_named():
    """95 % over four candidates takes 80 members; 40 are refused by name."""
    rng = np.random.default_rng(1)
    start, end = rng.standard_normal((2, 40, 3))
    distances = [transport_bounds.mean_shift(start, end), transport_bounds.trace_bound(start, end)]
    spent = [known("loss", 2.0, "upper"), known("entropy", 2.0, "upper")]
    with pytest.raises(ValueError, match=r"`confidence` must be within reach of the members; 0\.9875 takes 80, mean"):
        certified_speed_limit(distances, spent, time=1.0)


def exceeds(dims: int, members: int, seed: int, confidence: float) -> tuple[bool, float]:
    """Whether the certified limit of one ensemble lies above the exact T_SL, and their ratio."""
    rng = np.random.default_rng(seed)
    process = linear_network(dims, 2 * dims, 2.0, np.random.default_rng(7))
    start, end = draw(process, 0.3, members, rng)
    distances = [transport_bounds.mean_shift(start, end), transport_bounds.trace_bound(start, end, blocks=[1] * dims)]
    spent = [
        dissipation_bounds.maximum_entropy(
            potential(process, start),
            potential(process, end),
            end,
            entropy_start=gaussian_entropy(process.covariance_start),
            inverse_temperature=2.0,
            structure=structure,
        )
        for structure in ("full", "diagonal")
    ]
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
    wrong = sum(exceeds(4, 200, seed, 0.95)[0] for seed in range(200))
    assert wrong <= 200 * 0.05 + 4 * np.sqrt(200 * 0.05 * 0.95)
