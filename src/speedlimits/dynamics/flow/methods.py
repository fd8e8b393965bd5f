"""The one-step methods a gradient flow may be followed by."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from speedlimits.dynamics.flow import exponential, rk4, rkc2, rock4
from speedlimits.dynamics.loss import Loss

# Local errors below this drown in rounding.
ROUNDING = 1e-11

Step = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor, float, int], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class OneStepMethod:
    """What the controller of `gradient_flow` needs to know of a one-step method.

    Args:
        step: (f, y, f(y), h, stages) → the change of y, f after it, evaluated last, and the estimated error, a vector.
        stages: h × spectral radius → the number of stages that is stable there.
        error_order: the power of h that the estimated error falls with.
        reach: largest h × spectral radius.
        bend: the rtol below which `tolerance` falls faster.
        worth: loss → stages from which on an exponential step is cheaper; infinite where none is ever taken.
    """

    step: Step
    stages: Callable[[float], int]
    error_order: int
    reach: float = math.inf
    bend: float = 0.0
    worth: Callable[[Loss], float] = lambda _: math.inf

    def tolerance(self, rtol: float) -> float:
        r"""Local error allowed, so that the error of the whole path stays in proportion to rtol.

        N steps of local error τ add up to Nτ. A method of order 2 takes N ∝ τ^−⅓, and the sum falls as τ^⅔ alone, so
        that τ has to fall as rtol^1.5. Methods of order 4 with an estimate of order 3 gain what the sum loses.

        Args:
            rtol: as of `gradient_flow`.

        Returns:
            The local error, relative to the distance travelled; not below what rounding leaves of an estimate.
        """
        bent = rtol * math.sqrt(rtol / self.bend) if rtol < self.bend else rtol
        return min(rtol, max(bent, ROUNDING))


# Its paths err by up to 0.31 τ^⅔ (exact linear flows, T/T_SL and the like): by 8 rtol where the bend is.
RKC2 = OneStepMethod(rkc2.step, rkc2.stages, error_order=3, bend=5e-5)

ONE_STEP_METHODS: dict[str, OneStepMethod] = {
    "rkc2": RKC2,
    "rock4": OneStepMethod(rock4.step, rock4.stages, error_order=4, reach=rock4.REACH),
    "rk4": OneStepMethod(
        lambda force, origin, start, size, _: rk4.step(force, origin, start, size),
        lambda _: 4,
        error_order=4,
        reach=rk4.REACH,
    ),
    "etd": replace(RKC2, worth=exponential.worth),
    "auto": replace(RKC2, worth=exponential.worth_in_time),
}
