"""Two gradients in each step, each of one half of the batch: what they share is drift."""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from speedlimits.recorder.meter import BATCH


class Halves:
    """η, a·b and |a − b|²/4 of each step; they wait on the device like the steps themselves."""

    def __init__(self) -> None:
        self._host = np.empty((0, 3))
        self._waiting: list[tuple[float, Tensor]] = []
        self._next: Tensor | None = None

    def give(self, first: Iterable[Tensor], second: Iterable[Tensor]) -> None:
        """The halves of the coming step.

        Args:
            first: a, a gradient for each weight.
            second: b, of the same weights.

        Raises:
            ValueError: if they do not fit each other.
        """
        ones, others = list(first), list(second)
        if not ones or [one.shape for one in ones] != [other.shape for other in others]:
            raise ValueError(
                "`first` and `second` must be gradients of the same weights; "
                f"got {len(ones)} and {len(others)} tensors"
                + (" of other shapes." if len(ones) == len(others) else ".")
            )
        shared = torch.stack([_product(one, other) for one, other in zip(ones, others, strict=True)]).sum()
        apart = torch.stack([_product(gap, gap) for gap in torch._foreach_sub(ones, others)]).sum()
        self._next = torch.stack([shared, apart / 4])

    def step(self, duration: float) -> None:
        """The step that they were given for is over.

        Args:
            duration: η.
        """
        if self._next is not None:
            self._waiting.append((duration, self._next))
            self._next = None
            if len(self._waiting) >= BATCH:
                self.read()

    def forget(self) -> None:
        """The step that they were given for does not count."""
        self._next = None

    def read(self) -> Float[np.ndarray, "steps 3"]:
        """All of them, read to the host."""
        if self._waiting:
            rates = np.array([rate for rate, _ in self._waiting])[:, None]
            products = torch.stack([found for _, found in self._waiting]).cpu().numpy()
            self._host = np.concatenate([self._host, np.concatenate([rates, products], 1)])
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


def _product(one: Tensor, other: Tensor) -> Tensor:
    # Without float64, as on Apple's GPUs, the host adds up.
    device = "cpu" if one.device.type == "mps" else one.device
    return torch.dot(
        one.detach().to(device, torch.float64).flatten(), other.detach().to(device, torch.float64).flatten()
    )
