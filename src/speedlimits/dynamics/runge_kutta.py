"""The classical Runge–Kutta step of order 4: the reference that needs no stages to be stable, only small steps."""

from collections.abc import Callable

import torch
from torch import Tensor

# h·λ_max, as edge-of-stability studies take it (Cohen et al., ICLR 2021); 2.78 is the limit of stability.
REACH = 1.0


def step(force: Callable[[Tensor], Tensor], y: Tensor, start: Tensor, size: float) -> tuple[Tensor, Tensor, Tensor]:
    """One step of y' = f(y): four evaluations, f(y) being known.

    Args:
        force: f.
        y: where the step begins.
        start: f(y).
        size: h.

    Returns:
        y at the step's end, f there, and zero: nothing is estimated.
    """
    early = force(torch.add(y, start, alpha=size / 2))
    late = force(torch.add(y, early, alpha=size / 2))
    last = force(torch.add(y, late, alpha=size))
    following = torch.add(y, start + 2 * early + 2 * late + last, alpha=size / 6)
    return following, force(following), torch.zeros_like(y)
