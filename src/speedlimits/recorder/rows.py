"""The records of a path: they wait on the device, and are read to the host many at a time."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speedlimits.recorder.meter import BATCH, PathMeter

# What is measured on the device at a record; the trace follows.
MEASURED = ("loss", "w2_squared", "step_gradient_squared", "gradient_norm_squared")
# What is known on the host at a record.
KNOWN = ("time", "gradient_evaluations", "test_accuracy", "points")
# Those that are sums over shards.
SHARDED = ("w2_squared", "step_gradient_squared")
NUMBERS = (*KNOWN, *MEASURED, "arc_length", "path_dissipation")


class Rows:
    """Records of one path."""

    def __init__(self) -> None:
        self.host: list[dict[str, Any]] = []
        self._waiting: list[tuple[dict[str, Any], int, Tensor]] = []
        self._open: Tensor | None = None
        # A record that was read before its gradient was known.
        self._early: tuple[dict[str, Any], Tensor] | None = None

    def __len__(self) -> int:
        return len(self.host) + len(self._waiting)

    def write(self, known: dict[str, Any], steps: int, measured: list[Any], trace: Tensor) -> None:
        """One record; nothing is read to the host.

        Args:
            known: by the names of `KNOWN`.
            steps: measured so far.
            measured: in the order of `MEASURED`.
            trace: traced values.
        """
        values = [torch.as_tensor(value, dtype=torch.float64).to(trace.device).reshape(1) for value in measured]
        self._open = torch.cat([*values, trace])
        self._waiting.append((known, steps, self._open))

    def gradient(self, squared: Tensor) -> None:
        """|g|² of a step from the record just made; of several optimizers the sum.

        Args:
            squared: of the weights of one optimizer.
        """
        if self._open is not None:
            place = MEASURED.index("step_gradient_squared")
            self._open[place] = torch.nan_to_num(self._open[place]) + squared.to(self._open)

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
            row, values = self._early
            row["step_gradient_squared"] = float(values[MEASURED.index("step_gradient_squared")])
            self._early = None
        before = meter.steps
        sums = meter.read()
        first = before - (len(sums) - 1)
        if not self._waiting:
            return
        table = torch.stack([values for _, _, values in self._waiting])
        if meter.shards.sharded:
            places = [MEASURED.index(name) for name in SHARDED]
            table[:, places] = meter.shards.total(table[:, places])
        for (known, steps, _), values in zip(self._waiting, table.cpu().numpy(), strict=True):
            arc_length, dissipation = sums[steps - first]
            row = known | dict(zip(MEASURED, values, strict=False))
            if not math.isfinite(row["loss"]):
                row["loss"] = math.nan
            row |= {"arc_length": float(arc_length), "path_dissipation": float(dissipation)}
            trace = np.empty(len(meter.traced))
            trace[meter.traced] = values[len(MEASURED) :]
            self.host.append(row | {"weight_trace": trace.reshape(-1, 3)})
        if self._open is self._waiting[-1][2]:
            self._early = self.host[-1], self._open
        self._waiting = []

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
