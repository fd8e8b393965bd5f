"""How weights move: the integrators and what they measure on the way."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.dynamics.curvature import Sharpness as Sharpness
    from speedlimits.dynamics.curvature import sharpness as sharpness
    from speedlimits.dynamics.descent import gradient_descent as gradient_descent
    from speedlimits.dynamics.flow.gradient_flow import gradient_flow as gradient_flow
    from speedlimits.dynamics.flow.smoothing import smoothing_error as smoothing_error
    from speedlimits.dynamics.kinks import smooth_relu as smooth_relu
    from speedlimits.dynamics.loss import FlatLoss as FlatLoss
    from speedlimits.dynamics.loss import cross_entropy as cross_entropy
    from speedlimits.dynamics.loss import half_squared_error as half_squared_error
    from speedlimits.dynamics.loss import value_and_gradient as value_and_gradient
    from speedlimits.dynamics.noise.annealing import Annealing as Annealing
    from speedlimits.dynamics.noise.annealing import anneal as anneal
    from speedlimits.dynamics.noise.ensemble import laplacians as laplacians
    from speedlimits.dynamics.noise.ensemble import losses_and_gradients as losses_and_gradients
    from speedlimits.dynamics.noise.exact_steps import ExactSteps as ExactSteps
    from speedlimits.dynamics.noise.langevin import Langevin as Langevin
    from speedlimits.dynamics.noise.state import LangevinState as LangevinState
    from speedlimits.dynamics.passes import twice_differentiable as twice_differentiable
    from speedlimits.dynamics.purity import check_deterministic as check_deterministic
    from speedlimits.dynamics.purity import check_pure as check_pure
    from speedlimits.dynamics.state import Point as Point
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "curvature": "Sharpness sharpness",
            "descent": "gradient_descent",
            "flow.gradient_flow": "gradient_flow",
            "flow.smoothing": "smoothing_error",
            "kinks": "smooth_relu",
            "loss": "FlatLoss cross_entropy half_squared_error value_and_gradient",
            "noise.annealing": "Annealing anneal",
            "noise.ensemble": "laplacians losses_and_gradients",
            "noise.exact_steps": "ExactSteps",
            "noise.langevin": "Langevin",
            "noise.state": "LangevinState",
            "passes": "twice_differentiable",
            "purity": "check_deterministic check_pure",
            "state": "Point",
        },
    )
