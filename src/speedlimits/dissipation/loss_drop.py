"""Without noise the dissipation is the loss drop: what a gradient flow spends, Eq. (6)."""

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_finite, check_shape


def dissipation(losses_start: Float[np.ndarray, " seeds"], losses_end: Float[np.ndarray, " seeds"]) -> float:
    r"""Mean loss drop of an ensemble of gradient flows, β⁻¹ = 0, Eq. (6).

    .. math:: \beta^{-1}R = \langle L(\theta(0)) - L(\theta(T)) \rangle

    Args:
        losses_start: L(θ(0)) of each seed [loss].
        losses_end: L(θ(T)) of each seed, in the same order [loss].

    Returns:
        β⁻¹R [loss]; non-negative for a flow. Steps too large for a flow may raise the loss, and then it is not.

    Raises:
        ValueError: if a loss is not finite, there is no seed, or the lengths differ.
    """
    check_shape("losses_start", losses_start, (None,))
    check_shape("losses_end", losses_end, losses_start.shape)
    check_finite("losses_start", losses_start)
    check_finite("losses_end", losses_end)
    if not losses_start.size:
        raise ValueError("`losses_start` must have at least one seed; losses_start.size = 0.")
    # Paired before averaging: the spread between seeds often exceeds the drop.
    return float(np.mean(losses_start - losses_end))
