"""Sketches kept along a path: each can be a later start, with the error of the numbers seen from there."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from speedlimits.recorder.shards import Shards
from speedlimits.recorder.sketch import Places
from speedlimits.recorder.sketched import moments_of, tolerances
from speedlimits.recorder.snapshots import Kept

# So many are kept at most: then every second record goes, but for those that the growth of time chose.
MOST = 128


class Starts(Kept[Tensor]):
    """See `Snapshots`; all records are kept, as long as they are few.

    Args:
        growth: as of `Kept`.
        places: how the weights became sketches.
    """

    def __init__(self, growth: float | None, places: Places) -> None:
        super().__init__(growth)
        self._places, self._chosen, self._every = places, [0], 1

    def start(self, tables: Sequence[Tensor]) -> None:
        """The first record.

        Args:
            tables: see `SketchMeter.kept`.
        """
        self._kept = {0: self._of(tables)}

    def offer(self, record: int, time: float, tables: Sequence[Tensor]) -> None:
        """Keep this record.

        Args:
            record: its number.
            time: of it.
            tables: see `SketchMeter.kept`; not copied.
        """
        if self._growth is None or not time > 0:
            return
        if self._grown(time):
            self._chosen.append(record)
        self._kept[record] = self._of(tables)
        while len(self._kept) > MOST and self._every <= record:
            self._every *= 2
            self._kept = {kept: table for kept, table in self._kept.items() if self._stays(kept)}
        if not self._stays(record):
            self._kept.pop(record, None)

    def join(self, tables: Sequence[Tensor]) -> None:
        """More weights, which were before where they are now.

        Args:
            tables: what is kept of them.
        """
        more = sum(table.numel() for table in tables)
        self._kept = {record: torch.nn.functional.pad(table, (0, more)) for record, table in self._kept.items()}

    def distances(
        self, last: int, tables: Sequence[Tensor] | None, shards: Shards
    ) -> tuple[list[int], Float64[np.ndarray, "starts starts"], Float64[np.ndarray, "starts starts"]]:
        """The records that are kept, |θ_i − θ_j|² between them, and the relative errors of the path between them.

        Args:
            last: number of the last record.
            tables: of it; None where it is gone.
            shards: which of them count on this rank.
        """
        kept, sketched = self._with(last, tables), self._places.sketched
        table = torch.stack(list(kept.values()))
        found = torch.zeros(len(table), len(table), 9, dtype=torch.float64, device=table.device)
        for place in range(len(table) - 1):
            between = table[place + 1 :] - table[place]
            between[:, 0].square_()
            found[place, place + 1 :] = moments_of(between, sketched, shards)
        moments = shards.total(found).cpu().numpy()
        moments = moments + moments.swapaxes(0, 1)
        return list(kept), np.ascontiguousarray(moments[..., 0]), tolerances(moments)

    def places(
        self, last: int, tables: Sequence[Tensor] | None, size: int
    ) -> tuple[list[int], Float64[np.ndarray, "starts numbers"]]:
        """The records that are kept, and the sketch of each.

        Args:
            last: number of the last record.
            tables: of it; None where it is gone.
            size: of the sketches; they have it already.
        """
        kept = self._with(last, tables)
        return list(kept), torch.stack([table[0] for table in kept.values()]).cpu().numpy()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {
            "records": list(self._kept),
            "kept": list(self._kept.values()),
            "chosen": list(self._chosen),
            "last": self._last,
            "every": self._every,
        }

    def restore(self, state: Mapping[str, Any], first: Sequence[Tensor]) -> None:
        """Go on where another stopped.

        Args:
            state: from `state`.
            first: of the path; only its device is read.
        """
        tables = [table.to(first[0].device, copy=True) for table in state["kept"]]
        self._kept = dict(zip(state["records"], tables, strict=True))
        self._chosen, self._last, self._every = list(state["chosen"]), state["last"], state["every"]

    def _of(self, tensors: Sequence[Tensor]) -> Tensor:
        return tensors[0]

    def _stays(self, record: int) -> bool:
        return record % self._every == 0 or record in self._chosen
