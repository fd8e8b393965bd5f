r"""Exponential Runge–Kutta steps of order 4: what is linear and stiff is solved exactly, whatever the step.

With A the Gauss–Newton part of the Hessian at the step's start and F = −∇L there, the flow is
:math:`y' = F - Ay + D(y)`, with D(0) = 0: its linear part goes by :math:`\varphi`-functions of −hA, and four gradients
tell of D.

Source: Krogstad, "Generalized integrating factor methods for stiff PDEs", J. Comput. Phys. 203 (2005) 72–88, (51); here
in terms of D. The error is estimated by the last stage in the place of the fourth one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from speedlimits.dynamics.flow.gauss_newton import Modes

GRADIENTS = 4
# Below this size of z the quotients lose digits, and nine terms of the series have all of them.
SMALL = 0.1
TERMS = 9


def phi(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""The first three φ-functions: :math:`\varphi_0 = e^z`, :math:`\varphi_{k+1}(z) = (\varphi_k(z) - 1/k!)/z`.

    Args:
        z: real, not positive, in float64.

    Returns:
        The three functions, 1, 1/2 and 1/6 at zero, to twelve digits or more.
    """
    near = z.abs() < SMALL
    safe = torch.where(near, 1.0, z)
    # φ_3 = Σ z^k/(k+3)!, from the inside out.
    series = torch.ones_like(z)
    for k in range(TERMS - 1, 0, -1):
        series = 1 + series * z / (k + 3)
    first = torch.expm1(safe) / safe
    second = (first - 1) / safe
    third = torch.where(near, series / 6, (second - 0.5) / safe)
    second = torch.where(near, 0.5 + z * third, second)
    return torch.where(near, 1 + z * second, first), second, third


@dataclass(frozen=True)
class Stages:
    """One step, tried.

    Args:
        change: y_{n+1} − y_n.
        final: −∇L at y_{n+1}, evaluated last.
        estimate: of the local error, a vector.
        linear: D's slope over the step as a whole, α, and its bend, β: D ≈ α u + β u² at the fraction u.
        bend: β.
    """

    change: Tensor
    final: Tensor
    estimate: Tensor
    slope: Tensor
    bend: Tensor


def step(force: Callable[[Tensor], Tensor], origin: Tensor, start: Tensor, modes: Modes, size: float) -> Stages:
    """One step of the flow, four gradients.

    Args:
        force: −∇L.
        origin: where the step begins.
        start: the force there.
        modes: A there.
        size: h.

    Returns:
        The step.
    """
    first, second, third = phi(-size * modes.eigenvalues)
    half_first, half_second, _ = phi(-0.5 * size * modes.eigenvalues)

    def excess(change: Tensor) -> tuple[Tensor, Tensor]:
        """The force at a stage, and D there."""
        found = force(origin + change)
        return found, modes.product(change).add_(found).sub_(start)

    middle = modes.apply(0.5 * size * half_first, 0.5 * size, start)
    once = excess(middle)[1]
    twice = excess(middle + modes.apply(size * half_second, 0.5 * size, once))[1]
    whole = modes.apply(size * first, size, start)
    late = excess(whole + modes.apply(2 * size * second, size, twice))[1]
    between, ending = once + twice, size * (4 * third - second)
    change = (
        whole + modes.apply(size * (2 * second - 4 * third), size / 3, between) + modes.apply(ending, size / 6, late)
    )
    final, last = excess(change)
    estimate = modes.apply(ending, size / 6, last - late)
    return Stages(change, final, estimate, 2 * between - late, 2 * (late - between))
