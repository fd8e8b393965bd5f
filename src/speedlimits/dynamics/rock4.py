r"""Stabilised Runge–Kutta steps of order 4 (ROCK4): s gradients reach 0.34 s² stability lengths.

Source: Abdulle, "Fourth order Chebyshev methods with recurrence relation", SIAM J. Sci. Comput. 23 (2002) 2041–2054;
the coefficients are our own, see `rock4_coefficients`.

The gain in order has a price. The last four stages have no stage order of their own: where fast modes follow slow ones
(y' = λ(y − g(t)) + g'(t) is the model) a step errs by about (hλ)²h²g'' in them, a Chebyshev step by nothing that grows
with hλ. The error estimate sees it and holds the steps back: the cost of a nonlinear problem grows faster than
√(λ_max T), and `chebyshev` wins except at accuracies below 1e-5.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from speedlimits.dynamics.rock4_coefficients import FEWEST, coefficients

# l/s² grows with s and stays below this.
LENGTH = 0.3435


def stages(step_radius: float) -> int:
    """Smallest s whose stability interval holds h·ρ.

    Args:
        step_radius: step size × spectral radius.

    Returns:
        s ≥ 6.
    """
    fewest = max(FEWEST, math.ceil(math.sqrt(step_radius / LENGTH)))
    while coefficients(fewest).length < step_radius:
        fewest += 1
    return fewest


def step(
    force: Callable[[Tensor], Tensor], y: Tensor, start: Tensor, size: float, stages: int
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of y' = f(y): s evaluations, f(y) being known.

    Args:
        force: f.
        y: where the step begins.
        start: f(y).
        size: h.
        stages: s.

    Returns:
        y at the step's end, f there, and the estimated local error of an embedded method of order 3, a vector.
    """
    method = coefficients(stages)
    previous, current, rate = y, y, start
    for mu, nu, kappa in method.stages:
        following = (nu * current).add_(previous, alpha=kappa).add_(rate, alpha=mu * size)
        previous, current = current, following
        rate = force(current)
    forces, following = [rate], current
    for row in method.finish:
        following = _combined(current, size, row, forces)
        forces.append(force(following))
    return following, forces[-1], _combined(torch.zeros_like(y), size, method.error, forces)


def _combined(origin: Tensor, size: float, weights: tuple[float, ...], forces: list[Tensor]) -> Tensor:
    """Origin + h Σ a_i f_i."""
    total = origin.clone()
    for weight, force in zip(weights, forces, strict=True):
        total.add_(force, alpha=weight * size)
    return total
