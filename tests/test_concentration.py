"""Limits of means: as often right as they say, close where tails are light, and none where tails are too heavy."""

import math

import numpy as np
import pytest

from speedlimits import concentration

LAWS = {
    "normal": (lambda rng, n: rng.standard_normal(n), 0.0),
    "exponential": (lambda rng, n: rng.exponential(size=n), 1.0),
    "square": (lambda rng, n: rng.standard_normal(n) ** 2, 1.0),
    "fourth power": (lambda rng, n: rng.standard_normal(n) ** 4, 3.0),
    "twelfth power": (lambda rng, n: rng.standard_normal(n) ** 12, 10395.0),
    "product of eight": (lambda rng, n: np.prod(rng.standard_normal((n, 8)) ** 2, axis=1), 1.0),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("members", [150, 1500])
def test_limits_hold(name, members):
    """Of 200 upper limits at 95 % at most 5 % and three errors miss the mean; where there is none, it is infinite."""
    draw, mean = LAWS[name]
    rng = np.random.default_rng(1)
    limits = [concentration.mean_limit(draw(rng, members), "upper", 0.95) for _ in range(200)]
    assert np.mean(np.array(limits) < mean) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


def test_limits_are_close_for_light_tails():
    """4,000 Gaussian numbers: within 3 standard errors of the mean, where Student's limit is 1.6 away."""
    values = np.random.default_rng(2).standard_normal(4000)
    reach = concentration.mean_limit(values, "upper", 0.95) - values.mean()
    assert 1.6 < reach * math.sqrt(4000) < 3.0


def test_sides_mirror_each_other():
    """The lower limit of X is minus the upper limit of −X."""
    values = np.random.default_rng(3).exponential(size=900)
    lower = concentration.mean_limit(values, "lower", 0.9)
    assert lower == pytest.approx(-concentration.mean_limit(-values, "upper", 0.9), rel=1e-9)


def test_variance_is_bounded_as_proved():
    """The inequality behind it, for a law that nearly attains K: how often s² falls below (1 − r)σ²."""
    rng = np.random.default_rng(4)
    # ±1 with probability p/2 each and 0 otherwise has the kurtosis 1/p.
    members, chance, error = 60, 1 / 6, 0.05
    ratio = math.sqrt((6 + 3) * math.log(1 / error) / (members // 2))
    draws = rng.choice([-1.0, 0.0, 1.0], size=(20_000, members), p=[chance / 2, 1 - chance, chance / 2])
    misses = np.mean(draws.var(axis=1, ddof=1) < (1 - ratio) * chance)
    assert misses <= error


def test_kurtosis_of_known_laws():
    """3 for a Gaussian, 1 for a coin, 9 for exponential numbers; the unit does not matter."""
    rng = np.random.default_rng(5)
    assert concentration.kurtosis(rng.standard_normal(400_000)) == pytest.approx(3.0, abs=0.05)
    assert concentration.kurtosis(np.tile([1.0, -1.0], 50)) == pytest.approx(1.0, rel=1e-12)
    assert concentration.kurtosis(1e200 * rng.exponential(size=10**6)) == pytest.approx(9.0, rel=0.1)
    assert concentration.kurtosis(np.full(7, 2.0)) == 1.0


def test_obstacles_are_named():
    """Too few members and too heavy a tail are told apart, in words that say what would help."""
    few = concentration.obstacle(np.arange(20.0), 0.95)
    assert few == f"20 members are too few, it takes {concentration.fewest_members(0.95)}"
    heavy = concentration.obstacle(np.random.default_rng(6).standard_normal(400) ** 12, 0.95)
    assert heavy.startswith("a few rare members carry the mean: the sample's kurtosis is ")
    assert not concentration.obstacle(np.arange(float(concentration.fewest_members(0.95))), 0.95)


def test_constant_numbers_are_their_own_limit():
    """Without spread there is nothing to bound."""
    assert concentration.mean_limit(np.full(300, 2.5), "lower", 0.95) == 2.5
