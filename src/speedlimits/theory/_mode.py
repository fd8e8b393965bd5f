r"""One direction of weight space in linear regression: how far its Gaussian moves, and what that costs.

A direction starts at N(0, σ₀) and ends at N(m, σ₀/(1 + u)); the pull u compares what the data ask for with the weight
decay. On the way its mean is am and its variance vσ₀, where the advance :math:`a = 1-e^{-rt}` grows to 1 at the
rate r. Everything is a sum of positive terms, each without cancellation, so the smallest motion keeps its digits.
"""

import numpy as np

Values = np.ndarray | float

# Below it −q − ln(1 − q) is summed as a series; above, the plain difference loses a factor 20 of precision at most.
SERIES_BELOW = 0.1


def moved_and_spent(pull: Values, advance: Values, mean: Values) -> tuple[Values, Values]:
    """Distance and dissipation of a direction, each in its own unit.

    Args:
        pull: u, non-negative.
        advance: a, from 0 to 1.
        mean: m²/σ₀.

    Returns:
        𝒲₂/σ₀ = a²m²/σ₀ + (1 − √v)², and 2β(F(0) − F(t)) = E(1 + u)m²/σ₀ + Eu + ln v with E = 1 − (1 − a)².
    """
    relaxed = advance * (2.0 - advance)
    # 1 − v and v, each on its own: the one may be tiny, or the other.
    narrowing = relaxed * pull / (1.0 + pull)
    variance = variance_ratio(pull, advance)
    moved = advance**2 * mean + (narrowing / (1.0 + np.sqrt(variance))) ** 2
    spent = relaxed * (1.0 + pull) * mean + narrowing * pull - _log_excess(narrowing, variance)
    return moved, spent


def variance_ratio(pull: Values, advance: Values) -> Values:
    """The variance on the way in units of the start's, v = (1 − a)² + E/(1 + u)."""
    return (1.0 - advance) ** 2 + advance * (2.0 - advance) / (1.0 + pull)


def _log_excess(narrowing: Values, variance: Values) -> np.ndarray:
    """−ln(1 − q) − q, given q and 1 − q; with w = q/(2 − q) it is qw + 2(artanh w − w)."""
    ratio = narrowing / (2.0 - narrowing)
    square = ratio * ratio
    tail = np.zeros_like(square)
    for order in (11, 9, 7, 5, 3):
        tail = square * (1.0 / order + tail)
    series = ratio * (narrowing + 2.0 * tail)
    return np.where(narrowing < SERIES_BELOW, series, -np.log(variance) - narrowing)
