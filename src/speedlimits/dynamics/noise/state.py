"""Where an ensemble under noise stands, and what moves it next."""

from dataclasses import dataclass

from jaxtyping import Float64, Int64
from torch import Tensor

Ensemble = Float64[Tensor, "members parameters"]
Members = Float64[Tensor, " members"]


@dataclass(frozen=True, kw_only=True)
class LangevinState:
    """Where an ensemble stands, and all that its next step depends on.

    Args:
        steps: taken so far.
        thetas: a member in each row, float64.
        losses: L of each member.
        gradients: ∇L of each member.
        noise: the last draw, for schemes that use it twice.
        path_ratio: ln p[θ|θ₀]/p[θ̃|θ_N] of each member's path so far, Eqs. (37), (38): exact for the discrete paths of
            Euler–Maruyama and Metropolis; for Leimkuhler–Matthews the heat β(V₀ − V_N), its limit for small steps.
        accepted: accepted steps of all members together.
        random: state of the generator of all noise.
        refined: steps of single members that were refined, of all members together.
    """

    steps: int
    thetas: Ensemble
    losses: Members
    gradients: Ensemble
    noise: Float64[Tensor, "drawn parameters"]
    path_ratio: Members
    accepted: int
    random: Int64[Tensor, " words"]
    refined: int = 0


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random numbers of one step.

    Args:
        noise: standard normal, one for each weight of each member.
        uniform: in [0, 1), one for each member; what `"metropolis"` accepts by.
        random: state of the generator after them.
    """

    noise: Ensemble
    uniform: Members | None
    random: Int64[Tensor, " words"]
