r"""Dissipation of training to equilibrium, β⁻¹R_∞, from ensembles with the loss at strengths from 0 to 1.

Between the start (strength 0) and Eq. (19) (strength 1) lie the laws p_λ ∝ e^{−β(V−L+λL)}. As R_T ≤ R_∞ at every
time, an upper bound on R_∞ is one on R_T; a lower bound is not.
"""

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_finite, check_increasing, check_one_of, check_positive, check_shape
from speedlimits._shapes import Members
from speedlimits.estimates import Estimate, check_members, from_mean

EQUILIBRIUM = "the members at each strength must be in equilibrium"


def thermodynamic_integration(
    strengths: Float[np.ndarray, " strengths"], losses: Float[np.ndarray, "strengths members"]
) -> tuple[Estimate, Estimate]:
    r"""R_∞ between two sums: the mean loss never grows with the strength, so they enclose its integral.

    .. math:: \beta^{-1}R_\infty = \int_0^1\bigl(\langle L\rangle_0 - \langle L\rangle_\lambda\bigr)\,d\lambda, \qquad
              \frac{d\langle L\rangle_\lambda}{d\lambda} = -\beta\,\mathrm{Var}_\lambda L \le 0

    Args:
        strengths: λ from 0 to 1, strictly increasing.
        losses: L of each member at each strength [loss]; members are independent; strengths may share members.

    Returns:
        β⁻¹R_∞ from below and from above [loss], both with the caveat that the members be in equilibrium.

    Raises:
        ValueError: if the strengths do not run from 0 to 1, a loss is not finite, or there are fewer than two members.
    """
    check_shape("losses", losses, (strengths.size, None))
    check_increasing("strengths", strengths)
    check_finite("losses", losses)
    if strengths[0] != 0.0 or strengths[-1] != 1.0:
        raise ValueError(f"`strengths` must run from 0 to 1; they run from {strengths[0]:.6g} to {strengths[-1]:.6g}.")
    drops = losses[0] - losses
    widths = np.diff(strengths)
    name = "thermodynamic integration"
    return (
        from_mean(name, widths @ drops[:-1], "lower", EQUILIBRIUM),
        from_mean(name, widths @ drops[1:], "upper", EQUILIBRIUM),
    )


def annealed_importance(
    log_weights: Members, losses_start: Members, inverse_temperature: float, *, direction: str = "forward"
) -> Estimate:
    r"""R_∞ from annealing members between start and end, by Jensen's inequality, Neal (2001), Jarzynski (1997).

    .. math:: \ln w = \mp\beta\sum_k(\lambda_{k+1}-\lambda_k)L(\theta_k), \qquad
              \langle\ln w\rangle_\text{forward} \le \ln\frac{\mathcal Z_\infty}{\mathcal Z_0}
              \le -\langle\ln w\rangle_\text{reverse}

    Args:
        log_weights: ln w of each member, annealed from the start's law (forward) or from equilibrium (reverse).
        losses_start: L of members drawn from the start's law [loss]; of the same members for ``"forward"``.
        inverse_temperature: β [1/loss].
        direction: ``"forward"`` or ``"reverse"``.

    Returns:
        β⁻¹R_∞ = β⁻¹ln(𝒵_∞/𝒵₀) + ⟨L⟩₀ [loss], Eq. (21), from below (forward, whatever the quality of the sampler
        between) or from above (reverse, which must begin in equilibrium and carries that caveat).

    Raises:
        ValueError: if a number is not finite, β is not positive and finite, the lengths differ, or the direction is
            neither of the two.
    """
    check_one_of("direction", direction, ("forward", "reverse"))
    check_shape("losses_start", losses_start, log_weights.shape)
    check_finite("log_weights", log_weights)
    check_finite("losses_start", losses_start)
    check_positive("inverse_temperature", inverse_temperature)
    check_members("log_weights", log_weights, 2)
    name = f"annealed importance sampling, {direction}"
    if direction == "forward":
        return from_mean(name, losses_start + log_weights / inverse_temperature, "lower")
    return from_mean(name, losses_start - log_weights / inverse_temperature, "upper", EQUILIBRIUM)
