"""How large the next step may be, and when an error comes from a kink."""

import math

# Below this order in h an error comes from a kink: a smaller step meets the same kink and gains nothing.
KINK_ORDER = 1.5


def growth(error: float, last_error: float, size: float, last_size: float, *, order: int) -> float:
    """Factor to the next step, by the rule of RKC: Watts' predictor where the last step tells a trend.

    Args:
        error: of this step, over the tolerance.
        last_error: of the step before; 0 where it tells nothing.
        size: of this step.
        last_size: of the step before.
        order: the power of the step size that the error falls with.

    Returns:
        The factor, from 0.1 to 10.
    """
    error = max(error, 1e-10)
    plain = 0.8 * error ** (-1 / order)
    if last_error > 0:
        plain = 0.8 * max(last_error, 1e-10) ** (1 / order) / error ** (2 / order) * size / last_size
    return min(10.0, max(0.1, plain))


def is_kink(tries: list[tuple[float, float]]) -> bool:
    """Whether the last two tries' errors fell too slowly with h for a smooth path, which has order 3 or more.

    Args:
        tries: (step size, error) of each try at this step.

    Returns:
        Whether a kink is to blame; never from fewer than two finite errors.
    """
    if len(tries) < 2 or not all(math.isfinite(error) for _, error in tries[-2:]):
        return False
    (large, worse), (small, better) = tries[-2:]
    return math.log(worse / better) < KINK_ORDER * math.log(large / small)
