"""Curves of an ensemble: mean and deviation over its members at each time, for every figure and page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from speedlimits.bound import speed_limit
from speedlimits.trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class Band:
    """A quantity over time: its mean over the members, and their standard deviation (n − 1; zero for one member).

    Args:
        times: since the start of the view [time].
        mean: of the finite values at each time; NaN where there is none.
        std: of the same.
    """

    times: Float64[np.ndarray, " times"]
    mean: Float64[np.ndarray, " times"]
    std: Float64[np.ndarray, " times"]

    def thinned(self, points: int) -> "Band":
        """At most so many points, evenly by index, the last kept."""
        if self.times.size <= points:
            return self
        rows = np.unique(np.linspace(0, self.times.size - 1, points).round().astype(int))
        return Band(self.times[rows], self.mean[rows], self.std[rows])


def band(trajectories: Sequence[Trajectory], quantity: Callable[[Trajectory], np.ndarray]) -> Band:
    """A quantity of each member, averaged at common times.

    Args:
        trajectories: the members, recorded at the same times.
        quantity: trajectory → series over its records.

    Returns:
        The band over all records but the start, where ratios are 0/0 and logarithmic axes end.

    Raises:
        ValueError: if the members were recorded at different times.
    """
    times = trajectories[0].times
    for k, run in enumerate(trajectories):
        if run.times.shape != times.shape or not np.allclose(run.times, times, rtol=1e-9, atol=0.0):
            raise ValueError(f"`trajectories` must have common times; those of trajectories[{k}] differ.")
    values = np.array([quantity(run) for run in trajectories])[:, 1:]
    finite = np.isfinite(values)
    count = finite.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, values, 0.0).sum(axis=0) / np.where(count > 0, count, np.nan)
        squares = np.where(finite, values - mean, 0.0) ** 2
        std = np.sqrt(squares.sum(axis=0) / np.maximum(count - 1, 1))
    return Band(times[1:], mean, std)


def limit_band(
    trajectories: Sequence[Trajectory], name: str, dissipation: Literal["path", "averaged"] = "path"
) -> Band:
    """The band of one property of the `SpeedLimit`, such as ``"inefficiency"``.

    The path dissipation gives a limit that holds at every record and step size; the loss drop falls short of it
    by the discretisation share, most of all in the first steps, where it would put T_SL above T.

    Args:
        trajectories: the members.
        name: of the property.
        dissipation: that of the path, or of the path through the midpoints of its steps.

    Returns:
        Its band.
    """

    def value(run: Trajectory) -> np.ndarray:
        return getattr(speed_limit(run, dissipation=dissipation), name)

    return band(trajectories, value)


def warm_views(trajectories: Sequence[Trajectory], start_time: float) -> list[Trajectory]:
    """Every member seen from the snapshot nearest to a later start; none where no member has a later one.

    Args:
        trajectories: the members.
        start_time: of the wanted start [time].

    Returns:
        The views, or an empty list.
    """
    views = [run.from_start(start_time) for run in trajectories if run.snapshot_records.size >= 3]
    return views if all(view.start_time > 0 for view in views) else []
