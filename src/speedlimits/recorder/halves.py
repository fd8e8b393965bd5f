"""Two gradients in each step, each of one half of the batch, or one of each rank: what they share is drift."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from speedlimits.recorder.meter import BATCH
from speedlimits.recorder.stretches import flat


class Halves:
    """Δt, η and q of each step, |a − b|²/4 of two halves; they wait on the device like the steps themselves."""

    def __init__(self) -> None:
        self._host = np.empty((0, 3))
        self._waiting: list[tuple[float, float, Tensor]] = []
        self._next: tuple[float, Tensor] | None = None
        self._ranks: Any = None

    @property
    def watching(self) -> bool:
        """Whether the gradients of the ranks are compared."""
        return self._ranks is not None

    def watch(self, model: Any) -> None:
        """Compare the gradients of the ranks from now on.

        Args:
            model: see `Ranks`.

        Raises:
            ValueError: as `Ranks`.
        """
        # Late: builds of torch without processes that talk have none of it.
        from speedlimits.recorder.ranks import Ranks

        self._ranks = Ranks(model)

    def used(self, rate: float, norms: Sequence[Tensor], scale: Any) -> None:
        """The gradient of a step that comes, a multiple of the ranks' mean where it was clipped or scaled.

        Args:
            rate: η.
            norms: of the gradients that the step uses.
            scale: by which they are too large.
        """
        found = self._ranks.take()
        if found is None:
            self._next = None
            return
        noise, mean = found
        square = torch.stack([norm.to(mean) for norm in norms]).square().sum() / float(scale) ** 2
        self._next = rate, noise * torch.where(mean > 0, square / mean, 1.0)

    def give(self, rate: float, first: Iterable[Tensor], second: Iterable[Tensor]) -> None:
        """The halves of the coming step.

        Args:
            rate: η, with which it uses their mean.
            first: a, a gradient for each weight.
            second: b, of the same weights.

        Raises:
            ValueError: if they do not fit each other, or the ranks' gradients are compared already.
        """
        if self.watching:
            raise ValueError("`half_gradients` must not be given with `rank_gradients`: one of them tells the noise.")
        ones, others = list(first), list(second)
        if not ones or [one.shape for one in ones] != [other.shape for other in others]:
            raise ValueError(
                "`first` and `second` must be gradients of the same weights; "
                f"got {len(ones)} and {len(others)} tensors"
                + (" of other shapes." if len(ones) == len(others) else ".")
            )
        apart = torch.stack([_squared_distance(one, other) for one, other in zip(ones, others, strict=True)])
        self._next = rate, apart.sum() / 4

    def step(self, duration: float) -> None:
        """The step that they were given for is over.

        Args:
            duration: Δt.
        """
        if self._next is not None:
            self._waiting.append((duration, *self._next))
            self._next = None
            if len(self._waiting) >= BATCH:
                self.read()

    def forget(self) -> None:
        """The step that they were given for does not count."""
        self._next = None

    def read(self) -> Float[np.ndarray, "steps 3"]:
        """All of them, read to the host."""
        if self._waiting:
            durations, rates, squares = zip(*self._waiting, strict=True)
            sums = torch.stack(squares)
            if self._ranks is not None:
                torch.distributed.all_reduce(sums, group=self._ranks.group)
            columns = [durations, rates, sums.cpu().numpy()]
            self._host = np.concatenate([self._host, np.stack(columns, 1)])
            self._waiting = []
        return self._host

    def state(self) -> Tensor:
        """All that `restore` needs."""
        return torch.from_numpy(self.read())

    @classmethod
    def restore(cls, state: Tensor) -> "Halves":
        """Go on where another stopped.

        Args:
            state: from `state`.
        """
        halves = cls()
        halves._host = state.numpy().copy()
        return halves


def _squared_distance(one: Tensor, other: Tensor) -> Tensor:
    # Without float64, as on Apple's GPUs, the host adds up.
    device = "cpu" if one.device.type == "mps" else one.device
    return (flat(one).to(device, torch.float64) - flat(other).to(device, torch.float64)).square().sum()
