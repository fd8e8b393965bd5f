"""Thermodynamic speed limits for training neural networks: how far from the fastest possible was this run?"""

from importlib import import_module
from typing import TYPE_CHECKING

from speedlimits.bound import SpeedLimit, speed_limit
from speedlimits.trajectory import Trajectory

if TYPE_CHECKING:
    from speedlimits.dynamics.flow.gradient_flow import gradient_flow
    from speedlimits.dynamics.gradient_descent import gradient_descent
    from speedlimits.dynamics.loss import FlatLoss
    from speedlimits.recorder import Recorder
    from speedlimits.runs.config import RunConfig
    from speedlimits.runs.run import load_run
    from speedlimits.training.train import train_run

__version__ = "0.1.0"

__all__ = [
    "FlatLoss",
    "Recorder",
    "RunConfig",
    "SpeedLimit",
    "Trajectory",
    "__version__",
    "gradient_descent",
    "gradient_flow",
    "load_run",
    "speed_limit",
    "train_run",
]

# What needs torch (seconds to import) comes on first use, so that figures and theory do without it.
_ON_DEMAND = {
    "FlatLoss": "speedlimits.dynamics.loss",
    "Recorder": "speedlimits.recorder",
    "RunConfig": "speedlimits.runs.config",
    "gradient_descent": "speedlimits.dynamics.gradient_descent",
    "gradient_flow": "speedlimits.dynamics.flow.gradient_flow",
    "load_run": "speedlimits.runs.run",
    "train_run": "speedlimits.training.train",
}


def __getattr__(name: str) -> object:
    if name in _ON_DEMAND:
        return getattr(import_module(_ON_DEMAND[name]), name)
    raise AttributeError(f"module 'speedlimits' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
