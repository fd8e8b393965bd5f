"""Trains networks and writes what comes of it: problems, members, runs and studies."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.training.engines.inline import InlineEngine as InlineEngine
    from speedlimits.training.engines.local import LocalEngine as LocalEngine
    from speedlimits.training.engines.ray import RayEngine as RayEngine
    from speedlimits.training.forecast import Forecast as Forecast
    from speedlimits.training.forecast import forecast_member as forecast_member
    from speedlimits.training.kernel import analyse_kernel as analyse_kernel
    from speedlimits.training.noisy import train_noisy as train_noisy
    from speedlimits.training.presets import own_study as own_study
    from speedlimits.training.presets import preset as preset
    from speedlimits.training.problem import Problem as Problem
    from speedlimits.training.sources import Source as Source
    from speedlimits.training.train import Progress as Progress
    from speedlimits.training.train import train_run as train_run
    from speedlimits.training.train import train_study as train_study
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        {
            "engines.inline": "InlineEngine",
            "engines.local": "LocalEngine",
            "engines.ray": "RayEngine",
            "forecast": "Forecast forecast_member",
            "kernel": "analyse_kernel",
            "noisy": "train_noisy",
            "presets": "own_study preset",
            "problem": "Problem",
            "sources": "Source",
            "train": "Progress train_run train_study",
        },
    )
