"""Measured numbers with their errors: limits on the right side, and the jackknife."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from speedlimits import concentration
from speedlimits.estimates import Estimate, averaged, from_jackknife, from_mean, from_means


def test_limit_of_a_mean_is_proved():
    """The limits of a mean are those of `concentration` for the same numbers, and two means share the error."""
    values = np.random.default_rng(1).standard_normal(400)
    estimate = from_mean("mean", values, "exact")
    limits = estimate.limit("lower", 0.95), estimate.limit("upper", 0.95)
    assert limits == tuple(concentration.mean_limit(values, side, 0.95) for side in ("lower", "upper"))
    both = from_means("sum", [values, values[:300] ** 2], "upper")
    parts = [concentration.mean_limit(part, "upper", 0.975) for part in (values, values[:300] ** 2)]
    assert both.limit("upper", 0.95) == pytest.approx(sum(parts), rel=1e-12)


def test_limit_without_the_numbers_is_students():
    """A value with a standard error has the limits of the t-test, and proves nothing."""
    values = np.random.default_rng(1).standard_normal(40)
    given = Estimate(
        name="mean", value=values.mean(), standard_error=stats.sem(values), side="exact", degrees_of_freedom=39
    )
    interval = stats.t.interval(0.9, 39, values.mean(), stats.sem(values))
    assert (given.limit("lower", 0.95), given.limit("upper", 0.95)) == pytest.approx(interval, rel=1e-12)
    assert given.obstacle(0.95) == "mean: its error is known as a standard error only, which proves no limit"


def test_limit_holds_for_every_alternative():
    """Where a number is measured in two ways that may both be off, the limit is the worse of the two."""
    rng = np.random.default_rng(2)
    low, high = (from_mean(name, rng.standard_normal(500) + shift, "upper") for name, shift in (("a", 0), ("b", 1)))
    assert replace(low, alternatives=(high,)).limit("upper", 0.95) == high.limit("upper", 0.95)
    assert replace(high, alternatives=(low,)).limit("upper", 0.95) == high.limit("upper", 0.95)
    heavy = from_mean("c", rng.standard_normal(500) ** 12, "upper")
    assert replace(low, alternatives=(heavy,)).obstacle(0.95).startswith("c: a few rare members carry the mean")


def test_a_lower_estimate_bounds_nothing_from_above():
    """A confidence limit exists only on the side of the estimate."""
    estimate = Estimate(name="mean shift", value=1.0, standard_error=0.1, side="lower")
    assert estimate.limit("lower", 0.5) == pytest.approx(1.0, rel=1e-12)
    with pytest.raises(ValueError, match="mean shift is lower, not upper"):
        estimate.limit("upper", 0.95)


def test_known_numbers_have_known_limits():
    """Without error and with any number of members the limit is the value."""
    assert Estimate(name="Z", value=2.0, standard_error=0.0, side="exact").limit("upper", 0.999) == 2.0


def test_confidence_out_of_reach():
    """A confidence of 1 is refused; twenty numbers have no limit at 0.95, and say how many it takes."""
    estimate = from_mean("mean", np.arange(20.0), "upper")
    with pytest.raises(ValueError, match=r"`confidence` must be between 0 and 1; confidence = 1\.0\."):
        estimate.limit("upper", 1.0)
    assert estimate.limit("upper", 0.95) == math.inf
    needed = concentration.fewest_members(0.95)
    assert estimate.obstacle(0.95) == f"mean: 20 members are too few, it takes {needed}"


def test_jackknife_removes_the_bias():
    """The variance with denominator n becomes that with n − 1, exactly."""
    values = np.random.default_rng(2).exponential(size=12)
    left_out = np.array([np.var(np.delete(values, k)) for k in range(12)])
    estimate = from_jackknife("variance", np.var(values), left_out, "exact")
    assert estimate.value == pytest.approx(np.var(values, ddof=1), rel=1e-12)


def test_averages_assume_full_correlation():
    """The mean of two copies is no more certain than one of them."""
    estimate = from_mean("mean", np.arange(9.0), "lower")
    twice = averaged("twice", [estimate, estimate])
    assert (twice.value, twice.standard_error, twice.side) == (estimate.value, estimate.standard_error, "lower")


def test_one_member_has_no_error():
    """A single member is refused by name."""
    with pytest.raises(ValueError, match=r"`values` must have at least 2 members; len\(values\) = 1."):
        from_mean("mean", np.ones(1), "exact")
