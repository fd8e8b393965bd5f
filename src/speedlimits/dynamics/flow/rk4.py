"""The classical Runge–Kutta step of order 4: the reference that needs no stages to be stable, only small steps."""

from collections.abc import Callable

import torch
from torch import Tensor

# h·λ_max, as edge-of-stability studies take it (Cohen et al., ICLR 2021); 2.78 is the limit of stability.
REACH = 1.0


def step(
    force: Callable[[Tensor], Tensor], origin: Tensor, start: Tensor, size: float
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of y' = f(y): four evaluations, f at its start being known.

    Args:
        force: f; what it returns is not written to.
        origin: y_n, where the step begins.
        start: f(y_n).
        size: h.

    Returns:
        y_{n+1} − y_n, f at y_{n+1}, and the estimated local error, a vector: the distance to the method of order 3
        that has f(y_{n+1}) in place of the last stage.
    """
    early = force(torch.add(origin, start, alpha=size / 2))
    late = force(torch.add(origin, early, alpha=size / 2))
    last = force(torch.add(origin, late, alpha=size))
    change = (start + last).add_(early + late, alpha=2).mul_(size / 6)
    final = force(origin + change)
    return change, final, (last - final).mul_(size / 6)
