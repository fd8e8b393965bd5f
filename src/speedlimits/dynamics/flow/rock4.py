r"""Stabilised Runge–Kutta steps of order 4 (ROCK4): s gradients reach 0.34 s² stability lengths.

Source: Abdulle, "Fourth order Chebyshev methods with recurrence relation", SIAM J. Sci. Comput. 23 (2002) 2041–2054;
the coefficients are our own, see `rock4_coefficients`.

The gain in order has a price. The last four stages have no stage order of their own: where fast modes follow slow ones
(y' = λ(y − g(t)) + g'(t) is the model) a step errs by about (hλ)²h²g'' in them, a Chebyshev step by nothing that grows
with hλ. The error estimate sees it and holds the steps back: the cost of a nonlinear problem grows faster than
√(λ_max T), and `rkc2` wins except at accuracies below 1e-5.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from speedlimits.dynamics.flow.rock4_coefficients import FEWEST, coefficients

# l/s² grows with s and stays below this.
LENGTH = 0.3435
# Largest h·ρ. The last four stages are a quartic in h·λ that reaches 1e-2 (hλ)⁴ and cancels against decayed stages: of
# the way to rest, rounding moves a fast mode by 1e-6 at s = 40, by 1e-2 at s = 100, by more than all of it at s = 152.
REACH = 600.0


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
    force: Callable[[Tensor], Tensor], origin: Tensor, start: Tensor, size: float, stages: int
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of y' = f(y): s evaluations, f at its start being known.

    Args:
        force: f; what it returns is not written to.
        origin: y_n, where the step begins.
        start: f(y_n).
        size: h.
        stages: s.

    Returns:
        y_{n+1} − y_n, f at y_{n+1}, and the estimated local error of an embedded method of order 3, a vector.
    """
    method = coefficients(stages)
    # All stages as Y_j − y_n: ν + κ = 1, so that the recurrence is the same.
    before, change, rate = torch.zeros_like(start), torch.zeros_like(start), start
    for mu, nu, kappa in method.stages:
        before.mul_(kappa).add_(change, alpha=nu).add_(rate, alpha=mu * size)
        before, change = change, before
        rate = force(origin + change)
    forces, following = [rate], change
    for row in method.finish:
        following = _combined(change.clone(), size, row, forces)
        forces.append(force(origin + following))
    return following, forces[-1], _combined(before.zero_(), size, method.error, forces)


def _combined(total: Tensor, size: float, weights: tuple[float, ...], forces: list[Tensor]) -> Tensor:
    """Total + h Σ a_i f_i, in place."""
    for weight, force in zip(weights, forces, strict=True):
        total.add_(force, alpha=weight * size)
    return total
