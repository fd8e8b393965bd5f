"""The force −∇L on a network, its evaluations counted, and the spectral radius of its Jacobian."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from speedlimits.dynamics.curvature import GRADIENTS_PER_PRODUCT, HessianProducts
from speedlimits.dynamics.loss import Flat, Loss, terms, value_and_gradient

# What a radius may be off by is covered by the controller, which plans its stages for one a quarter larger.
RADIUS_TOLERANCE = 0.05
RADIUS_PRODUCTS = 10
# A radius that has changed by more since the last one is compared with an exact product.
SUDDEN = 2.0
WIDER = 10.0


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

    def curvature(self, theta: Tensor) -> Callable[[Tensor], Tensor]:
        """Exact products with the Hessian at θ, in float64, counted as `sharpness` does."""
        products = HessianProducts(terms(self.loss), theta.detach().to(self.dtype, copy=True).requires_grad_())
        # The graph that is kept cost one gradient.
        self.evaluations += products.cost == GRADIENTS_PER_PRODUCT

        def product(direction: Tensor) -> Tensor:
            self.evaluations += products.cost
            return products.product(direction.to(self.dtype)).double()

        return product


def spectral_radius(
    force: Force, theta: Tensor, start: Tensor, direction: Tensor, last: float = 0.0
) -> tuple[float, Tensor]:
    """|λ|_max of the Hessian by power iteration on differences of the force, a gradient each.

    A product turns the direction round, so differences are taken on the two sides of θ by turns. Where the increment
    crosses kinks, as it does in float32, the sides differ by more than any tolerance: what settles is each side by
    itself. The radius is that of the steeper one.

    Across a kink a difference sees the jump of the force over its small increment: 10⁵ where the curvature is 10². A
    value far from the last one, or without one, is compared with an exact product in the same direction, and exact
    products go on where a kink makes the two differ.

    Args:
        force: −∇L.
        theta: where, in float64.
        start: the force there.
        direction: a first guess of the eigenvector, as left by an earlier call; of any length.
        last: the radius of an earlier call; 0 if there is none.

    Returns:
        The spectral radius [1/time], once a product changes it by less than 5 % or after ten, and the direction to
        start the next call from.
    """
    increment = math.sqrt(torch.finfo(force.dtype).eps) * max(1.0, float(torch.linalg.vector_norm(theta)))

    def difference(unit: Tensor, scale: float = increment) -> Tensor:
        return (force(torch.add(theta, unit, alpha=scale)) - start).div_(scale)

    def wider(unit: Tensor) -> Tensor:
        return difference(unit, WIDER * increment)

    product, size, sides, left = difference, float(torch.linalg.vector_norm(direction)), (0.0, 0.0), RADIUS_PRODUCTS
    while left > 0:
        if size == 0:
            return max(sides), start
        unit = direction / size
        direction, left = product(unit), left - 1
        size = float(torch.linalg.vector_norm(direction))
        if not math.isfinite(size):
            return max(sides), start
        settled = any(abs(size - other) <= RADIUS_TOLERANCE * size for other in sides)
        sides = (sides[1], size)
        doubtful = _differ(max(sides), last) if last else settled or not left
        if doubtful and product is difference and size > 0:
            # Agreed or not, the value is what the next ones are held against.
            last, exact = max(sides), _past_kinks(force, theta, unit, max(sides), wider)
            if exact is not None:
                product, direction, settled, left = exact, exact(unit), False, RADIUS_PRODUCTS
                size = float(torch.linalg.vector_norm(direction))
                sides = (0.0, size)
        if settled:
            break
    return max(sides), direction


def _differ(one: float, other: float) -> bool:
    return not one <= SUDDEN * other <= SUDDEN**2 * one


def _past_kinks(
    force: Force, theta: Tensor, unit: Tensor, found: float, wider: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor] | None:
    """Exact products, if a kink is why a difference gave what it found; None if not, or if torch has no such products.

    An exact product that differs is believed only if a wider difference changes as well: the second derivative of a
    function with a backward pass of its own may be wrong.
    """
    try:
        exact = force.curvature(theta)
        agrees = not _differ(float(torch.linalg.vector_norm(exact(unit))), found)
    except (ValueError, RuntimeError):
        return None
    if agrees or not _differ(float(torch.linalg.vector_norm(wider(unit))), found):
        return None
    return exact
