"""Adds up a path through weight space, point by point, on the weights' own device in float64."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from speedlimits.recorder.stretches import Stretches, flat, squared_distance

Weights = Sequence[Tensor]


class PathMeter:
    r"""Length and dissipation of the polygon through the points added, and the distance from the first.

    .. math:: l = \sum|\delta|, \qquad \beta^{-1}R = \sum|\delta|^2/\Delta t, \qquad \mathcal W_2 = |\theta-\theta_0|^2

    Differences are exact: they are taken in float64 whatever the weights' own precision, block by block, so no float64
    copy is made. Nothing is read to the host. Memory: two copies of the weights, and a block.

    Args:
        start: θ_0, as the list of tensors a model holds.
        traced: indices into the concatenation of those tensors, whose values `trace` gives.
    """

    def __init__(self, start: Weights, traced: np.ndarray) -> None:
        self._stretches = Stretches(start)
        self._numbers = torch.empty(self._stretches.block, dtype=torch.float64, device=self._stretches.device)
        self._first = self.copy(start)
        self._previous = self.copy(start)
        self._traced = _places(traced, start)
        self._size = traced.size
        self.device = self._stretches.device
        self.arc_length: Float64[Tensor, ""] = torch.zeros((), dtype=torch.float64, device=self.device)
        self.path_dissipation: Float64[Tensor, ""] = torch.zeros_like(self.arc_length)

    def add(self, weights: Weights, step_size: float) -> None:
        """Add the step to these weights, taken in the time Δt = ``step_size``.

        With Δt = 0 the dissipation is zero if nothing moves, and infinite if something does.
        """
        numbers = self._stretches.of(weights)
        squared = squared_distance(numbers, self._previous, self._numbers)
        self.arc_length = self.arc_length + squared.sqrt()
        cost = squared / step_size if step_size > 0 else torch.where(squared > 0, math.inf, 0.0).to(squared)
        self.path_dissipation = self.path_dissipation + cost
        torch._foreach_copy_(self._previous, numbers)

    @property
    def here(self) -> list[Tensor]:
        """The last weights added, as stretches; the next `add` overwrites them."""
        return self._previous

    def copy(self, weights: Weights) -> list[Tensor]:
        """A copy of these weights as stretches, small tensors together."""
        return [stretch.clone() for stretch in self._stretches.of(weights)]

    def overwrite(self, old: list[Tensor], weights: Weights) -> None:
        """Write these weights into such a copy."""
        torch._foreach_copy_(old, self._stretches.of(weights))

    def w2_squared(self, weights: Weights) -> Float64[Tensor, ""]:
        """|θ − θ_0|²."""
        return squared_distance(self._stretches.of(weights), self._first, self._numbers)

    def trace(self, weights: Weights) -> Float64[Tensor, " traced"]:
        """The traced values of these weights."""
        values = torch.zeros(self._size, dtype=torch.float64, device=self.device)
        for which, places, offsets in self._traced:
            values[places.to(self.device)] = flat(weights[which])[offsets].to(values)
        return values


def _places(traced: np.ndarray, weights: Weights) -> list[tuple[int, Tensor, Tensor]]:
    """For each weight that is traced: its index, the places in the trace, and the offsets within the weight."""
    ends = np.cumsum([flat(weight).numel() for weight in weights])
    which = np.searchsorted(ends, traced, side="right")
    starts = ends - [flat(weight).numel() for weight in weights]
    return [
        (
            int(index),
            torch.from_numpy(np.flatnonzero(which == index)).to(weights[index].device),
            torch.from_numpy((traced - starts[which])[which == index]).to(weights[index].device),
        )
        for index in np.unique(which)
    ]
