"""The drift of several trainings from one start: noise differs from seed to seed, and drops out of products of two."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from speedlimits.recorder.recorder import Recorder

# With fewer, leaving one out tells no error.
FEWEST = 3


@dataclass(frozen=True)
class SeedsDrift:
    """The mean path of several seeds, as far as it was seen.

    Args:
        inefficiency: T/T_SL of the polygon through the mean places that were kept, at most that of the mean path.
        standard_error: of it, by leaving out one seed after the other; of six seeds it is known to a third only. What
            the sketch leaves open is not in it.
        share: of noise in Σ|Δ|²/τ over these places.
        seeds: how many.
        points: how many places.
    """

    inefficiency: float
    standard_error: float
    share: float
    seeds: int
    points: int

    def __str__(self) -> str:
        return (
            f"T/T_SL of the mean path of {self.seeds} seeds, seen at {self.points} points, is at least "
            f"{self.inefficiency:.3g} ± {self.standard_error:.2g}; noise is {self.share:.0%} of what was spent there."
        )


def drift_over_seeds(recorders: Sequence[Recorder]) -> SeedsDrift:
    r"""T/T_SL of the mean path of trainings that differ in their batches alone.

    With Δ_m the move of seed m over a time τ between two kept places, and M seeds,

    .. math:: \langle\Delta\rangle^2 = \frac{1}{M(M-1)}\sum_{m\ne m'}\Delta_m\cdot\Delta_{m'}
              = \frac{|\sum_m\Delta_m|^2-\sum_m|\Delta_m|^2}{M(M-1)}

    has no noise on average, whatever its law and its memory are. The same is done for the move from start to end. Kept
    places are snapshots, see `Recorder`; they are compared by the sketch of their weights.

    Args:
        recorders: of three seeds or more, from the same weights, with the same times and records.

    Returns:
        The estimate.

    Raises:
        ValueError: if they are too few or of different trainings, have no sketch, or their weights are sharded.
    """
    if len(recorders) < FEWEST:
        raise ValueError(f"`recorders` must be {FEWEST} or more; there are {len(recorders)}.")
    found = [recorder._path.places() for recorder in recorders]
    times, places = found[0][0], [each for _, each in found]
    for other, table in found[1:]:
        if not np.array_equal(times, other) or table.shape != places[0].shape:
            raise ValueError("`recorders` must have seen the same weights at the same times; they did not.")
        if not np.array_equal(table[0], places[0][0]):
            raise ValueError("`recorders` must start from the same weights; they do not.")
    if len(times) < 2:
        raise ValueError("`recorders` must have two records or more, whose weights were kept.")
    table = np.stack(places)
    value, share = _ratio(table, times)
    others = np.array([_ratio(np.delete(table, seed, axis=0), times)[0] for seed in range(len(table))])
    error = np.sqrt((len(table) - 1) * np.mean((others - others.mean()) ** 2))
    return SeedsDrift(value, float(error), share, len(table), len(times))


def _ratio(
    table: Float64[np.ndarray, "seeds points numbers"], times: Float64[np.ndarray, " points"]
) -> tuple[float, float]:
    steps, durations = np.diff(table, axis=1), np.diff(times)
    spent = _products(steps) / durations
    moved = float(_products(table[:, -1:] - table[:, :1])[0])
    raw = float(np.sum(np.mean(np.sum(steps**2, axis=2), axis=0) / durations))
    return float(times[-1] - times[0]) * float(spent.sum()) / moved, 1.0 - float(spent.sum()) / raw


def _products(moves: Float64[np.ndarray, "seeds steps numbers"]) -> Float64[np.ndarray, " steps"]:
    """The mean over pairs of different seeds."""
    seeds = len(moves)
    return (np.sum(moves.sum(0) ** 2, axis=1) - np.sum(moves**2, axis=(0, 2))) / (seeds * (seeds - 1))
