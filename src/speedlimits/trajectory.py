"""What one member leaves behind: everything the speed limit needs, as NumPy arrays over its records."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from speedlimits._archive import read_arrays, write_arrays
from speedlimits._checks import check_finite, check_increasing, check_non_negative, check_shape
from speedlimits._columns import BY_CLOCK, COLUMNS, LATE, PLAIN, UNKNOWN
from speedlimits._series import Series
from speedlimits._shapes import Records

SCHEMA = 1


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Trajectory(Series):
    r"""The path of one member: the first record is at time zero, and all lengths are measured from there.

    Times are flow times, learning rate × step, so the mobility is 1 and the speed limit is
    T_SL = `w2_squared` / dissipation. All arrays are read-only float64 over the R records unless stated.

    Args:
        times: t since the start [time], strictly increasing from 0.
        losses: L(θ_t) [loss]; NaN where it was not a number.
        w2_squared: |θ_t − θ_0|², the squared Wasserstein-2 distance between two points (§2.2).
        arc_lengths: l_γ = Σ|δ|, the length of the path so far, Eq. (64).
        path_dissipation: Σ|δ|²/Δt, the exact discrete form of ∫|v|²dt, Eq. (23) without noise [loss].
        averaged_dissipation: Σ|δ̄|²/Δt of the path through the midpoints of the steps, between the same ends in the
            same time: oscillations of period two are filtered out [loss]; NaN where not measured (the default).
        points: how many points of the path were seen so far, if lengths and dissipation are those of the polygon
            through them, lower bounds on the path's own. NaN (the default) where every step was summed.
        gradient_norms_squared: |∇L(θ_t)|² [loss/time]; NaN where not measured (the default).
        step_gradients_squared: |g|² as the optimizer found it for the step from here: of its batch, and clipped where
            the loop clips [loss/time]; NaN where not known (the default).
        gradient_evaluations: full-batch gradients spent so far, int64; zeros by default.
        test_accuracy: share of test inputs classified correctly; NaN where not measured (the default).
        weight_traces: values of fixed random weight triples, shape (records, triples, 3), Fig. 1(c).
        steps: the optimizer's, so far; NaN where not known (the default), as for its dissipation and the next four.
        step_dissipation: Σ|δ|², of moves of m steps Σ|δ|²/m: the dissipation by the clock of steps [distance²].
        seconds: of the wall clock, so far [s].
        second_dissipation: Σ|δ|²/Δs by that clock [distance²/s].
        edge_steps: N_edge = ½∫λdt, the steps that any stable schedule needs for this path, see `speed_limit`.
        edge_dissipation: Σ|δ|²/τ by that clock [distance²].
        tolerances: relative error of 𝒲₂, T_SL, T/T_SL and its factors, at `confidence`, where only a sketch of the
            weights was known; zeros by default.
        snapshot_records: int64 indices of the records whose weights were kept; any of them can be a start.
        snapshot_distances_squared: |θ_i − θ_j|² between the kept weights, shape (snapshots, snapshots).
        snapshot_tolerances: `tolerances` of the path from one to the other, of the same shape; zeros by default.
        start_time: time of the whole path at which this view starts [time].

    Raises:
        ValueError: naming the field, the rule and the value, if shapes differ, times do not increase from 0,
            a loss is infinite, or a length is negative, decreasing or non-zero at the start.
    """

    times: Records
    losses: Records
    w2_squared: Records
    arc_lengths: Records
    path_dissipation: Records
    averaged_dissipation: Records = None  # type: ignore[assignment]
    points: Records = None  # type: ignore[assignment]
    steps: Records = None  # type: ignore[assignment]
    step_dissipation: Records = None  # type: ignore[assignment]
    seconds: Records = None  # type: ignore[assignment]
    second_dissipation: Records = None  # type: ignore[assignment]
    edge_steps: Records = None  # type: ignore[assignment]
    edge_dissipation: Records = None  # type: ignore[assignment]
    tolerances: Records = None  # type: ignore[assignment]
    gradient_norms_squared: Records = None  # type: ignore[assignment]
    step_gradients_squared: Records = None  # type: ignore[assignment]
    gradient_evaluations: Int64[np.ndarray, " records"] = None  # type: ignore[assignment]
    test_accuracy: Records = None  # type: ignore[assignment]
    weight_traces: Float64[np.ndarray, "records triples 3"] = None  # type: ignore[assignment]
    snapshot_records: Int64[np.ndarray, " snapshots"] = None  # type: ignore[assignment]
    snapshot_distances_squared: Float64[np.ndarray, "snapshots snapshots"] = None  # type: ignore[assignment]
    snapshot_tolerances: Float64[np.ndarray, "snapshots snapshots"] = None  # type: ignore[assignment]
    start_time: float = 0.0

    def __post_init__(self) -> None:
        records, snapshots = np.size(self.times), len(() if self.snapshot_records is None else self.snapshot_records)
        defaults = dict.fromkeys(UNKNOWN, np.full(records, np.nan)) | {
            "gradient_evaluations": np.zeros(records, dtype=np.int64),
            "tolerances": np.zeros(records),
            "weight_traces": np.empty((records, 0, 3)),
            "snapshot_records": np.empty(0, dtype=np.int64),
            "snapshot_distances_squared": np.empty((0, 0)),
            "snapshot_tolerances": np.zeros((snapshots, snapshots)),
        }
        for field in _array_fields():
            given = getattr(self, field)
            array = np.array(defaults[field] if given is None else given, dtype=_dtype(field))
            array.setflags(write=False)
            object.__setattr__(self, field, array)
        self._check()

    def _check(self) -> None:
        if self.times.ndim != 1 or self.times.size == 0:
            raise ValueError(f"`times` must be a series of at least one record; times.shape = {self.times.shape}.")
        records, snapshots = self.times.size, self.snapshot_records.size
        for field in _array_fields():
            shape = {
                "weight_traces": (records, None, 3),
                "snapshot_records": (None,),
                "snapshot_distances_squared": (snapshots, snapshots),
                "snapshot_tolerances": (snapshots, snapshots),
            }.get(field, (records,))
            check_shape(field, getattr(self, field), shape)
        check_finite("start_time", self.start_time)
        check_non_negative("times", self.times)
        check_increasing("times", self.times)
        # NaN says "not a number here", and only here.
        check_finite("losses", np.where(np.isnan(self.losses), 0.0, self.losses))
        for field in ("times", "w2_squared", "arc_lengths", "path_dissipation"):
            series = getattr(self, field)
            check_non_negative(field, series)
            if series[0] != 0.0:
                raise ValueError(f"`{field}` must start at zero; {field}[0] = {series[0]:.17g}.")
        for field in ("arc_lengths", "path_dissipation"):
            drops = np.flatnonzero(np.diff(getattr(self, field)) < 0)
            if drops.size:
                after = int(drops[0]) + 1
                raise ValueError(f"`{field}` must never decrease; it does at record {after}.")
        check_non_negative("tolerances", self.tolerances)
        check_non_negative("snapshot_tolerances", self.snapshot_tolerances)
        check_non_negative("snapshot_distances_squared", self.snapshot_distances_squared)
        if np.any(self.snapshot_distances_squared != self.snapshot_distances_squared.T):
            raise ValueError("`snapshot_distances_squared` must be symmetric; it is not.")
        if np.any(np.diagonal(self.snapshot_distances_squared)):
            raise ValueError("`snapshot_distances_squared` must be zero on its diagonal; it is not.")
        if snapshots:
            check_increasing("snapshot_records", self.snapshot_records)
            first, last = self.snapshot_records[[0, -1]]
            if first < 0 or last >= records:
                raise ValueError(f"`snapshot_records` must lie in 0…{records - 1}; they span {first}…{last}.")

    def __len__(self) -> int:
        """Number of records."""
        return self.times.size

    @property
    def time(self) -> float:
        """T, the time of the last record."""
        return float(self.times[-1])

    @property
    def loss_drop(self) -> Records:
        """ΔL = L(θ_0) − L(θ_t), Eq. (6): the dissipation of a gradient flow [loss]."""
        return self.losses[0] - self.losses

    @property
    def discretisation_share(self) -> Records:
        """Part of the path dissipation that the loss drop does not show, 1 − ΔL / (Σ|δ|²/Δt).

        Zero for a gradient flow; ηλ/2 for gradient descent along one mode of curvature λ. NaN before the first
        step. With momentum or minibatches it contains their effect too.
        """
        share = np.full(len(self), np.nan)
        np.divide(self.loss_drop, self.path_dissipation, out=share, where=self.path_dissipation > 0)
        return 1.0 - share

    @property
    def headroom(self) -> Records:
        """N/N_edge: how many times fewer steps a stable schedule could take on the same path; NaN where not known."""
        room = np.full(len(self), np.nan)
        np.divide(self.steps, self.edge_steps, out=room, where=self.edge_steps > 0)
        return room

    @property
    def least_headroom(self) -> float:
        """The least N/N_edge from one record to the next: a rate raised by this factor stays stable on this path."""
        steps, ticks = np.diff(self.steps), np.diff(self.edge_steps)
        return float(np.min(steps[ticks > 0] / ticks[ticks > 0])) if np.any(ticks > 0) else math.nan

    @property
    def confidence(self) -> float:
        """Share of all sketches in which the numbers lie within their tolerances; 1 where they are exact."""
        return 0.95 if self.tolerances.any() else 1.0

    @property
    def interval_certificates(self) -> Float64[np.ndarray, " intervals"]:
        """Relative difference of loss drop and path dissipation, from each record to the next.

        Zero for a gradient flow. For the whole path this is mostly the difference in the first moments, where most of
        the loss is spent; here each interval counts the same. NaN where nothing was dissipated.
        """
        spent, fallen = np.diff(self.path_dissipation), -np.diff(self.losses)
        gaps = np.full(len(self) - 1, np.nan)
        np.divide(np.abs(fallen - spent), spent, out=gaps, where=spent > 0)
        return gaps

    @property
    def snapshot_times(self) -> Float64[np.ndarray, " snapshots"]:
        """Times of the kept weights, since the start of this view [time]."""
        return self.times[self.snapshot_records]

    def from_start(self, time: float) -> "Trajectory":
        """The same path seen from a later start: the warm-start view (§4, Fig. 1(b)).

        Distances to a later start need its weights, so the view starts at the snapshot nearest to ``time`` and
        has the snapshots from there on as its records; its `start_time` says where it starts.

        Args:
            time: wanted start, in the time of the whole path (as `start_time`) [time].

        Returns:
            A trajectory whose times, lengths and dissipation count from that snapshot.

        Raises:
            ValueError: if fewer than two snapshots were kept, or ``time`` lies outside them.
        """
        kept = self.snapshot_times + self.start_time
        if kept.size < 2:
            raise ValueError(f"`from_start` needs at least two snapshots; this trajectory has {kept.size}.")
        if not kept[0] <= time < kept[-1]:
            raise ValueError(f"`time` must lie in [{kept[0]:g}, {kept[-1]:g}), the snapshots; time = {time:g}.")
        first = min(int(np.argmin(np.abs(kept - time))), kept.size - 2)
        rows = self.snapshot_records[first:]
        start = rows[0]
        return dataclasses.replace(
            self,
            times=self.times[rows] - self.times[start],
            w2_squared=self.snapshot_distances_squared[first, first:],
            arc_lengths=self.arc_lengths[rows] - self.arc_lengths[start],
            path_dissipation=self.path_dissipation[rows] - self.path_dissipation[start],
            # Its first half step would need the step after the new start, which is not kept.
            averaged_dissipation=np.full(rows.size, np.nan),
            points=self.points[rows] - self.points[start] + 1,
            tolerances=self.snapshot_tolerances[first, first:],
            **{name: getattr(self, name)[rows] - getattr(self, name)[start] for name in BY_CLOCK},
            gradient_evaluations=self.gradient_evaluations[rows] - self.gradient_evaluations[start],
            **{name: getattr(self, name)[rows] for name in PLAIN},
            snapshot_records=np.arange(rows.size),
            snapshot_distances_squared=self.snapshot_distances_squared[first:, first:],
            snapshot_tolerances=self.snapshot_tolerances[first:, first:],
            start_time=self.start_time + float(self.times[start]),
        )

    @classmethod
    def from_records(
        cls,
        records: Sequence[Mapping[str, Any]],
        snapshot_records: Sequence[int] = (),
        snapshot_distances_squared: np.ndarray | None = None,
        snapshot_tolerances: np.ndarray | None = None,
        *,
        points: np.ndarray | None = None,
        start_time: float = 0.0,
    ) -> "Trajectory":
        """A trajectory from rows, one mapping per record.

        Args:
            records: rows with the keys of `COLUMNS`; those that have a default may be missing in all rows.
            snapshot_records: indices of the rows whose weights were kept.
            snapshot_distances_squared: distances between those, from `distances_squared`.
            snapshot_tolerances: relative errors between those; exact by default.
            points: of the path that were seen so far, where steps between the records were not.
            start_time: when the path started, in the caller's time [time].

        Returns:
            The trajectory.
        """
        measured = [key for key in COLUMNS if records and key in records[0]]
        columns = {COLUMNS[key]: np.array([record[key] for record in records]) for key in measured}
        if snapshot_distances_squared is not None:
            columns["snapshot_records"] = np.asarray(snapshot_records, dtype=np.int64)
            columns["snapshot_distances_squared"] = snapshot_distances_squared
        if snapshot_tolerances is not None:
            columns["snapshot_tolerances"] = snapshot_tolerances
        if points is not None:
            columns["points"] = points
        return cls(**columns, start_time=start_time)

    def save(self, path: str | Path) -> None:
        """Write one NumPy ``.npz`` file, whole or not at all.

        Args:
            path: the file; replaced if it exists.

        Raises:
            OSError: what the disk reports.
        """
        arrays = {field: getattr(self, field) for field in _array_fields()}
        write_arrays(Path(path), SCHEMA, arrays | {"start_time": self.start_time})

    @classmethod
    def load(cls, path: str | Path) -> "Trajectory":
        """Read what `save` wrote; nothing in the file is executed.

        Args:
            path: the file.

        Returns:
            The trajectory, equal bit for bit.

        Raises:
            RunFolderError: if the file is missing, truncated or not a trajectory.
        """
        contents = read_arrays(Path(path), SCHEMA, [*_array_fields(), "start_time"], LATE)
        start_time = float(contents.pop("start_time"))
        return cls(**contents, start_time=start_time)


def _array_fields() -> list[str]:
    return [field.name for field in dataclasses.fields(Trajectory) if field.name != "start_time"]


def _dtype(field: str) -> type:
    return np.int64 if field in {"gradient_evaluations", "snapshot_records"} else np.float64
