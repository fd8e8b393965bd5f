"""Weights kept along a path, on the host: each can be a later start."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from speedlimits.recorder.shards import Shards
from speedlimits.recorder.sketch import Sketch
from speedlimits.recorder.stretches import BLOCK, squared_distance

Each = TypeVar("Each")


class Kept(Generic[Each]):
    """What is kept of some records, and whether time has grown by a factor since.

    Args:
        growth: the factor, above 1; None keeps the first only.
    """

    def __init__(self, growth: float | None) -> None:
        self._growth = growth
        self._kept: dict[int, Each] = {}
        self._last = 0.0

    def _grown(self, time: float) -> bool:
        """Whether it is time to keep this record; it counts as kept then."""
        if self._growth is None or not time > 0 or time < self._growth * self._last:
            return False
        self._last = time
        return True

    def _with(self, last: int, tensors: Sequence[Tensor] | None) -> dict[int, Each]:
        """What is kept, and the last record where it is at hand and not among it."""
        return self._kept if tensors is None or last in self._kept else self._kept | {last: self._of(tensors)}

    def _of(self, tensors: Sequence[Tensor]) -> Each:
        """What would be kept of a record; nothing is copied that need not be."""
        raise NotImplementedError


class Snapshots(Kept[list[Tensor]]):
    """The first weights, and others whenever time has grown by a factor; two kept ones are compared once.

    Args:
        growth: as of `Kept`.
    """

    def __init__(self, growth: float | None) -> None:
        super().__init__(growth)
        self._between: dict[tuple[int, int], float] = {}

    def start(self, stretches: Sequence[Tensor]) -> None:
        """The weights of the first record; on the host they are not copied, and must not change.

        Args:
            stretches: the weights, see `Stretches`.
        """
        self._kept = {0: self._of(stretches)}

    def offer(self, record: int, time: float, stretches: Sequence[Tensor]) -> None:
        """Keep these weights if it is time to.

        Args:
            record: number of the record.
            time: of it.
            stretches: the weights; copied in their own precision.
        """
        if self._grown(time):
            self._kept[record] = [stretch.to("cpu", copy=True) for stretch in stretches]

    def join(self, stretches: Sequence[Tensor]) -> None:
        """More weights, which were before where they are now.

        Args:
            stretches: the new ones.
        """
        new = [stretch.to("cpu", copy=True) for stretch in stretches]
        for kept in self._kept.values():
            kept += new

    def distances(
        self, last: int, stretches: Sequence[Tensor] | None, shards: Shards
    ) -> tuple[list[int], Float64[np.ndarray, "snapshots snapshots"], Float64[np.ndarray, "snapshots snapshots"]]:
        """The records whose weights are at hand, |θ_i − θ_j|² between them, and the relative error of that: none.

        Args:
            last: number of the last record.
            stretches: its weights; None where they are gone.
            shards: which of them count on this rank.
        """
        kept = self._with(last, stretches)
        numbers = torch.empty(BLOCK, dtype=torch.float64)
        found = torch.zeros(len(kept), len(kept), dtype=torch.float64)
        for (i, first), (j, second) in itertools.combinations(enumerate(kept), 2):
            squared = self._between.get((first, second))
            if squared is None:
                squared = float(squared_distance(kept[first], kept[second], numbers))
            if second in self._kept:
                self._between[first, second] = squared
            found[i, j] = found[j, i] = squared
        return list(kept), shards.total(found).numpy(), np.zeros(found.shape)

    def places(
        self, last: int, stretches: Sequence[Tensor] | None, size: int
    ) -> tuple[list[int], Float64[np.ndarray, "snapshots numbers"]]:
        """The records whose weights are at hand, and a sketch of each, alike for all weights of these shapes.

        Args:
            last: number of the last record.
            stretches: its weights; None where they are gone.
            size: of the sketch.
        """
        kept = self._with(last, stretches)
        sketch = Sketch(kept[0], size)
        return list(kept), torch.stack([sketch(each) for each in kept.values()]).numpy()

    def _of(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [stretch.cpu() for stretch in tensors]

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {
            "records": list(self._kept),
            "kept": list(self._kept.values()),
            "last": self._last,
            "between": [[*pair, squared] for pair, squared in self._between.items()],
        }

    def restore(self, state: Mapping[str, Any], first: Sequence[Tensor]) -> None:
        """Go on where another stopped.

        Args:
            state: from `state`.
            first: the weights of the first record.
        """
        kept = [[stretch.to("cpu", copy=True) for stretch in stretches] for stretches in state["kept"][1:]]
        self.start(first)
        self._kept |= dict(zip(state["records"][1:], kept, strict=True))
        self._last = state["last"]
        self._between = {(int(one), int(other)): squared for one, other, squared in state["between"]}
