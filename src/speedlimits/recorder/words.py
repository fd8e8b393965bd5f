"""What a recorded loop should be remembered for, in a few sentences."""

import math
from collections.abc import Sequence

from speedlimits.bound import SpeedLimit
from speedlimits.noise import Noise

# Above this share of noise in the dissipation, the raw number is mostly noise.
NOISY = 0.10


def verdict(limit: SpeedLimit, noise: Noise | None, losses: tuple[float, float], notes: Sequence[str] = ()) -> str:
    """The sentences, the most telling first.

    Args:
        limit: by the dissipation of the path, noise included.
        noise: what strides tell of noise; None where the path was not seen at strides.
        losses: the first and the last recorded; NaN if there is none.
        notes: what else a reader should know, a sentence each.

    Returns:
        A sentence a line: the drift's number where noise is more than 10 % of the dissipation, or what the strides say
        otherwise; the limit itself; and how far the loss fell, since a good ratio without progress is no success.
    """
    lines = [f"Noise and all: {limit}" if _noisy(noise) else str(limit)]
    # Of the steps as they were taken: with momentum, noise may be more than that without any step that turns back.
    turning = 0.0 if noise is None else float(noise.curve.noise_share[0])
    if turning > 1:
        middle = float(limit.final.inefficiency) * (1 - 0.5 * turning)
        lines.insert(
            0,
            "The steps turn back, as at the edge of stability or in noise alone; the path through the midpoints of the "
            f"steps is {middle:.3g} times slower than its limit.",
        )
    elif noise is not None and _noisy(noise):
        lines.insert(0, str(noise))
    loss_first, loss_last = losses
    if math.isfinite(loss_first) and math.isfinite(loss_last):
        fell = f", by {1 - loss_last / loss_first:.0%}" if loss_first > 0 else ""
        lines.append(f"The recorded loss went from {loss_first:.3g} to {loss_last:.3g}{fell}.")
    return "\n".join([*lines, *notes])


def _noisy(noise: Noise | None) -> bool:
    # NaN is what cannot be told from noise.
    return noise is not None and not noise.share <= NOISY
