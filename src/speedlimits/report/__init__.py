"""Figures for print and a page for the browser, from trajectories alone."""

from typing import TYPE_CHECKING

from speedlimits._lazy import lazy

if TYPE_CHECKING:
    from speedlimits.report.writing import write as write
    from speedlimits.report.writing import write_trajectories as write_trajectories
else:
    __getattr__, __dir__, __all__ = lazy(__name__, {"writing": "write write_trajectories"})
