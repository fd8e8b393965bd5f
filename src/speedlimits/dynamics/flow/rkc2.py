r"""Runge–Kutta–Chebyshev steps of order 2: s gradients reach 0.65 s² stability lengths, not s.

Source: Sommeijer, Shampine & Verwer, "RKC: an explicit solver for parabolic PDEs", J. Comput. Appl. Math. 88 (1998)
315–326; numbers (2.x) are theirs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

# Damping ε of (2.3): keeps the stability interval open between the zeros of the Chebyshev polynomials.
DAMPING = 2 / 13


@dataclass(frozen=True)
class ChebyshevCoefficients:
    """One method's numbers.

    Args:
        first: μ̃_1.
        stages: (μ_j, ν_j, μ̃_j, γ̃_j) for j = 2…s, (2.5).
    """

    first: float
    stages: tuple[tuple[float, float, float, float], ...]


@lru_cache(maxsize=1024)
def coefficients(stages: int) -> ChebyshevCoefficients:
    """ChebyshevCoefficients (2.4), (2.5) of the method with so many stages.

    Args:
        stages: s, at least 2.

    Returns:
        The coefficients.
    """
    w0 = 1 + DAMPING / stages**2
    value, slope, bend = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for j in range(2, stages + 1):
        value.append(2 * w0 * value[j - 1] - value[j - 2])
        slope.append(2 * w0 * slope[j - 1] - slope[j - 2] + 2 * value[j - 1])
        bend.append(2 * w0 * bend[j - 1] - bend[j - 2] + 4 * slope[j - 1])
    w1 = slope[stages] / bend[stages]
    b = [0.0, 0.0, *(bend[j] / slope[j] ** 2 for j in range(2, stages + 1))]
    b[0] = b[1] = b[2]
    rows = []
    for j in range(2, stages + 1):
        mu_tilde = 2 * b[j] * w1 / b[j - 1]
        a = 1 - b[j - 1] * value[j - 1]
        rows.append((2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], mu_tilde, -a * mu_tilde))
    return ChebyshevCoefficients(b[1] * w1, tuple(rows))


def stages(step_radius: float) -> int:
    r"""Smallest s whose stability interval holds h·ρ, by (2.6): :math:`\tfrac23(s^2-1)(1-\tfrac2{15}\varepsilon)`.

    Args:
        step_radius: step size × spectral radius.

    Returns:
        s ≥ 2.
    """
    return max(2, math.ceil(math.sqrt(1 + 1.5 * step_radius / (1 - 2 / 15 * DAMPING))))


def step(
    force: Callable[[Tensor], Tensor], origin: Tensor, start: Tensor, size: float, stages: int
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of y' = f(y), (2.1): s evaluations, f at its start being known and f at its end included.

    The stages are carried as k_j = Y_j − y_n, where the term (1 − μ_j − ν_j) y_n of (2.1) drops out: one pass less
    over the weights, and no digits lost to a large y_n.

    Args:
        force: f; what it returns is not written to.
        origin: y_n, where the step begins.
        start: f(y_n).
        size: h.
        stages: s.

    Returns:
        y_{n+1} − y_n, f at y_{n+1}, and the estimated local error, a vector: (2.8),
        0.8 (y_n − y_{n+1}) + 0.4 h (f_n + f_{n+1}).
    """
    method = coefficients(stages)
    before, change = torch.zeros_like(start), start * (method.first * size)
    for mu, nu, mu_tilde, gamma_tilde in method.stages:
        rate = force(origin + change)
        before.mul_(nu).add_(change, alpha=mu).add_(rate, alpha=mu_tilde * size).add_(start, alpha=gamma_tilde * size)
        before, change = change, before
    final = force(origin + change)
    return change, final, (start + final).mul_(0.4 * size).sub_(change, alpha=0.8)
