"""Argument checks: nothing of a value is dropped without a word, and every message is one line."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from speedlimits._checks import check_finite, check_one_of, check_positive, check_seed, check_share, real


@pytest.mark.parametrize("value", [1, 1.5, np.float32(1.5), Fraction(3, 2), Decimal("1.5"), [1, 2], torch.ones(2)])
def test_real_numbers_of_any_kind_are_numbers(value):
    """Integers, fractions, decimals, lists and tensors become float64 with the same values."""
    found = real("x", value)
    assert found.dtype == np.float64
    assert found.tolist() == (value.tolist() if isinstance(value, torch.Tensor) else value)


@pytest.mark.parametrize(
    "value",
    [
        1 + 2j,
        np.array([1.0, 2j]),
        [1.0, 2j],
        np.ma.masked_array([1.0, 2.0], [False, True]),
        "0.1",
        ["0.1"],
        True,
        np.array([True]),
        None,
        np.datetime64("2020-01-01"),
        np.timedelta64(1),
        {"a": 1.0},
        [[1.0], [1.0, 2.0]],
        [None] * 100,
        np.array([1.0, None]),
        10**400,
        torch.ones(2, requires_grad=True),
        torch.ones(2, dtype=torch.complex64),
        object(),
    ],
)
def test_what_would_lose_something_is_refused(value):
    """Imaginary parts, masks, texts, truth values, units and shapes are named in one line, not dropped."""
    with pytest.raises(ValueError, match=r"^`x` must be positive and finite; x ") as found:
        check_positive("x", value)
    message = str(found.value)
    assert "\n" not in message
    assert len(message) < 250


def test_choice_that_is_an_array_is_none():
    """An array is compared with nothing."""
    with pytest.raises(ValueError, match=r"`x` must be one of 1, 2; x = array\(\[1, 2\]\)\."):
        check_one_of("x", np.array([1, 2]), (1, 2))


@pytest.mark.parametrize("value", [-1, 2**32, 2**63, True, 0.0, "0", None])
def test_seeds_have_32_bits(value):
    """A generator that reads 32 bits would give 0 and 2³² one stream."""
    with pytest.raises(ValueError, match="`seed` must be an integer from 0 to 4294967295; seed = "):
        check_seed("seed", value)


@pytest.mark.parametrize("value", [-0.1, 1.1, 5, np.nan, np.inf])
def test_shares_are_no_percentages(value):
    """A share lies between 0 and 1."""
    with pytest.raises(ValueError, match="`x` must be a share from 0 to 1; x = "):
        check_share("x", value)


def test_place_of_the_first_offender_is_named():
    """Index and value stand in the message."""
    with pytest.raises(ValueError, match=r"`x` must be finite; x\[1, 0\] = inf\."):
        check_finite("x", [[1.0, 2.0], [np.inf, np.nan]])
