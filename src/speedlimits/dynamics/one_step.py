"""The one-step methods a gradient flow may be followed by."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from speedlimits.dynamics import chebyshev, rock4, runge_kutta

Step = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor, float, int], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Method:
    """What the controller of `gradient_flow` needs to know of a one-step method.

    Args:
        step: (f, y, f(y), h, stages) → the change of y, f after it, evaluated last, and the estimated error, a vector.
        stages: h × spectral radius → the number of stages that is stable there.
        error_order: the power of h that the estimated error falls with.
        reach: largest h × spectral radius.
    """

    step: Step
    stages: Callable[[float], int]
    error_order: int
    reach: float = math.inf


METHODS: dict[str, Method] = {
    "rkc2": Method(chebyshev.step, chebyshev.stages, error_order=3),
    "rock4": Method(rock4.step, rock4.stages, error_order=4, reach=rock4.REACH),
    "rk4": Method(
        lambda force, origin, start, size, _: runge_kutta.step(force, origin, start, size),
        lambda _: 4,
        error_order=5,
        reach=runge_kutta.REACH,
    ),
}
