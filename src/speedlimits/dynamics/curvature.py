"""The largest curvature of the loss, λ_max: it sets the stable step of every explicit integrator."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from speedlimits._checks import check_integer, check_positive
from speedlimits.dynamics.loss import Flat, terms
from speedlimits.dynamics.passes import twice_differentiable

# A Hessian-vector product runs the backward pass twice; where its graph is made anew for each, a gradient comes before.
GRADIENTS_PER_PRODUCT = 2
GRADIENTS_PER_GRAPH = 1


@dataclass(frozen=True)
class Sharpness:
    """Largest Hessian eigenvalue in size, and what it cost to find.

    Args:
        value: |λ|_max [1/time].
        gradient_evaluations: cost, two gradients per Hessian-vector product, three for a loss in chunks.
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
        ValueError: if ``tolerance`` is not positive, ``max_iterations`` not an integer of at least 1, or torch has no
            second derivative of the loss.
    """
    check_positive("tolerance", tolerance)
    check_integer("max_iterations", max_iterations, minimum=1)
    theta = theta.detach().requires_grad_()
    graphs = HessianProducts(terms(loss), theta)
    direction = torch.randn(theta.numel(), generator=generator, dtype=torch.float64).to(theta)
    direction /= torch.linalg.vector_norm(direction)
    estimate, converged, products = 0.0, False, 0
    while products < max_iterations and not converged:
        product = graphs.product(direction)
        products += 1
        size = float(torch.linalg.vector_norm(product, dtype=torch.float64))
        if size == 0.0 or not math.isfinite(size):
            return Sharpness(size, graphs.cost * products, converged=size == 0.0)
        converged = abs(size - estimate) <= tolerance * size
        estimate = size
        direction = product / size
    return Sharpness(estimate, graphs.cost * products, converged)


class HessianProducts:
    """Hessian-vector products at one θ, from the graphs of the loss's gradient.

    Args:
        terms: what the loss is the sum of.
        theta: θ, asking for a gradient.
    """

    def __init__(self, terms: Sequence[Callable[[Flat], Tensor]], theta: Flat) -> None:
        self._terms, self._theta = terms, theta
        # One graph serves all products: only the direction changes. Those of several terms may not fit side by side.
        self._kept = self._graph(terms[0]) if len(terms) == 1 else None
        self.cost = GRADIENTS_PER_PRODUCT + (GRADIENTS_PER_GRAPH if self._kept is None else 0)

    def product(self, direction: Flat) -> Flat:
        """Hv."""
        total = torch.zeros_like(direction)
        for term in self._terms:
            gradient = self._graph(term) if self._kept is None else self._kept
            # A loss that is linear in θ has no second graph.
            if gradient.requires_grad:
                with twice_differentiable():
                    total += torch.autograd.grad(gradient, self._theta, direction, retain_graph=self._kept is not None)[
                        0
                    ]
        return total

    def _graph(self, term: Callable[[Flat], Tensor]) -> Flat:
        with torch.enable_grad(), twice_differentiable():
            return torch.autograd.grad(term(self._theta), self._theta, create_graph=True)[0]
