"""The one-step methods a gradient flow may be followed by."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from speedlimits.dynamics.flow import rk4, rkc2, rock4

Step = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor, float, int], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class OneStepMethod:
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


ONE_STEP_METHODS: dict[str, OneStepMethod] = {
    "rkc2": OneStepMethod(rkc2.step, rkc2.stages, error_order=3),
    "rock4": OneStepMethod(rock4.step, rock4.stages, error_order=4, reach=rock4.REACH),
    "rk4": OneStepMethod(
        lambda force, origin, start, size, _: rk4.step(force, origin, start, size),
        lambda _: 4,
        error_order=5,
        reach=rk4.REACH,
    ),
}
