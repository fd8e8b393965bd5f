r"""Ensembles led from the start to equilibrium, or back, by changing the strength λ of the loss in V = κ|θ|² + λL."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64

from speedlimits._checks import check_integer
from speedlimits.dynamics.noise import langevin
from speedlimits.dynamics.noise.langevin import Ensemble, Langevin, Members


@dataclass(frozen=True)
class Annealing:
    """What annealing leaves.

    Args:
        log_weights: ln w = −βΣ(λ_{k+1} − λ_k)L(θ_k) of each member: annealed importance sampling, Neal (2001).
        losses: L of each member at each strength, after its steps there.
        thetas: the members at the last strength.
        acceptance: share of accepted steps.
    """

    log_weights: Members
    losses: Float64[torch.Tensor, "strengths members"]
    thetas: Ensemble
    acceptance: float


def anneal(
    dynamics: Langevin, thetas: Ensemble, strengths: Float64[np.ndarray, " strengths"], *, steps: int, seed: int
) -> Annealing:
    """Lead an ensemble through a sequence of strengths, some Metropolis-adjusted steps at each but the first.

    Args:
        dynamics: potential, temperature and time step; the scheme is Metropolis whatever it says.
        thetas: members drawn from equilibrium at the first strength: from the prior for λ = 0.
        strengths: λ_k, from 0 to 1 for the forward weights, from 1 to 0 for the reverse ones.
        steps: at each strength.
        seed: of the noise.

    Returns:
        Weights, losses and members at the end.

    Raises:
        ValueError: if there are fewer than two strengths, one is negative, or ``steps`` is below 1.
    """
    check_integer("steps", steps, minimum=1)
    check_integer("strengths.size", strengths.size, minimum=2)
    at = [replace(dynamics, strength=float(strength), scheme="metropolis") for strength in strengths]
    state = langevin.init(at[0], thetas, seed=seed)
    log_weights, losses = torch.zeros_like(state.losses), [state.losses]
    for now, following in itertools.pairwise(at):
        log_weights -= dynamics.inverse_temperature * (following.strength - now.strength) * state.losses
        for _ in range(steps):
            state = langevin.step(following, state)
        losses.append(state.losses)
    return Annealing(log_weights, torch.stack(losses), state.thetas, state.accepted / (state.steps * len(thetas)))
