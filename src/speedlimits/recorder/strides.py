"""The path of a walk at strides of 1, 2, 4, … steps, added up while it is walked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from speedlimits.noise import StrideCurve

Place = Float64[Tensor, " numbers"]

# Stretches of time, each with its sum: their scatter is the error of the whole sum.
STRETCHES = 64
# Steps that are added together: many small sums would cost more than their numbers.
BATCH = 64
# Groups of numbers, each a sketch of its own: their scatter is what the sketch leaves open.
GROUPS = 16


class StrideMeter:
    r"""Sums over the chunks Δ of every stride, from sketches or from the weights themselves.

    .. math:: D = \sum|\Delta|^2/\tau, \qquad
       V = \tfrac{n}{n-1}\sum\tfrac12|u-u'|^2\,\tfrac12(\tau+\tau'), \qquad
       M = \tfrac{n}{n-1}\sum\tfrac12|u-u'|^2\,\tfrac12(\tau^2+\tau'^2)

    with τ the time of a chunk, u = Δ/τ its velocity, and a prime for the chunk that follows. V is the part of D, and M
    that of |Δθ|², which is new in every chunk. Nothing is read to the host. Memory: seven vectors for each stride.

    Args:
        start: the first place; every later one has its length.
        exact: whether the numbers are the weights themselves, and not a sketch.
    """

    def __init__(self, start: Place, *, exact: bool = False) -> None:
        self._start = self._place = start
        self._groups = 1 if exact else GROUPS
        self._levels: list[_Level] = []
        self._time = 0.0
        self._steps = 0
        self._waiting: list[tuple[Place, float]] = []

    def add(self, place: Place, step_size: float) -> None:
        """Take one step.

        Args:
            place: where it ends; the tensor is kept, not copied.
            step_size: Δt of the step [time]; a step that takes no time is added to the next.
        """
        self._place = place
        self._time += step_size
        self._steps += 1
        self._waiting.append((place, self._time))
        if self._steps % BATCH == 0:
            self._add_waiting()

    def _add_waiting(self) -> None:
        """Add the steps that wait: a full batch for all strides at once, fewer one by one."""
        waiting, self._waiting = self._waiting, []
        first = self._steps - len(waiting)
        together = len(waiting) == BATCH
        places = torch.stack([place for place, _ in waiting]) if together else None
        for number, (place, time) in enumerate(waiting, start=first + 1):
            if number == 2 ** len(self._levels):
                self._levels.append(_Level(self._start))
            for power, level in enumerate(self._levels):
                if number % 2**power:
                    break
                if time > level.time and (places is None or 2**power > BATCH):
                    level.add(place[None], [time])
        if places is not None:
            for power in range(min(len(self._levels), BATCH.bit_length())):
                self._levels[power].add_some(places, [time for _, time in waiting], 2**power)

    def grow(self, more: int) -> None:
        """Let places have more numbers, which were zero so far.

        Args:
            more: how many.
        """
        self._add_waiting()
        self._start, self._place = _longer(self._start, more), _longer(self._place, more)
        for level in self._levels:
            level.grow(more)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {
            "start": self._start,
            "place": self._place,
            "exact": self._groups == 1,
            "time": self._time,
            "steps": self._steps,
            "levels": [level.state() for level in self._levels],
            "waiting": [[place, time] for place, time in self._waiting],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], device: torch.device) -> "StrideMeter":
        """A meter that goes on where another stopped.

        Args:
            state: from `state`.
            device: of the places to come.
        """
        meter = cls(state["start"].to(device, copy=True), exact=state["exact"])
        meter._place = state["place"].to(device, copy=True)
        meter._time, meter._steps = state["time"], state["steps"]
        meter._levels = [_Level.restore(level, device) for level in state["levels"]]
        meter._waiting = [(place.to(device, copy=True), time) for place, time in state["waiting"]]
        return meter

    def curve(self, total: Callable[[Tensor], Tensor] | None = None) -> StrideCurve:
        """What was added so far; the last chunk of a stride may be shorter than the others.

        Args:
            total: makes the sums of all ranks from those of one; none where there is one only.

        Raises:
            ValueError: if no time has passed.
        """
        total = total or _identity
        if not self._time > 0:
            raise ValueError(f"`curve` needs a path that took time; time = {self._time}.")
        if self._waiting:
            # A copy reads them: these sums must not depend on when they are looked at.
            copy = StrideMeter.restore(self.state(), self._start.device)
            copy._add_waiting()
            return copy.curve(total)
        levels = [level for level in self._levels if level.time > 0]
        return StrideCurve(
            strides=2 ** np.arange(len(levels)),
            chunks=np.array([level.chunks for level in levels]),
            dissipation=total(self._grouped([self._with_rest(level) for level in levels])).cpu().numpy(),
            noise=total(self._grouped([level.noise * level.share for level in levels])).cpu().numpy(),
            noise_moved=total(self._grouped([level.moved * level.share for level in levels])).cpu().numpy(),
            scatter=[total(level.scatter.sums()).cpu().numpy() for level in levels],
            w2_squared=total(self._grouped([(self._place - self._start).square()]))[:, 0].cpu().numpy(),
            time=self._time,
            steps=self._steps,
        )

    def _with_rest(self, level: "_Level") -> Tensor:
        left = self._time - level.time
        return level.dissipation + (self._place - level.place).square() / left if left > 0 else level.dissipation

    def _grouped(self, sums: list[Tensor]) -> Tensor:
        """Numbers dealt out to the groups in turn, and summed within each."""
        size = self._start.numel()
        group = torch.arange(size, device=self._start.device) % self._groups
        table = torch.zeros(self._groups, len(sums), dtype=torch.float64, device=self._start.device)
        return table.index_add_(0, group, torch.stack(sums, 1))


class _Level:
    """One stride: where its last chunk ended, and its sums."""

    VECTORS = ("place", "dissipation", "noise", "moved", "velocity")
    NUMBERS = ("time", "chunks", "duration")

    def __init__(self, start: Place) -> None:
        self.place, self.time, self.chunks = start, 0.0, 0
        self.dissipation, self.noise, self.moved = (torch.zeros_like(start) for _ in range(3))
        self.scatter = _Stretches(start)
        self.velocity, self.duration = start, 0.0

    def grow(self, more: int) -> None:
        """See `StrideMeter.grow`."""
        for name in self.VECTORS:
            setattr(self, name, _longer(getattr(self, name), more))

    def state(self) -> dict[str, Any]:
        """See `StrideMeter.state`."""
        scatter = {"sums": self.scatter._sums, "length": self.scatter._length, "count": self.scatter._count}
        return {name: getattr(self, name) for name in (*self.VECTORS, *self.NUMBERS)} | {"scatter": scatter}

    @classmethod
    def restore(cls, state: Mapping[str, Any], device: torch.device) -> "_Level":
        """See `StrideMeter.restore`."""
        level = cls(state["place"].to(device))
        for name in cls.VECTORS:
            setattr(level, name, state[name].to(device, copy=True))
        for name in cls.NUMBERS:
            setattr(level, name, state[name])
        scatter, kept = level.scatter, state["scatter"]
        scatter._sums = kept["sums"].to(device, copy=True)
        scatter._length, scatter._count = kept["length"], kept["count"]
        return level

    @property
    def share(self) -> float:
        """n/(n − 1): the first and last chunk stand in one pair each, all others in two."""
        return self.chunks / (self.chunks - 1) if self.chunks > 1 else float("nan")

    def add_some(self, places: Tensor, times: Sequence[float], stride: int) -> None:
        """Of consecutive places, those at which chunks of this stride end, but for chunks that take no time."""
        kept, last = [], self.time
        for index in range(stride - 1, len(times), stride):
            if times[index] > last:
                kept.append(index)
                last = times[index]
        if kept:
            self.add(places if len(kept) == len(times) else places[kept], [times[index] for index in kept])

    def add(self, places: Tensor, times: Sequence[float]) -> None:
        """Chunks end here, one after the other."""
        chunks = torch.cat([self.place[None], places]).diff(dim=0)
        durations = np.diff([self.time, *times])
        tau = self._tensor(durations)
        self.dissipation += (1.0 / tau) @ chunks.square()
        velocities = chunks / tau[:, None]
        if self.chunks:
            velocities = torch.cat([self.velocity[None], velocities])
            durations = np.append(self.duration, durations)
        if len(velocities) > 1:
            mean = self._tensor(0.5 * (durations[1:] + durations[:-1]))
            turns = velocities.diff(dim=0).square_()
            self.noise += (0.5 * mean) @ turns
            self.moved += self._tensor(0.25 * (durations[1:] ** 2 + durations[:-1] ** 2)) @ turns
            shared = (velocities[1:] * velocities[:-1]).sum(1) * mean
            self.scatter.add(torch.stack([shared, turns.sum(1) * (0.5 * mean)], 1))
        self.place, self.time, self.chunks = places[-1].clone(), times[-1], self.chunks + len(times)
        self.velocity, self.duration = velocities[-1].clone(), float(durations[-1])

    def _tensor(self, numbers: np.ndarray) -> Tensor:
        return torch.as_tensor(numbers, dtype=torch.float64, device=self.place.device)


def _longer(numbers: Tensor, more: int) -> Tensor:
    return torch.nn.functional.pad(numbers, (0, more))


class _Stretches:
    """Sums of two series over at most 64 stretches of equal length, which double in length when all are full."""

    def __init__(self, like: Tensor) -> None:
        self._sums = torch.zeros(STRETCHES, 2, dtype=torch.float64, device=like.device)
        self._length, self._count = 1, 0

    def add(self, numbers: Tensor) -> None:
        """The next numbers of both series, one row each; they stay on their device."""
        while len(numbers):
            if self._count == STRETCHES * self._length:
                halves = self._sums.view(-1, 2, 2).sum(1)
                self._sums = torch.cat([halves, torch.zeros_like(halves)])
                self._length *= 2
            now = numbers[: STRETCHES * self._length - self._count]
            places = torch.arange(self._count, self._count + len(now), device=now.device) // self._length
            self._sums.index_add_(0, places, now)
            self._count += len(now)
            numbers = numbers[len(now) :]

    def sums(self) -> Tensor:
        """The sums of the stretches that are full."""
        return self._sums[: self._count // self._length]


def _identity(sums: Tensor) -> Tensor:
    return sums
