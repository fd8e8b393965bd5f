"""What is read from a path: its trajectory, its curve over strides, its layers, and what a reader should know."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from speedlimits._checks import check_integer
from speedlimits._columns import BY_CLOCK
from speedlimits.bound import SpeedLimit
from speedlimits.errors import DivergenceError
from speedlimits.noise import StrideCurve
from speedlimits.recorder.edge import EdgeReading
from speedlimits.recorder.path import Path
from speedlimits.trajectory import Trajectory

# What a trajectory can be made of.
PATH = ("w2_squared", "arc_length", "path_dissipation")


def trajectory(path: Path, edge: EdgeReading, *, by_hand: bool, with_snapshots: bool) -> Trajectory:
    """See `Recorder.trajectory`."""
    rows = finite(path)
    if rows:
        found = edge.columns(*(np.array([row[name] for row in rows]) for name in ("time", "path_dissipation")))
        rows = [row | {name: column[place] for name, column in found.items()} for place, row in enumerate(rows)]
    whole = len(rows) == len(path.rows)
    if by_hand:
        # Between records by hand, steps are not counted.
        rows = [{name: row[name] for name in row if name not in BY_CLOCK} for row in rows]
    seen = np.array([row["points"] for row in rows], float) if by_hand or path.every > 1 else None
    if not with_snapshots:
        return Trajectory.from_records(rows, points=seen, start_time=path.origin)
    here = path.meter.kept() if path.time == path.last_time and whole else None
    kept, distances, errors = path.snapshots.distances(len(rows) - 1, here, path.meter.shards)
    inside = [place for place, record in enumerate(kept) if record < len(rows)]
    pairs = np.ix_(inside, inside)
    return Trajectory.from_records(
        rows,
        [kept[place] for place in inside],
        distances[pairs],
        errors[pairs],
        points=seen,
        start_time=path.origin,
    )


def curve(path: Path) -> StrideCurve:
    """See `Recorder.noise`."""
    if path.strides is None:
        why = "`sketch` is None" if path.sketch is None else "nothing was recorded"
        raise ValueError(f"`noise` needs steps that were measured at strides; {why}.")
    return path.strides.curve(path.meter.shards.total_of_alike)


def losses(path: Path) -> tuple[float, float]:
    """The first and the last loss that are numbers; NaN if there is none."""
    found = [row["loss"] for row in finite(path) if math.isfinite(row["loss"])]
    return (found[0], found[-1]) if found else (math.nan, math.nan)


def notes(path: Path) -> list[str]:
    """What a reader of the numbers should know, a sentence each."""
    rows, found = finite(path), []
    lost = [row["time"] for row in rows if math.isnan(row["loss"])]
    # The last record may be written without a loss.
    if lost and (len(lost) > 1 or lost[0] < rows[-1]["time"]):
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        found.append(f"The loss was not a number at time {lost[0]:.4g}{more}.")
    if len(rows) < len(path.rows):
        found.append(
            f"The weights stopped being finite between time {rows[-1]['time']:.4g} and "
            f"{path.rows.host[len(rows)]['time']:.4g}: the path ends before."
        )
    elif path.time != path.last_time or path.pending:
        found.append("Steps after the last record are not in these numbers: call `finish()` first.")
    if path.meter.sketched:
        weights, kept = sum(map(torch.numel, path.weights)), path.meter.place().numel()
        found.append(
            f"Of {weights:,} weights a sketch of {kept:,} numbers was kept: the numbers here are estimates, and the "
            "limit is certified to their error."
        )
    if path.early:
        found.append(
            f"The first record came after {path.early} steps, which do not count. Where `record` stands behind "
            "optimizer.step(), each loss is that of one step before: put it before the step."
        )
    return [*found, *path.jumps.notes(float(rows[-1]["arc_length"]))]


def finite(path: Path) -> list[dict[str, Any]]:
    """The records up to where the weights were last finite.

    Args:
        path: of the weights.

    Raises:
        DivergenceError: if the weights moved in no time.
    """
    rows = path.read()
    for count, row in enumerate(rows):
        if math.isfinite(row["w2_squared"]) and math.isfinite(row["path_dissipation"]):
            continue
        name = next(name for name in PATH if not math.isfinite(row[name]))
        if not count or math.isfinite(row["arc_length"]):
            raise DivergenceError(f"training diverged: `{name}` is {row[name]} at time {row['time']:.6g}.")
        return rows[:count]
    return rows


def layers(path: Path, model: nn.Module | None, depth: int | None) -> Mapping[str, SpeedLimit]:
    """The speed limit of each tensor or module by itself, up to the last step that was measured.

    Args:
        path: of the weights.
        model: that knows their names.
        depth: how many parts of the names tell modules apart; None tells all tensors apart.

    Returns:
        The limits by name. Distances squared and dissipations add up to those of all weights.

    Raises:
        ValueError: if only a sketch of all weights is kept.
    """
    path.read()
    if path.meter.sketched:
        raise ValueError("`memory` must be 'copy' for `layers`: a sketch of all weights does not tell them apart.")
    if depth is not None:
        check_integer("depth", depth, minimum=1)
        if model is None:
            raise ValueError("`model` must be given with `depth`: its names tell the modules.")
    names = {id(weight): name for name, weight in model.named_parameters()} if model is not None else {}
    groups: dict[str, list[int]] = {}
    for place, weight in enumerate(path.weights):
        name = names.get(id(weight), f"tensor {place}")
        groups.setdefault(".".join(name.split(".")[:depth]), []).append(place)
    meter = path.meter
    w2_squared = meter.w2_squared_by_tensor()
    return {
        name: SpeedLimit(
            time=path.time,
            w2_squared=w2_squared[places].sum(),
            dissipation=meter.dissipations[places].sum(),
            # Of several tensors together the length is no sum of theirs.
            arc_length=meter.arc_lengths[places[0]] if len(places) == 1 else np.nan,
            points=meter.steps + 1 if path.every > 1 else np.nan,
        )
        for name, places in groups.items()
    }
