"""Weights that lie on several ranks: which numbers each rank counts, and their sums over all ranks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from speedlimits.recorder.stretches import flat


class Shards:
    """Each number of a sharded model counts on one rank only.

    A `DTensor` says how it lies on its mesh; parameters of the older FSDP are known by their mark. Plain tensors beside
    them are alike on all ranks, and count on the first.

    Args:
        weights: the tensors that an optimizer holds on this rank.

    Attributes:
        sharded: whether any tensor is. Where none is, nothing is sent between ranks.
        mixed: whether some are, and others lie whole on every rank.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        cut = [_cut(weight) for weight in weights]
        self.sharded = torch.distributed.is_available() and torch.distributed.is_initialized() and any(cut)
        # The same on every rank, so that all refuse, or none: one that waits for the others' sums would wait forever.
        self.mixed = self.sharded and not all(cut)
        self._mine = torch.tensor([_counts_here(weight) for weight in weights]) if self.sharded else None

    def own(self, squares: Tensor) -> Tensor:
        """The same with zeros where another rank counts the tensor.

        Args:
            squares: one number for each tensor, along the last axis.
        """
        return squares if self._mine is None else squares * self._mine.to(squares)

    def total(self, sums: Tensor) -> Tensor:
        """Sums over all ranks, each of which must call this.

        Args:
            sums: of this rank.
        """
        if self.sharded:
            sums = sums.clone()
            torch.distributed.all_reduce(sums)
        return sums

    def of_lots(self, count: int) -> "Shards":
        """The same for as many lots of tensors, of each of which one number is known on this rank.

        Args:
            count: lots.

        Raises:
            ValueError: if some tensors lie on one rank only and others on all.
        """
        if self._mine is not None:
            if self.mixed:
                raise ValueError(
                    "`memory` must be 'copy' where some weights are sharded and others whole on every rank."
                )
            self._mine = self._mine[:1].expand(count)
        return self

    def own_place(self, sums: Tensor) -> Tensor:
        """The same, or zeros where another rank counts all tensors.

        Args:
            sums: of what all tensors of this rank went into together.
        """
        return sums if self._mine is None else sums * self._mine[0]

    def total_of_alike(self, sums: Tensor) -> Tensor:
        """Sums over all ranks of what all tensors of this rank went into together.

        Args:
            sums: of this rank.

        Raises:
            ValueError: if some tensors lie on one rank only and others on all.
        """
        if self.mixed:
            raise ValueError("`noise` needs weights that are all sharded, or none; some lie whole on every rank.")
        return self.total(self.own_place(sums))

    def total_lengths(self, lengths: Tensor) -> Tensor:
        """Lengths of the whole tensors from those of their shards.

        Args:
            lengths: one for each tensor along the last axis, of this rank's shards.
        """
        return self.total(self.own(lengths.square())).sqrt_() if self.sharded else lengths


def _cut(weight: Tensor) -> bool:
    placements = getattr(weight, "placements", None)
    if placements is None:
        return bool(getattr(weight, "_fsdp_flattened", False))
    return any(placement.is_shard() for placement in placements)


def _counts_here(weight: Tensor) -> bool:
    placements = getattr(weight, "placements", None)
    if placements is None:
        return _cut(weight) or torch.distributed.get_rank() == 0
    # Of copies along a dimension of the mesh, the first counts.
    where = weight.device_mesh.get_coordinate() or []  # type: ignore[attr-defined]
    return all(placement.is_shard() or place == 0 for placement, place in zip(placements, where, strict=True))


def numbers(weights: Sequence[Tensor]) -> int:
    """How many numbers lie on this rank.

    Args:
        weights: tensors.
    """
    return sum(flat(weight).numel() for weight in weights)
