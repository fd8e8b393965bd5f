r"""A linear sketch of all weights: few numbers from which distances between any two moments can be read.

Each weight is added to one of k buckets with a random sign. A difference of sketches is the sketch of the difference,
and over the signs

.. math:: \langle|S(a)-S(b)|^2\rangle = |a-b|^2, \qquad
   \operatorname{Var} = 2\sum_{\text{buckets}}\sum_{i\ne j}\delta_i^2\delta_j^2 \approx \tfrac2k|a-b|^4

(Charikar, Chen and Farach-Colton 2002; Thorup and Zhang 2004), the last for changes that are spread over
the weights. So a path can be measured at any stride, and from any start, without a copy of the weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from speedlimits._checks import check_integer
from speedlimits.recorder.stretches import Stretches, flat

# A block and its signs stay in a core's second cache; a GPU wants long blocks.
ROWS = 32
ROWS_ON_GPU = 2048


class Sketch:
    """The same random signs for every moment, fixed by the seed, the number of buckets and the shapes of the weights.

    Where there are fewer weights than buckets, the sketch is the weights themselves, and exact.

    Memory: two blocks of signs, one block of numbers, and one number for each k weights.

    Args:
        weights: the tensors a model holds; only shapes, types and devices are read.
        size: at most so many buckets. Their number k is the largest prime up to it, so that the rows of a matrix do not
            fall into one bucket.
        seed: of the signs; two sketches can be compared only with the same seed.

    Raises:
        ValueError: if there are no weights, or ``size`` is below 2.
    """

    def __init__(self, weights: Sequence[Tensor], size: int = 4096, seed: int = 0) -> None:
        check_integer("size", size, minimum=2)
        check_integer("seed", seed, minimum=0)
        self._stretches = Stretches(weights)
        stretches = self._stretches.of(weights)
        numbers = sum(stretch.numel() for stretch in stretches)
        self.exact = numbers <= size
        self.size = numbers if self.exact else _prime_up_to(size)
        self.sums = self._stretches.device
        if self.exact:
            return
        rows = ROWS_ON_GPU if self.sums.type == "cuda" else ROWS
        self._rows = min(rows, -(-numbers // self.size))
        self._block = self._rows * self.size
        generator = np.random.Generator(np.random.Philox(key=seed))
        signs = generator.integers(0, 2, size=2 * self._block, dtype=np.int8) * 2 - 1
        self._signs = {
            (stretch.dtype, stretch.device): torch.from_numpy(signs).to(stretch.device, stretch.dtype)
            for stretch in stretches
        }
        self._numbers = torch.empty(self._block, dtype=torch.float64, device=self.sums)
        blocks = sum(-(-stretch.numel() // self._block) for stretch in stretches)
        # Where a block starts in the signs, and one more sign for each of its rows: no two blocks have the same.
        self._starts = generator.integers(0, self._block, size=blocks).tolist()
        flips = generator.integers(0, 2, size=(blocks, self._rows)) * 2.0 - 1.0
        self._flips = torch.from_numpy(flips).to(self.sums)

    @torch.no_grad()
    def __call__(self, weights: Sequence[Tensor]) -> Float64[Tensor, " buckets"]:
        """The sketch of these weights; nothing is read to the host.

        Args:
            weights: of the shapes, types and devices that the sketch was made for.
        """
        if self.exact:
            return torch.cat([flat(weight).to(self.sums, torch.float64) for weight in weights])
        stretches = self._stretches.of(weights)
        sums = torch.zeros(self.size, dtype=torch.float64, device=self.sums)
        blocks = (block for stretch in stretches for block in stretch.split(self._block))
        for number, block in enumerate(blocks):
            self._add(sums, block, number)
        return sums

    def _add(self, sums: Tensor, block: Tensor, number: int) -> None:
        count = block.numel()
        signed = block * self._signs[block.dtype, block.device].narrow(0, self._starts[number], count)
        whole = count // self.size
        numbers = self._numbers[:count].copy_(signed)
        flips = self._flips[number]
        if whole:
            table = numbers[: whole * self.size].view(whole, self.size)
            sums.addmv_(table.t(), flips[:whole])
        if rest := count - whole * self.size:
            sums[:rest] += numbers[whole * self.size :] * flips[whole if whole < self._rows else 0]


class Places:
    """Where the weights are, in few numbers: one sketch for each lot of tensors, which starts where it joins.

    Args:
        lot: the first tensors.
        size: buckets of each sketch.
    """

    def __init__(self, lot: Sequence[Tensor], size: int) -> None:
        self._size = size
        self._lots = [(Sketch(lot, size), len(lot))]
        self._starts: list[Tensor | None] = [None]
        self.exact = self._lots[0][0].exact

    def join(self, lot: Sequence[Tensor]) -> int:
        """Let more tensors in, as they are now.

        Args:
            lot: the new ones.

        Returns:
            By how many numbers a place grows, all zero at this moment.
        """
        sketch = Sketch(lot, self._size, seed=len(self._lots))
        self._lots.append((sketch, len(lot)))
        self._starts.append(sketch(lot))
        return sketch.size

    def __call__(self, tensors: Sequence[Tensor]) -> Float64[Tensor, " numbers"]:
        """The place; nothing is read to the host.

        Args:
            tensors: all lots, in the order in which they joined.
        """
        found = self.of_lots(tensors)
        return found[0] if len(found) == 1 else torch.cat(found)

    def of_lots(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sketch of each lot, less where it started; nothing is read to the host.

        Args:
            tensors: all lots, in the order in which they joined.
        """
        found, begin = [], 0
        for (sketch, count), start in zip(self._lots, self._starts, strict=True):
            place = sketch(tensors[begin : begin + count])
            found.append(place if start is None else place - start)
            begin += count
        return found

    @property
    def sizes(self) -> list[int]:
        """How many numbers stand for each lot."""
        return [sketch.size for sketch, _ in self._lots]

    @property
    def sketched(self) -> Float64[Tensor, " numbers"]:
        """One for each number that is a bucket, zero for each that is a weight itself."""
        device = self._lots[0][0].sums
        kinds = [torch.full((sketch.size,), float(not sketch.exact), dtype=torch.float64) for sketch, _ in self._lots]
        return torch.cat(kinds).to(device)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, when the same lots have joined."""
        return {"starts": self._starts[1:]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Each lot starts where it did.

        Args:
            state: from `state`.
        """
        self._starts[1:] = [start.to(self._lots[0][0].sums, copy=True) for start in state["starts"]]


def _prime_up_to(number: int) -> int:
    return next(n for n in range(number, 1, -1) if all(n % divisor for divisor in range(2, int(n**0.5) + 1)))
