r"""Langevin dynamics of linear models without discretisation: exact Ornstein–Uhlenbeck steps of any length.

.. math:: \theta' = \mu + e^{-Ht}(\theta-\mu) + \bigl[(\beta H)^{-1}(1-e^{-2Ht})\bigr]^{1/2}\xi, \qquad
          H = 2\kappa + \nabla\nabla L, \quad H\mu = -\nabla L(0)
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.func import grad, vmap

from speedlimits._checks import check_positive
from speedlimits.dynamics.noise.ensemble import losses_and_gradients
from speedlimits.dynamics.noise.langevin import Ensemble, Langevin
from speedlimits.dynamics.passes import twice_differentiable


@dataclass(frozen=True)
class ExactSteps:
    """The transition law of a quadratic potential; made by `of`.

    Args:
        inverse_temperature: β.
        rates: eigenvalues of H [1/time].
        modes: its eigenvectors, in columns.
        equilibrium: μ.
    """

    inverse_temperature: float
    rates: Float64[Tensor, " parameters"]
    modes: Float64[Tensor, "parameters parameters"]
    equilibrium: Float64[Tensor, " parameters"]

    @classmethod
    def of(cls, dynamics: Langevin, thetas: Ensemble) -> "ExactSteps":
        """The exact steps of a model that is linear in its weights.

        Args:
            dynamics: potential and temperature; time step and scheme are not looked at.
            thetas: any ensemble; on its first members the loss is tested for being quadratic.

        Returns:
            The transition law.

        Raises:
            ValueError: if the loss is not quadratic.
        """
        zero = torch.zeros_like(thetas[0])

        def along(direction: Tensor) -> Tensor:
            return grad(lambda theta: grad(dynamics.loss)(theta).dot(direction))(zero)

        # Not torch.func.hessian, nor jacrev: torch 2.13 gives wrong entries by them behind layer normalisation.
        with twice_differentiable():
            curvature = torch.as_tensor(vmap(along)(torch.eye(zero.numel(), dtype=zero.dtype, device=zero.device)))
        probes = torch.cat((zero[None], thetas[:4]))
        gradients = losses_and_gradients(dynamics.loss, probes)[1]
        gap = (gradients - gradients[0] - probes @ curvature).abs().max()
        if gap > 1e-8 * gradients.abs().max():
            raise ValueError(
                f"`dynamics` must have a quadratic loss, a linear model's, for exact steps; ∇L is off by {gap:.3g}."
            )
        stiffness = dynamics.strength * curvature
        stiffness.diagonal().add_(2.0 * dynamics.prior_precision)
        rates, modes = torch.linalg.eigh(stiffness)
        pull = modes.T @ (-dynamics.strength * gradients[0])
        return cls(dynamics.inverse_temperature, rates, modes, modes @ (pull / rates))

    def step(self, thetas: Ensemble, time: float, *, generator: torch.Generator) -> Ensemble:
        """Draws from the law at a later time, given the members now.

        Args:
            thetas: the members.
            time: how much later, positive.
            generator: of the noise.

        Returns:
            The members later.

        Raises:
            ValueError: if the time is not positive and finite.
        """
        check_positive("time", time)
        decay = torch.exp(-self.rates * time)
        widths = torch.sqrt(-torch.expm1(-2.0 * self.rates * time) / (self.inverse_temperature * self.rates))
        noise = torch.randn(thetas.shape, generator=generator, dtype=torch.float64).to(thetas.device)
        along = (thetas - self.equilibrium) @ self.modes
        return self.equilibrium + (decay * along + widths * noise) @ self.modes.T
