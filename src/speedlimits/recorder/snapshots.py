"""Weights kept along a path, on the host: each can be a later start."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from speedlimits.recorder.shards import Shards
from speedlimits.recorder.sketch import Sketch
from speedlimits.recorder.stretches import BLOCK, squared_distance


class Snapshots:
    """The first weights, and others whenever time has grown by a factor; two kept ones are compared once.

    Args:
        growth: the factor, above 1; None keeps the first only.
    """

    def __init__(self, growth: float | None) -> None:
        self._growth = growth
        self._kept: dict[int, list[Tensor]] = {}
        self._last = 0.0
        self._between: dict[tuple[int, int], float] = {}

    def start(self, stretches: Sequence[Tensor]) -> None:
        """The weights of the first record; on the host they are not copied, and must not change.

        Args:
            stretches: the weights, see `Stretches`.
        """
        self._kept = {0: [stretch.cpu() for stretch in stretches]}

    def offer(self, record: int, time: float, stretches: Sequence[Tensor]) -> None:
        """Keep these weights if it is time to.

        Args:
            record: number of the record.
            time: of it.
            stretches: the weights; copied in their own precision.
        """
        if self._growth is not None and time > 0 and time >= self._growth * self._last:
            self._kept[record] = [stretch.to("cpu", copy=True) for stretch in stretches]
            self._last = time

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
        kept = dict(self._kept)
        if stretches is not None and last not in kept:
            kept[last] = [stretch.cpu() for stretch in stretches]
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
        kept = dict(self._kept)
        if stretches is not None and last not in kept:
            kept[last] = [stretch.cpu() for stretch in stretches]
        sketch = Sketch(kept[0], size)
        return list(kept), torch.stack([sketch(each) for each in kept.values()]).numpy()

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
