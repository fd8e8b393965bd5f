"""Weights kept along a path, on the host: each can be a later start."""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

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

    def offer(self, record: int, time: float, stretches: Sequence[Tensor]) -> None:
        """Keep these weights if it is time to.

        Args:
            record: number of the record.
            time: of it.
            stretches: the weights, see `Stretches`; copied in their own precision.
        """
        if not self._kept or (self._growth is not None and time >= self._growth * self._last):
            self._kept[record] = [stretch.to("cpu", copy=True) for stretch in stretches]
            self._last = time

    def distances(
        self, record: int, stretches: Sequence[Tensor]
    ) -> tuple[list[int], Float64[np.ndarray, "snapshots snapshots"]]:
        """The records whose weights are at hand, and |θ_i − θ_j|² between them.

        Args:
            record: number of the last record.
            stretches: its weights.
        """
        kept = self._kept | {record: [stretch.cpu() for stretch in stretches]}
        numbers = torch.empty(BLOCK, dtype=torch.float64)
        found = np.zeros((len(kept), len(kept)))
        for (i, first), (j, second) in itertools.combinations(enumerate(kept), 2):
            squared = self._between.get((first, second))
            if squared is None:
                squared = float(squared_distance(kept[first], kept[second], numbers))
            if second in self._kept:
                self._between[first, second] = squared
            found[i, j] = found[j, i] = squared
        return list(kept), found
