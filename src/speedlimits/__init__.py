"""Thermodynamic speed limits for training neural networks: how far from the fastest possible was this run?"""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits import data as data
    from speedlimits import dissipation as dissipation
    from speedlimits import dynamics as dynamics
    from speedlimits import integrations as integrations
    from speedlimits import kernel as kernel
    from speedlimits import misprints as misprints
    from speedlimits import models as models
    from speedlimits import plot as plot
    from speedlimits import recorder as recorder
    from speedlimits import report as report
    from speedlimits import runs as runs
    from speedlimits import spectra as spectra
    from speedlimits import theory as theory
    from speedlimits import training as training
    from speedlimits import transport as transport
    from speedlimits.bound import SpeedLimit as SpeedLimit
    from speedlimits.dynamics.descent import gradient_descent as gradient_descent
    from speedlimits.dynamics.flow.gradient_flow import gradient_flow as gradient_flow
    from speedlimits.dynamics.loss import FlatLoss as FlatLoss
    from speedlimits.measured import speed_limit as speed_limit
    from speedlimits.recorder.recorder import Recorder as Recorder
    from speedlimits.runs.config import RunConfig as RunConfig
    from speedlimits.runs.run import load_run as load_run
    from speedlimits.step_length import StepLength as StepLength
    from speedlimits.training.problem import Problem as Problem
    from speedlimits.training.train import train_run as train_run
    from speedlimits.trajectory import Trajectory as Trajectory
else:
    # What needs torch (seconds to import) comes on first use, so figures and theory do without it.
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "bound": "SpeedLimit",
            "measured": "speed_limit",
            "dynamics.flow.gradient_flow": "gradient_flow",
            "dynamics.descent": "gradient_descent",
            "dynamics.loss": "FlatLoss",
            "recorder.recorder": "Recorder",
            "runs.config": "RunConfig",
            "runs.run": "load_run",
            "step_length": "StepLength",
            "training.problem": "Problem",
            "training.train": "train_run",
            "trajectory": "Trajectory",
        },
        modules="data dissipation dynamics integrations kernel misprints models plot recorder report runs spectra"
        " theory training transport",
    )

__version__ = "0.2.0"
