"""Measured numbers with their errors: limits on the right side, and the jackknife."""

import math
import re

import numpy as np
import pytest
from scipy import stats

from speedlimits.estimates import Estimate, averaged, from_jackknife, from_mean


def test_limit_is_students():
    """The limits of a mean are those of the t-test on the same numbers."""
    values = np.random.default_rng(1).standard_normal(40)
    estimate = from_mean("mean", values, "exact")
    interval = stats.t.interval(0.9, 39, values.mean(), stats.sem(values))
    assert (estimate.limit("lower", 0.95), estimate.limit("upper", 0.95)) == pytest.approx(interval, rel=1e-12)


def test_a_lower_estimate_bounds_nothing_from_above():
    """A confidence limit exists only on the side of the estimate."""
    estimate = Estimate(name="mean shift", value=1.0, standard_error=0.1, side="lower")
    assert estimate.limit("lower", 0.5) == pytest.approx(1.0, rel=1e-12)
    with pytest.raises(ValueError, match="mean shift is lower, not upper"):
        estimate.limit("upper", 0.95)


def test_known_numbers_have_known_limits():
    """Without error and with any number of members the limit is the value."""
    assert Estimate(name="Z", value=2.0, standard_error=0.0, side="exact").limit("upper", 0.999) == 2.0


@pytest.mark.parametrize(
    ("confidence", "message"),
    [
        (1.0, "`confidence` must be between 0 and 1; confidence = 1.0."),
        (0.96, "`confidence` must be within reach of the members; 0.96 takes 25, mean rests on 20."),
    ],
)
def test_confidence_out_of_reach(confidence, message):
    """A confidence of 1 is refused, and one of 0.96 with only twenty members."""
    estimate = from_mean("mean", np.arange(20.0), "upper")
    assert math.isfinite(estimate.limit("upper", 0.95))
    with pytest.raises(ValueError, match=re.escape(message)):
        estimate.limit("upper", confidence)


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
