"""Where a run may be said to start: the paper's rule (§4), and the inefficiency from any start to any end."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from speedlimits._checks import check_non_negative
from speedlimits.bound import SpeedLimit
from speedlimits.report.curves import band
from speedlimits.trajectory import Trajectory

# "the first time at which test accuracy averaged over realizations reached 12%"
THRESHOLD = 0.12


def warm_start_time(trajectories: Sequence[Trajectory], threshold: float = THRESHOLD) -> float:
    """First record time at which the members' mean accuracy reaches a threshold (§4).

    Args:
        trajectories: the members, recorded at the same times.
        threshold: accuracy, between 0 and 1.

    Returns:
        A record time later than the start, where a network has learnt nothing whatever it guesses [time]. NaN where
        the threshold is never reached, or the accuracy was not measured.

    Raises:
        ValueError: if the threshold is negative, or the members have different times.
    """
    check_non_negative("threshold", threshold)
    accuracy = band(trajectories, lambda run: run.test_accuracy)
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
