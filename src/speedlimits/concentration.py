r"""Confidence limits of a mean that hold for every law of bounded kurtosis, at any number of members.

Student's t is right for Gaussian numbers only: where a few rare members carry the mean, its 95 % limit misses half the
time. The limits here are proved under one condition, that the kurtosis ⟨(X − μ)⁴⟩/σ⁴ is at most K:

1. The variance from above (Maurer's one-sided inequality for the non-negative ½(X − X′)², whose second moment is
   ½(K + 3)σ⁴; Hoeffding's averaging carries it over to the sample variance s²):

   .. math:: \sigma^2 \le \frac{s^2}{1-r}, \qquad r = \sqrt{\frac{(K+3)\ln(1/\delta)}{\lfloor n/2\rfloor}} < 1

2. The mean by Catoni's estimator (2012), in which a far number weighs like its logarithm only, with that variance:

   .. math:: |\hat\mu - \mu| \le \sqrt{\frac{2\sigma^2\ln(1/\delta)}{n - 2\ln(1/\delta)}}

No limit exists without a condition on the tail (Bahadur and Savage 1956). K is `KURTOSIS`, and twice the sample's own
kurtosis where that is more. Where the members cannot carry this K there is no limit, and `obstacle` says so.
"""

import math
from typing import Literal

import numpy as np
from jaxtyping import Float

Numbers = Float[np.ndarray, " members"]

# That of Laplace's law; a Gaussian has 3, uniform numbers 1.8.
KURTOSIS = 6.0
# Of the error that is allowed in all, for the variance.
VARIANCE_SHARE = 0.2
# A variance that may be ten times that of the sample is not known.
LARGEST_ERROR = 0.9


def kurtosis(numbers: Numbers) -> float:
    """⟨(X − μ)⁴⟩/σ⁴ of a sample; at most the number of members, and 1 where nothing varies.

    Args:
        numbers: one for each member.

    Returns:
        The ratio of moments.
    """
    centred = numbers - numbers.mean()
    scale = np.abs(centred).max(initial=0.0)
    if scale == 0.0:
        return 1.0
    squares = (centred / scale) ** 2
    return float(np.mean(squares**2) / np.mean(squares) ** 2)


def largest_kurtosis(members: int, confidence: float) -> float:
    """The largest K that so many members can carry.

    Args:
        members: how many independent numbers there are.
        confidence: of the limit of their mean.

    Returns:
        K at which r of the formula above reaches its largest useful value; negative where members are too few.
    """
    return LARGEST_ERROR**2 * (members // 2) / _surprise(VARIANCE_SHARE, confidence) - 3.0


def fewest_members(confidence: float) -> int:
    """Fewest members with a limit at this confidence.

    Args:
        confidence: of the limit.

    Returns:
        The number that carries K = `KURTOSIS`.
    """
    return 2 * math.ceil((KURTOSIS + 3.0) * _surprise(VARIANCE_SHARE, confidence) / LARGEST_ERROR**2)


def obstacle(numbers: Numbers, confidence: float) -> str:
    """Why there is no limit.

    Args:
        numbers: one for each member.
        confidence: of the limit.

    Returns:
        A clause for a reader; empty where there is a limit.
    """
    largest, own = largest_kurtosis(numbers.size, confidence), kurtosis(numbers)
    if largest < KURTOSIS:
        return f"{numbers.size} members are too few, it takes {fewest_members(confidence)}"
    if _allowed(own) > largest:
        return (
            f"a few rare members carry the mean: the sample's kurtosis is {own:.3g}, and {numbers.size} members allow "
            f"{0.5 * largest:.3g}"
        )
    return ""


def mean_limit(numbers: Numbers, side: Literal["lower", "upper"], confidence: float) -> float:
    """The confidence limit of the mean on one side.

    Args:
        numbers: independent, of one law, one for each member.
        side: from which to bound the mean.
        confidence: probability that the limit holds.

    Returns:
        The limit; infinite on its side where there is an `obstacle`.
    """
    away = -1.0 if side == "lower" else 1.0
    if obstacle(numbers, confidence):
        return away * math.inf
    middle, spread = float(numbers.mean()), float(numbers.std(ddof=1))
    if spread == 0.0:
        return middle
    error = math.sqrt((_allowed(kurtosis(numbers)) + 3.0) * _surprise(VARIANCE_SHARE, confidence) / (numbers.size // 2))
    # In units of the largest standard deviation that the law may have.
    scale = spread / math.sqrt(1.0 - error)
    scaled = (numbers - middle) / scale
    surprise = _surprise(1.0 - VARIANCE_SHARE, confidence)
    reach = math.sqrt(2.0 * surprise / (numbers.size - 2.0 * surprise))
    steepness = math.sqrt(2.0 * surprise / (numbers.size * (1.0 + reach**2)))

    def pull(place: float) -> float:
        steps = steepness * (scaled - place)
        return float(np.sum(np.sign(steps) * np.log1p(np.abs(steps) + 0.5 * steps**2)))

    # Late: a fifth of a second, which most commands need not wait for.
    from scipy.optimize import brentq

    centre = float(brentq(pull, scaled.min(), scaled.max(), xtol=1e-12))  # type: ignore[arg-type]
    return middle + scale * (centre + away * reach)


def _allowed(sample: float) -> float:
    """K for a sample of this kurtosis."""
    return max(KURTOSIS, 2.0 * sample)


def _surprise(share: float, confidence: float) -> float:
    """ln(1/δ) for a share of the error that is allowed."""
    return -math.log(share * (1.0 - confidence))
