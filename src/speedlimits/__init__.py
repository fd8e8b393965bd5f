"""Thermodynamic speed limits for training neural networks: how far from the fastest possible was this run?"""

from importlib import import_module
from typing import TYPE_CHECKING

from speedlimits.bound import SpeedLimit, speed_limit
from speedlimits.trajectory import Trajectory

if TYPE_CHECKING:
    from speedlimits.dynamics.flat import FlatLoss
    from speedlimits.dynamics.gradient_descent import gradient_descent
    from speedlimits.dynamics.gradient_flow import gradient_flow
    from speedlimits.recorder import Recorder
    from speedlimits.study.config import StudyConfig
    from speedlimits.study.folder import load_run
    from speedlimits.study.run import run_study

__version__ = "0.1.0"

__all__ = [
    "FlatLoss",
    "Recorder",
    "SpeedLimit",
    "StudyConfig",
    "Trajectory",
    "__version__",
    "gradient_descent",
    "gradient_flow",
    "load_run",
    "run_study",
    "speed_limit",
]

# What needs torch (seconds to import) comes on first use, so that figures and theory do without it.
_ON_DEMAND = {
    "FlatLoss": "speedlimits.dynamics.flat",
    "Recorder": "speedlimits.recorder",
    "StudyConfig": "speedlimits.study.config",
    "gradient_descent": "speedlimits.dynamics.gradient_descent",
    "gradient_flow": "speedlimits.dynamics.gradient_flow",
    "load_run": "speedlimits.study.folder",
    "run_study": "speedlimits.study.run",
}


def __getattr__(name: str) -> object:
    if name in _ON_DEMAND:
        return getattr(import_module(_ON_DEMAND[name]), name)
    raise AttributeError(f"module 'speedlimits' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
