"""Draws of the start of a noisy run beside its members: its mean loss needs many, and they cost no training."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from speedlimits._shapes import Ensemble
from speedlimits.dynamics.noise import langevin
from speedlimits.dynamics.noise.ensemble import losses_and_gradients, losses_of
from speedlimits.dynamics.noise.langevin import Langevin

# Draws of the start beside each member: their losses cost one forward pass, a member's path hundreds of gradients.
DRAWS = 64


@dataclass(frozen=True, eq=False)
class Fresh:
    """Other draws of the start, at which nothing is trained.

    Args:
        losses: L of each [loss].
        gradients: ∇L of some.
    """

    losses: Float[np.ndarray, " draws"]
    gradients: Ensemble

    @classmethod
    def drawn(cls, dynamics: Langevin, members: int, parameters: int, *, seed: int) -> "Fresh":
        """Draw them.

        Args:
            dynamics: gives the start and the loss.
            members: of the ensemble; `DRAWS` times as many losses are drawn, and as many gradients.
            parameters: number of weights.
            seed: of the draws.

        Returns:
            The draws.
        """
        first = langevin.prior(dynamics, members, parameters, seed=seed)
        losses, gradients = losses_and_gradients(dynamics.loss, first, chunk=dynamics.chunk)
        others = [losses]
        # No two blocks share a seed, nor do blocks of neighbouring runs.
        seeds = np.random.SeedSequence(seed).generate_state(DRAWS).tolist()
        for block in range(1, DRAWS):
            more = langevin.prior(dynamics, members, parameters, seed=seeds[block])
            others.append(losses_of(dynamics.loss, more, chunk=dynamics.chunk))
        return cls(torch.cat(others).cpu().numpy(), gradients.cpu().numpy())
