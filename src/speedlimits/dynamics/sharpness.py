"""The largest curvature of the loss, λ_max: it sets the stable step of every explicit integrator."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from speedlimits._checks import check_integer, check_positive
from speedlimits.dynamics.flat import Flat

# A Hessian-vector product runs the backward pass twice.
GRADIENTS_PER_PRODUCT = 2


@dataclass(frozen=True)
class Sharpness:
    """Largest Hessian eigenvalue in size, and what it cost to find.

    Args:
        value: |λ|_max [1/time].
        gradient_evaluations: cost, two gradients per Hessian-vector product.
        converged: whether the last iteration changed it by less than the tolerance.
    """

    value: float
    gradient_evaluations: int
    converged: bool


def sharpness(
    loss: Callable[[Flat], Tensor],
    theta: Flat,
    *,
    generator: torch.Generator,
    tolerance: float = 1e-3,
    max_iterations: int = 100,
) -> Sharpness:
    r"""|λ|_max of the Hessian at θ by power iteration on Hessian-vector products.

    .. math:: v \leftarrow Hv/|Hv|, \qquad |\lambda| \leftarrow |Hv|

    The estimate never exceeds |λ|_max (beyond rounding). Neural networks have a few eigenvalues that stand far
    out, so ten to thirty products reach the default tolerance.

    Args:
        loss: a twice differentiable function of a flat weight vector.
        theta: where, on any device.
        generator: draws the first direction, on the CPU so that every device draws the same.
        tolerance: stop when one iteration changes the estimate by less than this share.
        max_iterations: stop at the latest after so many products.

    Returns:
        The estimate and its cost. Zero for a loss without curvature.

    Raises:
        ValueError: if ``tolerance`` is not positive or ``max_iterations`` not an integer of at least 1.
    """
    check_positive("tolerance", tolerance)
    check_integer("max_iterations", max_iterations, minimum=1)
    theta = theta.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss(theta), theta, create_graph=True)
    direction = torch.randn(theta.numel(), generator=generator, dtype=torch.float64).to(theta)
    direction /= torch.linalg.vector_norm(direction)
    estimate, converged, products = 0.0, False, 0
    # One graph serves all products: only the direction changes.
    while products < max_iterations and not converged and gradient.requires_grad:
        (product,) = torch.autograd.grad(gradient, theta, direction, retain_graph=True)
        products += 1
        size = float(torch.linalg.vector_norm(product, dtype=torch.float64))
        if size == 0.0 or not math.isfinite(size):
            return Sharpness(size, GRADIENTS_PER_PRODUCT * products, converged=size == 0.0)
        converged = abs(size - estimate) <= tolerance * size
        estimate = size
        direction = product / size
    return Sharpness(estimate, GRADIENTS_PER_PRODUCT * products, converged or not gradient.requires_grad)
