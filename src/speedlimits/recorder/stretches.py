"""All weights as few long stretches of numbers, which are compared block by block in float64."""

from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

# A block of float64 stays in a core's second cache; a GPU wants long blocks.
BLOCK = 65_536
BLOCK_ON_GPU = 1 << 22
# Tensors of fewer numbers are gathered first: a call for each would cost more than its numbers.
SMALL = 16_384


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
        groups: dict[object, list[int]] = {}
        for place, weight in enumerate(weights):
            key = (weight.dtype, weight.device) if weight.numel() < SMALL else place
            groups.setdefault(key, []).append(place)
        self.groups = list(groups.values())
        device = weights[0].device
        # Apple's GPUs have no float64: there the sums live on the host.
        self.device = torch.device("cpu") if device.type == "mps" else device
        self.block = BLOCK if device.type in {"cpu", "mps"} else BLOCK_ON_GPU

    def of(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """The stretches of these weights: of a large tensor its own memory, of small ones a copy.

        Args:
            weights: of the shapes, types and devices that were given at first.
        """
        flats = [flat(weight) for weight in weights]
        return [
            torch.cat([flats[place] for place in group]) if len(group) > 1 else flats[group[0]] for group in self.groups
        ]


def squared_distance(
    ones: Sequence[Tensor], others: Sequence[Tensor], numbers: Float64[Tensor, " block"]
) -> Float64[Tensor, ""]:
    """|a − b|² of two lists of stretches: differences are exact in float64, without a float64 copy.

    Args:
        ones: a.
        others: b, of the same lengths.
        numbers: a block to work in, on the device of the sum; overwritten.
    """
    total = torch.zeros((), dtype=torch.float64, device=numbers.device)
    for one, other in zip(ones, others, strict=True):
        for a, b in zip(one.split(numbers.numel()), other.split(numbers.numel()), strict=True):
            difference = numbers[: a.numel()].copy_(a).sub_(b.to(numbers.device))
            total += torch.dot(difference, difference)
    return total


def flat(weight: Tensor) -> Tensor:
    """The numbers of a tensor in one dimension; a complex weight is two."""
    weight = weight.detach()
    return (torch.view_as_real(weight) if weight.is_complex() else weight).reshape(-1)
