"""Adds up a path through weight space, point by point, on the weights' own device in float64."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from speedlimits.recorder.shards import Shards
from speedlimits.recorder.sketch import Places
from speedlimits.recorder.stretches import HEAD, SMALL, Stretches, flat, local, squared_distance

Weights = Sequence[Tensor]

# Steps wait on the device until so many are read to the host at once.
BATCH = 1000


class PathMeter:
    r"""Length and dissipation of the polygon through the points added, and the distance from the first.

    .. math:: l = \sum|\delta|, \qquad \beta^{-1}R = \sum|\delta|^2/\Delta t, \qquad \mathcal W_2 = |\theta-\theta_0|^2

    Differences are exact: they are taken in float64 whatever the weights' own precision, block by block, so no float64
    copy is made. Steps wait on the device, and are read to the host a thousand at a time: there they are added up in
    the order in which they were taken, so that the sums do not depend on when they are read. Memory: the start, one
    copy of the weights, and a block.

    Args:
        start: θ_0, as the list of tensors a model holds.
        traced: indices into the concatenation of those tensors, whose values `trace` gives.
        sketch: size of the sketches that `place` gives; None where none are wanted.

    Attributes:
        places: how weights become sketches; None where none are wanted.
        traced: places of the trace's values among the indices.
        arc_lengths: l of each tensor by itself.
        dissipations: β⁻¹R of each tensor by itself; their sum is that of all.
    """

    sketched = False

    def __init__(self, start: Weights, traced: np.ndarray, sketch: int | None = None) -> None:
        self._stretches = Stretches(start)
        self.device = self._stretches.device
        self._numbers = torch.empty(self._stretches.block, dtype=torch.float64, device=self.device)
        self.shards = Shards(start)
        self.first = self._copy(start)
        self.here = self._copy(start)
        self.places = None if sketch is None else Places(self.here, sketch)
        self._waiting: list[list[Tensor]] = []
        # Δt, steps and seconds of each.
        self._durations: list[tuple[float, float, float]] = []
        self._arc_length, self._clocks = 0.0, np.zeros(5)
        self.arc_lengths, self.dissipations = np.zeros(len(start)), np.zeros(len(start))
        self.steps = 0
        self._indices = traced
        self._traced, self.traced = offsets_of(traced, start, self._stretches)
        self._versions = [local(weight)._version for weight in start]
        self._seen = time.perf_counter()

    def join(self, weights: Weights) -> tuple[list[Tensor], int]:
        """Let more tensors in; the path of each starts where it is now. No step may wait.

        Args:
            weights: all tensors, those that are known first.

        Returns:
            What is kept of the new ones, and by how many numbers a place grows.
        """
        new = self._join(weights)
        return new, 0 if self.places is None else self.places.join(new)

    def _join(self, weights: Weights) -> list[Tensor]:
        known = len(self._stretches.groups)
        self._stretches.join(weights)
        self.shards = Shards(weights)
        new = self._copy(weights)[known:]
        self.first += new
        self.here += [stretch.clone() for stretch in new]
        more = len(weights) - len(self.arc_lengths)
        self.arc_lengths = np.append(self.arc_lengths, np.zeros(more))
        self.dissipations = np.append(self.dissipations, np.zeros(more))
        self._versions = [local(weight)._version for weight in weights]
        return new

    def add(self, weights: Weights, step_size: float, steps: int = 1) -> None:
        """Add the move to these weights, taken in the time Δt = ``step_size`` by so many steps.

        With Δt = 0 the dissipation is zero if nothing moves, and infinite if something does.
        """
        stretches = self._stretches.of(weights)
        self._waiting.append(self._stretches.distances(stretches, self.here, self._numbers))
        now = time.perf_counter()
        self._durations.append((step_size, steps, now - self._seen))
        self._seen = now
        torch._foreach_copy_(self.here, stretches)
        self._versions = [local(weight)._version for weight in weights]
        self.steps += 1

    def place(self) -> Float64[Tensor, " numbers"]:
        """Where the last weights added are, in few numbers; a tensor of its own. Only where a sketch is wanted."""
        assert self.places is not None
        return self.places(self.here)

    def kept(self) -> list[Tensor]:
        """What a later start needs of the last weights added; overwritten by the next."""
        return self.here

    def moments(self) -> Tensor | None:
        """What the error of the numbers so far follows from; None where they are exact."""
        return None

    def w2_squared(self) -> Float64[Tensor, ""]:
        """|θ − θ_0|² of the last weights added, of this rank's shards."""
        if self.shards.sharded:
            own = torch.stack(self._stretches.distances(self.here, self.first, self._numbers))
            return self.shards.own(own[torch.from_numpy(self._stretches.order)].square()).sum()
        return squared_distance(self.here, self.first, self._numbers)

    def w2_squared_by_tensor(self) -> Float64[np.ndarray, " tensors"]:
        """|θ − θ_0|² of each tensor, over all shards; read to the host."""
        own = torch.stack(self._stretches.distances(self.here, self.first, self._numbers))
        order = torch.from_numpy(self._stretches.order).to(own.device)
        return self.shards.total_lengths(own[order]).square().cpu().numpy()

    def moved(self, weights: Weights) -> Float64[Tensor, ""]:
        """How far these weights lie from the last that were added, on this rank."""
        return squared_distance(self._stretches.of(weights), self.here, self._numbers).sqrt()

    @property
    def waits(self) -> bool:
        """Whether so many steps wait that they should be read."""
        return len(self._waiting) >= BATCH

    def read(self) -> Float64[np.ndarray, "steps 6"]:
        """Read the steps that wait.

        Returns:
            l, Σ|δ|²/Δt by flow time, steps and seconds, and the last two clocks themselves, before them and after each.
        """
        sums = [[self._arc_length, *self._clocks]]
        if not self._waiting:
            return np.array(sums)
        table = torch.stack([length for lengths in self._waiting for length in lengths])
        table = table.reshape(len(self._waiting), -1)[:, torch.from_numpy(self._stretches.order).to(self.device)]
        lengths = self.shards.total_lengths(table).cpu().numpy()
        durations = np.array(self._durations)
        self._waiting, self._durations = [], []
        squares = lengths**2
        costs = _per(squares, durations[:, :1])
        whole = np.cumsum(squares, 1)[:, -1]
        clocks = np.column_stack([np.cumsum(costs, 1)[:, -1], _per(whole[:, None], durations[:, 1:]), durations[:, 1:]])
        # Added one after the other: a sum in another order would have other bits.
        self.arc_lengths = np.cumsum([self.arc_lengths, *lengths], 0)[-1]
        self.dissipations = np.cumsum([self.dissipations, *costs], 0)[-1]
        for square, clock in zip(whole, clocks, strict=True):
            self._arc_length += math.sqrt(square) if square >= 0 else math.nan
            self._clocks = self._clocks + clock
            sums.append([self._arc_length, *self._clocks])
        return np.array(sums)

    def untouched(self, weights: Weights) -> bool:
        """Whether these are still the weights that the last step left, as far as a cheap look can tell.

        In-place changes are counted by torch. Those through `.data` are not: on the host the first 4,096 numbers of
        each large tensor, and all of the small ones, are compared; elsewhere that would be a wait in every step.
        """
        if self._versions != [local(weight)._version for weight in weights]:
            return False
        if self.device.type != "cpu":
            return True
        stretches = zip(self._stretches.of(weights), self.here, self._stretches.groups, strict=True)
        return all(
            torch.equal(one[:HEAD], other[:HEAD])
            if len(group) == 1 and one.numel() >= SMALL
            else torch.equal(one, other)
            for one, other, group in stretches
        )

    def trace(self) -> Float[Tensor, " traced"]:
        """The traced values of the last weights added, in the order of `traced`."""
        values = [self.here[stretch][offsets] for stretch, offsets in self._traced]
        if len(values) == 1:
            return values[0]
        return torch.cat([value.to(self.device, torch.float64) for value in values]) if values else self._numbers[:0]

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, when no step waits."""
        return {
            "traced": torch.from_numpy(self._indices),
            "first": self.first,
            "here": self.here,
            "sums": [self._arc_length, *self._clocks.tolist()],
            "arc_lengths": torch.from_numpy(self.arc_lengths),
            "dissipations": torch.from_numpy(self.dissipations),
            "steps": self.steps,
            "places": None if self.places is None else self.places.state(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], lots: Sequence[Weights], sketch: int | None) -> "PathMeter":
        """A meter that goes on where another stopped.

        Args:
            state: from `state`.
            lots: the weights as they were known at first, and after each time that more joined; only their shapes,
                types and devices are read.
            sketch: as it was.
        """
        meter = cls(lots[0], state["traced"].numpy(), sketch)
        for weights in lots[1:]:
            meter.join(weights)
        for name in ("first", "here"):
            copies = [kept.to(like.device, copy=True) for kept, like in zip(state[name], meter.here, strict=True)]
            setattr(meter, name, copies)
        meter._arc_length, meter._clocks = state["sums"][0], np.array(state["sums"][1:])
        meter.arc_lengths, meter.dissipations = state["arc_lengths"].numpy(), state["dissipations"].numpy()
        meter.steps = state["steps"]
        if meter.places is not None:
            meter.places.restore(state["places"])
        # Where the weights are now, may not be where they were: the next look compares them all.
        meter._versions = []
        return meter

    def _copy(self, weights: Weights) -> list[Tensor]:
        return [stretch.clone() for stretch in self._stretches.of(weights)]


def _per(squares: np.ndarray, durations: np.ndarray) -> np.ndarray:
    """|δ|²/Δt: zero if nothing moves in no time, and infinite if something does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(durations > 0, squares / durations, np.where(squares > 0, math.inf, squares))


def offsets_of(
    traced: np.ndarray, weights: Weights, stretches: Stretches
) -> tuple[list[tuple[int, Tensor]], Int64[np.ndarray, " traced"]]:
    """The stretches that are traced, with offsets in each; and the place of each of these among the indices.

    Args:
        traced: indices into the concatenation of all weights.
        weights: tensors.
        stretches: in which they lie.
    """
    sizes = np.array([flat(weight).numel() for weight in weights])
    starts = np.cumsum(sizes) - sizes
    found: list[tuple[int, Tensor]] = []
    order: list[int] = []
    for number, group in enumerate(stretches.groups):
        offsets: list[int] = []
        begin = 0
        for which in group:
            inside = np.flatnonzero((starts[which] <= traced) & (traced < starts[which] + sizes[which]))
            offsets += (traced[inside] - starts[which] + begin).tolist()
            order += inside.tolist()
            begin += int(sizes[which])
        if offsets:
            found.append((number, torch.tensor(offsets, device=local(weights[group[0]]).device)))
    return found, np.array(order, dtype=np.int64)
