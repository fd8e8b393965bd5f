"""The records of a path: they wait on the device, and are read to the host many at a time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speedlimits.recorder.meter import BATCH, PathMeter
from speedlimits.recorder.sketched import tolerances

# What is measured on the device at a record.
MEASURED = ("loss", "w2_squared", "gradient_norm_squared")
# What is known on the host at a record.
KNOWN = ("time", "gradient_evaluations", "test_accuracy", "points")
# Those that are sums over shards.
SHARDED = ("w2_squared", "step_gradient_squared")
# What is added up over the steps, as `PathMeter.read` has it.
SUMS = ("arc_length", "path_dissipation", "step_dissipation", "second_dissipation", "steps", "seconds")
NUMBERS = (*KNOWN, *MEASURED, "step_gradient_squared", *SUMS, "tolerance")


@dataclass
class Row:
    """One record that waits; nothing of it was read to the host.

    Args:
        known: by the names of `KNOWN`.
        steps: measured so far.
        measured: loss, |Δθ|² and |∇L|²: numbers, or tensors of one.
        trace: traced values.
        moments: what the error of the path follows from; None where it is exact.
    """

    known: dict[str, Any]
    steps: int
    measured: list[Any]
    trace: Tensor
    moments: Tensor | None = None
    # Norms of gradients that a step used, with the scale that they were found at.
    gradients: list[tuple[list[Tensor], Any]] = field(default_factory=list)


class Rows:
    """Records of one path."""

    def __init__(self) -> None:
        self.host: list[dict[str, Any]] = []
        self._waiting: list[Row] = []
        self._open: Row | None = None
        # A record that was read before its gradient was known.
        self._early: tuple[dict[str, Any], Row] | None = None

    def __len__(self) -> int:
        return len(self.host) + len(self._waiting)

    def write(self, row: Row) -> None:
        """One record more."""
        self._open = row
        self._waiting.append(row)

    def gradient(self, norms: list[Tensor], scale: Any) -> None:
        """The gradients of a step from the record just made; those of several optimizers come one by one.

        Args:
            norms: of each gradient.
            scale: by which they are too large.
        """
        if self._open is not None:
            self._open.gradients.append((norms, scale))

    @property
    def open(self) -> bool:
        """Whether the gradient of the last record is still to come."""
        return self._open is not None

    def close(self) -> None:
        """The step from the last record is over; later gradients are not its own."""
        self._open = None

    @property
    def waits(self) -> bool:
        """Whether so many records wait that they should be read."""
        return len(self._waiting) >= BATCH

    def read(self, meter: PathMeter) -> None:
        """Read all records that wait, with the sums of the path at each.

        Args:
            meter: of the path, with all steps since the last reading.
        """
        if self._early is not None:
            found, row = self._early
            found["step_gradient_squared"] = float(meter.shards.total(_gradients([row])[0]))
            self._early = None
        before = meter.steps
        sums = meter.read()
        first = before - (len(sums) - 1)
        rows, self._waiting = self._waiting, []
        if not rows:
            return
        columns = {name: _column([row.measured[k] for row in rows]) for k, name in enumerate(MEASURED)}
        columns["step_gradient_squared"] = _gradients(rows)
        for name in SHARDED:
            columns[name] = meter.shards.total(columns[name].to(meter.device)).cpu()
        traces = torch.stack([row.trace for row in rows]).cpu().double().numpy()
        errors = _errors(rows, meter)
        for place, row in enumerate(rows):
            read = row.known | {name: float(column[place]) for name, column in columns.items()}
            if not math.isfinite(read["loss"]):
                read["loss"] = math.nan
            trace = np.empty(len(meter.traced))
            trace[meter.traced] = traces[place]
            read |= dict(zip(SUMS, sums[row.steps - first].tolist(), strict=True))
            read["tolerance"] = float(errors[place])
            self.host.append(read | {"weight_trace": trace.reshape(-1, 3)})
        if self._open is rows[-1]:
            self._early = self.host[-1], rows[-1]

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, when no record waits."""
        columns = {name: torch.tensor([row[name] for row in self.host], dtype=torch.float64) for name in NUMBERS}
        traces = np.array([row["weight_trace"] for row in self.host])
        return columns | {"weight_trace": torch.from_numpy(traces)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where another stopped.

        Args:
            state: from `state`.
        """
        columns = {name: state[name].tolist() for name in NUMBERS}
        traces = state["weight_trace"].numpy()
        for place, trace in enumerate(traces):
            row: dict[str, Any] = {name: column[place] for name, column in columns.items()}
            for name in ("gradient_evaluations", "points"):
                row[name] = int(row[name])
            self.host.append(row | {"weight_trace": trace})


def _errors(rows: Sequence[Row], meter: PathMeter) -> np.ndarray:
    """The relative error of each record's numbers; zero where they are exact."""
    errors = np.zeros(len(rows))
    known = [place for place, row in enumerate(rows) if row.moments is not None]
    if known:
        moments = torch.stack([row.moments for row in rows if row.moments is not None])
        errors[known] = tolerances(meter.shards.total(moments).cpu().numpy())
    return errors


def _column(values: Sequence[Any]) -> Tensor:
    """Numbers of one kind at each record, on the host in float64."""
    if all(isinstance(value, Tensor) and value.shape == () for value in values):
        kinds = {(value.dtype, value.device) for value in values}
        if len(kinds) == 1:
            return torch.stack(list(values)).cpu().double()
    return torch.tensor([float(value) for value in values], dtype=torch.float64)


def _gradients(rows: Sequence[Row]) -> Tensor:
    """|g|² of each record on the host; NaN where none is known."""
    norms = [norm for row in rows for found, _ in row.gradients for norm in found]
    if not norms:
        return torch.full((len(rows),), math.nan, dtype=torch.float64)
    read = iter(_column(norms).square().tolist())
    return torch.tensor(
        [
            sum(next(read) / float(scale) ** 2 for found, scale in row.gradients for _ in found)
            if row.gradients
            else math.nan
            for row in rows
        ],
        dtype=torch.float64,
    )
