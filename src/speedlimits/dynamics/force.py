"""The force −∇L on a displaced network, its evaluations counted, and the spectral radius of its Jacobian."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from speedlimits.dynamics.flat import Flat, value_and_gradient
from speedlimits.dynamics.state import at

Loss = Callable[[Flat], Tensor]

RADIUS_TOLERANCE = 0.01
RADIUS_PRODUCTS = 50


class Force:
    """−∇L at θ_0 + y in float64, counting its evaluations.

    Args:
        loss: L(θ).
        theta0: θ_0.
    """

    def __init__(self, loss: Loss, theta0: Flat) -> None:
        self.loss, self.theta0 = loss, theta0
        self.evaluations = 0
        self.value = torch.zeros(())

    def __call__(self, displacement: Tensor) -> Tensor:
        """−∇L(θ_0 + y); `value` is then L there."""
        self.value, gradient = value_and_gradient(self.loss, at(self.theta0, displacement))
        self.evaluations += 1
        return -gradient.double()


def spectral_radius(force: Force, y: Tensor, start: Tensor, direction: Tensor) -> tuple[float, Tensor]:
    """|λ|_max of the Hessian by power iteration on differences of the force, a gradient each.

    Args:
        force: −∇L.
        y: where.
        start: the force there.
        direction: a first guess of the eigenvector, as left by an earlier call; of any length.

    Returns:
        The spectral radius [1/time], to 1 % or after fifty products, and the direction to start the next call from.
    """
    theta = force.theta0
    scale = math.sqrt(torch.finfo(theta.dtype).eps) * max(1.0, float(torch.linalg.vector_norm(theta.double() + y)))
    estimate = 0.0
    for _ in range(RADIUS_PRODUCTS):
        size = float(torch.linalg.vector_norm(direction))
        if size == 0 or not math.isfinite(size):
            return estimate, start
        shift = direction * (scale / size)
        direction = force(y + shift) - start
        found = float(torch.linalg.vector_norm(direction)) / scale
        if abs(found - estimate) <= RADIUS_TOLERANCE * found:
            return found, direction
        estimate = found
    return estimate, direction
