"""Curves of an ensemble, mean and deviation over its members at each time; and where a run may be said to start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from speedlimits._checks import check_share
from speedlimits.bound import SpeedLimit
from speedlimits.measured import speed_limit
from speedlimits.trajectory import Trajectory

# "the first time at which test accuracy averaged over realizations reached 12%"
THRESHOLD = 0.12


@dataclass(frozen=True, eq=False)
class Band:
    """A quantity over time: its mean over the members, and their standard deviation (n − 1; NaN for one member).

    Args:
        times: since the start of the view [time].
        mean: of the finite values at each time; NaN where there is none.
        std: of the same.
    """

    times: Float64[np.ndarray, " times"]
    mean: Float64[np.ndarray, " times"]
    std: Float64[np.ndarray, " times"]

    @property
    def edges(self) -> tuple[Float64[np.ndarray, " times"], Float64[np.ndarray, " times"]]:
        """One deviation below and above the mean: the mean itself where there is no deviation."""
        spread = np.where(np.isnan(self.std), 0.0, self.std)
        return self.mean - spread, self.mean + spread

    @property
    def known(self) -> "Band":
        """The times alone at which there is a mean: a line through them has no gaps."""
        rows = np.isfinite(self.mean)
        return Band(self.times[rows], self.mean[rows], self.std[rows])

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
        std = np.sqrt(squares.sum(axis=0) / np.where(count > 1, count - 1, np.nan))
    return Band(times[1:], mean, std)


def later_views(trajectories: Sequence[Trajectory], share: float) -> list[Trajectory]:
    """Every member from the snapshot nearest to a share of the time that its snapshots span, as of `warm_views`."""
    if any(run.snapshot_records.size < 3 for run in trajectories):
        return []
    first, last = trajectories[0].snapshot_times[[0, -1]]
    return warm_views(trajectories, max(share * last, first))


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


def seen_in_part(trajectories: Sequence[Trajectory]) -> bool:
    """Whether only some points of a path were seen: T_SL is at most what is drawn, T/T_SL and its bends at least."""
    return any(np.isfinite(run.points).any() for run in trajectories)


def has_accuracy(trajectories: Sequence[Trajectory]) -> bool:
    """Whether held-out accuracy was measured at any record of any member."""
    return any(np.isfinite(run.test_accuracy).any() for run in trajectories)


def accuracy_band(trajectories: Sequence[Trajectory]) -> Band:
    """Held-out accuracy at the records where it was measured, which may be fewer than those of the path."""
    return band(trajectories, lambda run: run.test_accuracy).known


def warm_views(trajectories: Sequence[Trajectory], start_time: float) -> list[Trajectory]:
    """Every member seen from the snapshot nearest to a later start; none where no member has a later one.

    Args:
        trajectories: the members.
        start_time: of the wanted start, counted from that of the members [time].

    Returns:
        The views, or an empty list.
    """
    kept = [run for run in trajectories if run.snapshot_records.size >= 3]
    views = [run.from_start(run.start_time + start_time) for run in kept]
    return views if all(view.start_time > run.start_time for view, run in zip(views, kept, strict=True)) else []


def warm_start_time(trajectories: Sequence[Trajectory], threshold: float = THRESHOLD) -> float:
    """First record time at which the members' mean accuracy reaches a threshold (§4).

    Args:
        trajectories: the members, recorded at the same times.
        threshold: accuracy, between 0 and 1.

    Returns:
        The time of a record with an accuracy, later than the start, where a network has learnt nothing whatever it
        guesses [time]. NaN where the threshold is never reached, or the accuracy was not measured.

    Raises:
        ValueError: if the threshold is no share, or the members have different times.
    """
    check_share("threshold", threshold)
    accuracy = accuracy_band(trajectories)
    reached = np.flatnonzero(accuracy.mean >= threshold)
    return float(accuracy.times[reached[0]]) if reached.size else float("nan")


def inefficiency_map(trajectory: Trajectory) -> Float64[np.ndarray, "snapshots snapshots"]:
    r"""T/T_SL from every kept snapshot to every later one, Eq. (12) with the dissipation of the path.

    .. math:: M_{ij} = \frac{(t_j - t_i)\int_{t_i}^{t_j}|v|^2 dt}{|\theta_j - \theta_i|^2} \ge 1

    Args:
        trajectory: with its snapshots' mutual distances.

    Returns:
        Row i is the start t_0, column j the end t; NaN where the end is not later.
    """
    rows = trajectory.snapshot_records
    start, end = np.triu_indices(rows.size, k=1)
    times, spent = trajectory.times[rows], trajectory.path_dissipation[rows]
    found = np.full((rows.size, rows.size), np.nan)
    found[start, end] = SpeedLimit(
        time=times[end] - times[start],
        w2_squared=trajectory.snapshot_distances_squared[start, end],
        dissipation=spent[end] - spent[start],
    ).inefficiency
    return found
