"""The numbers behind each panel of the paper's Fig. 1, as tables: what is drawn is what is written as CSV."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from speedlimits._numbers import deviation
from speedlimits.measured import speed_limit
from speedlimits.report.curves import (
    THRESHOLD,
    Band,
    band,
    has_accuracy,
    inefficiency_map,
    limit_band,
    warm_start_time,
    warm_views,
)
from speedlimits.report.spectrum import ranked, shares
from speedlimits.runs.kernel import KernelRecord
from speedlimits.trajectory import Trajectory

# A column's name and its values, numbers or words.
Table = dict[str, np.ndarray]
COLD, WARM = "cold", "warm"
# The paper leaves T open by a factor of ten (200,000 steps of 1e-4 to 1e-5): both ends are shown.
ENDS = (1.0, 0.1)


@dataclass(frozen=True, eq=False)
class Group:
    """The members trained on one number of images, from initialisation and from the warm start.

    Args:
        samples: n.
        cold: the members.
        warm: the same from the kept weights nearest to the warm start; empty where there is none.
    """

    samples: int
    cold: list[Trajectory]
    warm: list[Trajectory]

    @property
    def views(self) -> dict[str, list[Trajectory]]:
        """The members by their start, warm only where there is one."""
        return {COLD: self.cold} | ({WARM: self.warm} if self.warm else {})


def groups(
    members: Mapping[int, Sequence[Trajectory]], *, threshold: float = THRESHOLD, start_time: float | None = None
) -> list[Group]:
    """The members of a study, with their warm starts.

    Args:
        members: by number of training images.
        threshold: mean accuracy that makes a start warm, for each number of images by itself.
        start_time: t_0 of all instead [time].

    Returns:
        A group for each number of images, in increasing order.

    Raises:
        ValueError: if ``start_time`` lies outside the kept snapshots, or the threshold is no share.
    """
    found = []
    for samples, runs in sorted(members.items()):
        start = warm_start_time(runs, threshold) if start_time is None else start_time
        # Never reached, or in the last record: there is nothing to look at from there.
        none = start_time is None and not start < runs[0].time
        found.append(Group(samples, list(runs), [] if none else warm_views(runs, start)))
    return found


def focus(found: Sequence[Group]) -> Group:
    """The one that panels (a) to (c) show: the second largest n, as the paper's 2,500 of 5,000."""
    return found[max(len(found) - 2, 0)]


def tables(found: Sequence[Group]) -> dict[str, Table]:
    """All panels' numbers.

    Args:
        found: from `groups`.

    Returns:
        A table for each panel, ``a`` to ``e``, and ``map``, the inefficiency from any start to any end. ``std`` is over
        the members (n − 1), NaN for one.
    """
    middle = focus(found)
    return {
        "a": _loss_and_accuracy(middle),
        "b": _speed_limits(middle),
        "c": _triples(middle.cold[0]),
        "d": _over_samples(found, "inefficiency"),
        "e": _over_samples(found, "length_ratio"),
        "map": _map(middle),
    }


def kernel_tables(record: KernelRecord, run: Trajectory) -> dict[str, Table]:
    """The numbers of the panels that need a tangent kernel.

    Args:
        record: of one member's kernel, at initialisation and, if there is one, at its warm start.
        run: that member's whole run.

    Returns:
        ``f``, shares of the residual's square over the spectrum, at each start in the eigenvectors of that moment;
        ``f_inset``, the eigenvalues at initialisation; ``kernel``, the inefficiency that a constant kernel predicts
        from each start, beside the measured one.
    """
    views = dict(zip((COLD, WARM), record.views, strict=False))
    overlaps = {start: shares(view) for start, view in views.items()}
    ranks, eigenvalues = ranked(record)
    seen = {start: view.seen(run) for start, view in views.items()}
    predicted = {start: np.asarray(view.predicted(seen[start].times).inefficiency)[1:] for start, view in views.items()}
    measured = {start: np.asarray(speed_limit(path).inefficiency)[1:] for start, path in seen.items()}

    def starts(lengths: Iterable[int]) -> Table:
        counts = list(lengths)
        return {
            "start": np.repeat(list(views), counts),
            "start_time": np.repeat([view.start_time for view in views.values()], counts),
        }

    return {
        "f": starts(places.size for places, _ in overlaps.values())
        | {
            "eigenvalue": np.concatenate([places for places, _ in overlaps.values()]),
            "share": np.concatenate([heights for _, heights in overlaps.values()]),
        },
        "f_inset": {"rank": ranks.astype(int), "eigenvalue": eigenvalues},
        "kernel": starts(values.size for values in measured.values())
        | {
            "time": np.concatenate([path.times[1:] for path in seen.values()]),
            "measured": np.concatenate(list(measured.values())),
            "predicted": np.concatenate(list(predicted.values())),
        },
    }


def _loss_and_accuracy(group: Group) -> Table:
    loss = band(group.cold, lambda run: run.losses)
    found = {"time": loss.times, **_columns("loss", loss)}
    if not has_accuracy(group.cold):
        return found
    return found | _columns("accuracy", band(group.cold, lambda run: run.test_accuracy))


def _speed_limits(group: Group) -> Table:
    curves = {start: limit_band(view, "speed_limit") for start, view in group.views.items()}
    return {
        "start": np.repeat(list(curves), [curve.times.size for curve in curves.values()]),
        "start_time": np.concatenate(
            [np.full(curve.times.size, group.views[start][0].start_time) for start, curve in curves.items()]
        ),
        "time": np.concatenate([curve.times for curve in curves.values()]),
        "speed_limit_mean": np.concatenate([curve.mean for curve in curves.values()]),
        "speed_limit_std": np.concatenate([curve.std for curve in curves.values()]),
    }


def _triples(run: Trajectory) -> Table:
    records, triples, _ = run.weight_traces.shape
    moved = run.weight_traces - run.weight_traces[0]
    flat = np.moveaxis(moved, 1, 0).reshape(-1, 3)
    return {
        "triple": np.repeat(np.arange(1, triples + 1), records),
        "time": np.tile(run.times, triples),
        **{f"w{k + 1}": flat[:, k] for k in range(3)},
    }


def _over_samples(found: Sequence[Group], name: str) -> Table:
    rows = []
    for group in found:
        total = group.cold[0].time
        for start, view in group.views.items():
            for share in ENDS:
                end = share * total - view[0].start_time
                # Seen from a start so late there is no path yet.
                if end <= view[0].times[1]:
                    continue
                values = np.array([_value(run, end, name) for run in view])
                rows.append((group.samples, start, share * total, view[0].start_time, values.mean(), deviation(values)))
    columns = ("samples", "start", "end_time", "start_time", f"{name}_mean", f"{name}_std")
    return {column: np.array(values) for column, values in zip(columns, zip(*rows, strict=True), strict=True)}


def _value(run: Trajectory, end: float, name: str) -> float:
    limit = speed_limit(run)[int(np.abs(run.times - end).argmin())]
    return float(limit.inefficiency if name == "inefficiency" else math.sqrt(limit.geometric))


def _map(group: Group) -> Table:
    times = group.cold[0].snapshot_times
    mean = np.mean([inefficiency_map(run) for run in group.cold], axis=0)
    start, end = np.triu_indices(times.size, k=1)
    return {"start_time": times[start], "end_time": times[end], "inefficiency_mean": mean[start, end]}


def _columns(name: str, curve: Band) -> Table:
    return {f"{name}_mean": curve.mean, f"{name}_std": curve.std}
