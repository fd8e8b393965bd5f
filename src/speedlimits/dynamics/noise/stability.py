"""The longest stable step of an ensemble under noise."""

import statistics

import torch
from torch import Tensor

from speedlimits.dynamics.curvature import sharpness
from speedlimits.dynamics.noise.langevin import Langevin
from speedlimits.dynamics.noise.state import Ensemble


def stable_time_step(dynamics: Langevin, thetas: Ensemble, *, members: int = 9, seed: int = 0) -> float:
    """The limit of stability, 2/λ_max of ∇∇V, at the median of the first members.

    Not at the sharpest: deep networks have members of a sharpness beyond any step, and those are refined.

    Args:
        dynamics: gives the potential; its time step is not looked at.
        thetas: the ensemble.
        members: how many to look at.
        seed: of the power iteration's first direction.

    Returns:
        Largest stable h of Euler–Maruyama [time].
    """

    def potential(theta: Tensor) -> Tensor:
        return dynamics.prior_precision * theta.square().sum() + dynamics.strength * dynamics.loss(theta)

    generator = torch.Generator().manual_seed(seed)
    return 2.0 / statistics.median(sharpness(potential, theta, generator=generator).value for theta in thetas[:members])


def check_stable(dynamics: Langevin, limit: float) -> None:
    """Raise ValueError if the time step is beyond the limit of stability."""
    if dynamics.time_step >= limit:
        raise ValueError(
            f"`time_step` must be below 2/λ_max = {limit:.4g}, the limit of stability; "
            f"time_step = {dynamics.time_step:.4g}."
        )
