"""All weights as few long stretches of numbers, which are compared block by block in float64."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

# A block of float64 stays in a core's second cache; a GPU wants long blocks.
BLOCK = 32_768
BLOCK_ON_GPU = 1 << 22
# Tensors of fewer numbers are gathered first: a call for each would cost more than its numbers.
SMALL = 16_384
# Of each large tensor, so many numbers are looked at to see whether something else than a step moved it.
HEAD = 4_096


class Stretches:
    """Which tensors lie together: small ones of one type and device in one stretch, each large one in its own.

    Args:
        weights: the tensors a model holds; only shapes, types and devices are read.

    Raises:
        ValueError: if there are none.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        if not weights:
            raise ValueError("`weights` must hold at least one tensor; it is empty.")
        device = weights[0].device
        # Apple's GPUs have no float64: there the sums live on the host.
        self.device = torch.device("cpu") if device.type == "mps" else device
        self.block = BLOCK if device.type in {"cpu", "mps"} else BLOCK_ON_GPU
        self.groups: list[list[int]] = []
        self._sizes: list[list[int]] = []
        self._count = 0
        self._views: list[Tensor | None] = []
        self._memory: list[tuple[int, tuple[int, ...], torch.Size]] = []
        self.join(weights)

    def join(self, weights: Sequence[Tensor]) -> None:
        """Let more tensors in; they lie in stretches of their own.

        Args:
            weights: all tensors, those that are known first.
        """
        open_groups: dict[object, int] = {}
        for place in range(self._count, len(weights)):
            weight, size = weights[place], flat(weights[place]).numel()
            key = (weight.dtype, weight.device) if size < SMALL else place
            group = open_groups.get(key)
            # What lies together fits into one block.
            if group is None or sum(self._sizes[group]) + size > BLOCK:
                group = open_groups[key] = len(self.groups)
                self.groups.append([])
                self._sizes.append([])
            self.groups[group].append(place)
            self._sizes[group].append(size)
        self._count = len(weights)
        # Where each tensor stands among the stretches.
        self.order = np.argsort([place for group in self.groups for place in group])

    def of(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """The stretches of these weights: of a large tensor its own memory, of small ones a copy.

        Args:
            weights: of the shapes, types and devices that were given at first.
        """
        # Views are made once, as long as the tensors stay where they are. A tensor whose numbers lie in another order
        # (channels last, transposed) has no such view: its copy is made anew each time.
        parts = [local(weight) for weight in weights]
        memory = [(part.data_ptr(), part.stride(), part.shape) for part in parts]
        if memory != self._memory:
            self._views = [flat(part) if part.is_contiguous() else None for part in parts]
            self._memory = memory
        views = [flat(part) if view is None else view for part, view in zip(parts, self._views, strict=True)]
        return [
            torch.cat([views[place] for place in group]) if len(group) > 1 else views[group[0]] for group in self.groups
        ]

    def distances(
        self, ones: Sequence[Tensor], others: Sequence[Tensor], numbers: Float64[Tensor, " block"]
    ) -> list[Float64[Tensor, ""]]:
        """|a − b| of each tensor, from two lists of stretches.

        Args:
            ones: a.
            others: b, of the same lengths.
            numbers: a block to work in, on the device of the sums; overwritten.

        Returns:
            The distances in the order of the stretches.
        """
        found: list[Tensor] = []
        for one, other, sizes in zip(ones, others, self._sizes, strict=True):
            if len(sizes) == 1:
                found.append(squared_distance([one], [other], numbers).sqrt_())
                continue
            difference = (
                numbers[: one.numel()].copy_(one).sub_(other if other.device == numbers.device else other.cpu())
            )
            found.extend(torch._foreach_norm(difference.split(sizes)))
        return found


def squared_distance(
    ones: Sequence[Tensor], others: Sequence[Tensor], numbers: Float64[Tensor, " block"]
) -> Float64[Tensor, ""]:
    """|a − b|² of two lists of stretches: differences are exact in float64, without a float64 copy.

    Args:
        ones: a.
        others: b, of the same lengths.
        numbers: a block to work in, on the device of the sum; overwritten.
    """
    total: Tensor | None = None
    for one, other in zip(ones, others, strict=True):
        for a, b in zip(one.split(numbers.numel()), other.split(numbers.numel()), strict=True):
            difference = numbers[: a.numel()].copy_(a).sub_(b if b.device == numbers.device else b.to(numbers.device))
            squared = torch.dot(difference, difference)
            total = squared if total is None else total.add_(squared)
    return torch.zeros((), dtype=torch.float64, device=numbers.device) if total is None else total


def flat(weight: Tensor) -> Tensor:
    """The numbers of a tensor in one dimension; a complex weight is two, and of a sharded one only this rank's are."""
    weight = local(weight).detach()
    return (torch.view_as_real(weight) if weight.is_complex() else weight).reshape(-1)


def local(weight: Tensor) -> Tensor:
    """The part of a sharded tensor that lies on this rank; a plain tensor itself."""
    shard = getattr(weight, "_local_tensor", None)
    return weight if shard is None else shard
