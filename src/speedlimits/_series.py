"""A trajectory for other tools: as a table, as labelled arrays, and as a card in a notebook."""

import dataclasses
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from speedlimits._display import Curve, card, picture
from speedlimits._shapes import Records

if TYPE_CHECKING:
    import pandas
    import xarray

# Arrays that are no series over the records, with their dimensions.
OTHERS = {
    "weight_traces": ("time", "triple", "axis"),
    "snapshot_records": ("snapshot",),
    "snapshot_distances_squared": ("snapshot", "other_snapshot"),
    "snapshot_tolerances": ("snapshot", "other_snapshot"),
}


class Series:
    """Series over records, as a dataclass of arrays that `Trajectory` is."""

    times: Records
    losses: Records
    w2_squared: Records
    start_time: float

    def to_pandas(self) -> "pandas.DataFrame":
        """The series over the records as a table.

        Returns:
            A row for each record, with ``time`` as index and a column for each series; `start_time` is in its
            ``attrs``. Weight triples and distances between kept weights are no columns: `to_xarray` has them.

        Raises:
            ImportError: if pandas is not installed.
        """
        index = installed("to_pandas", "pandas").Index(self.times, name="time")
        table = installed("to_pandas", "pandas").DataFrame(self._columns(), index=index)
        table.attrs["start_time"] = self.start_time
        return table

    def to_xarray(self) -> "xarray.Dataset":
        """All arrays with their dimensions.

        Returns:
            Series over ``time``, weight triples over ``time``, ``triple`` and ``axis``, and distances between kept
            weights over ``snapshot`` and ``other_snapshot``; `start_time` is in the ``attrs``.

        Raises:
            ImportError: if xarray is not installed.
        """
        arrays: dict[str, Any] = {name: ("time", values) for name, values in self._columns().items()}
        arrays |= {name: (dimensions, getattr(self, name)) for name, dimensions in OTHERS.items()}
        found = installed("to_xarray", "xarray")
        return found.Dataset(arrays, {"time": self.times}, {"start_time": self.start_time})

    def _columns(self) -> dict[str, np.ndarray]:
        names = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        # A copy: what reads the table may write to it.
        return {name: getattr(self, name).copy() for name in names if name not in {"times", "start_time", *OTHERS}}

    def __repr__(self) -> str:
        count = self.times.size
        records = f"{count} record{'s' * (count != 1)} to T = {self.times[-1]:.4g}"
        start = f" from t₀ = {self.start_time:.4g}" if self.start_time else ""
        # A recorder may not know the loss of its last weights.
        losses = self.losses[np.isfinite(self.losses)]
        fell = f", loss {losses[0]:.4g} to {losses[-1]:.4g}" if losses.size else ""
        return f"{type(self).__name__}({records}{start}{fell})"

    def _repr_html_(self) -> str:
        """A card for notebooks."""
        pictures = [
            picture("loss over time", [Curve(self.times, self.losses)]),
            picture("|Δθ|² over time", [Curve(self.times, self.w2_squared)]),
        ]
        return card(repr(self), pictures)


def installed(name: str, module: str) -> Any:
    """A package that only some need, imported for what has this name."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"`{name}` needs {module}: pip install {module}") from error
