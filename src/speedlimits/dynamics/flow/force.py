"""The force −∇L on a network, its evaluations counted, and the spectral radius of its Jacobian."""

import math

import torch
from torch import Tensor

from speedlimits.dynamics.loss import Flat, Loss, value_and_gradient

RADIUS_TOLERANCE = 0.01
RADIUS_PRODUCTS = 50


class Force:
    """−∇L in float64, counting its evaluations.

    Args:
        loss: L(θ).
        like: weights as `loss` takes them.
    """

    def __init__(self, loss: Loss, like: Flat) -> None:
        self.loss, self.dtype = loss, like.dtype
        self.evaluations = 0
        self.value: Tensor
        self._downhill = -like.new_ones(())

    def __call__(self, theta: Tensor) -> Tensor:
        """−∇L(θ); `value` is then L there."""
        self.value, force = value_and_gradient(self.loss, theta.to(self.dtype), self._downhill)
        self.evaluations += 1
        return force.double()


def spectral_radius(force: Force, theta: Tensor, start: Tensor, direction: Tensor) -> tuple[float, Tensor]:
    """|λ|_max of the Hessian by power iteration on differences of the force, a gradient each.

    Args:
        force: −∇L.
        theta: where, in float64.
        start: the force there.
        direction: a first guess of the eigenvector, as left by an earlier call; of any length.

    Returns:
        The spectral radius [1/time], to 1 % or after fifty products, and the direction to start the next call from.
    """
    scale = math.sqrt(torch.finfo(force.dtype).eps) * max(1.0, float(torch.linalg.vector_norm(theta)))
    estimate, size = 0.0, float(torch.linalg.vector_norm(direction))
    for _ in range(RADIUS_PRODUCTS):
        if size == 0:
            return estimate, start
        direction = force(torch.add(theta, direction, alpha=scale / size)) - start
        size = float(torch.linalg.vector_norm(direction))
        if not math.isfinite(size):
            return estimate, start
        found = size / scale
        if abs(found - estimate) <= RADIUS_TOLERANCE * found:
            return found, direction
        estimate = found
    return estimate, direction
