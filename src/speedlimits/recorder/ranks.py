"""The gradients of the ranks of a DDP model, met where they are averaged: what they share is drift."""

from typing import Any

import torch
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel


class Ranks:
    r"""Of each backward pass, this rank's part of the square of the noise in the gradients' mean.

    With gradients g_r of W ranks and their mean :math:`\bar g`,

    .. math:: q = \frac{\sum_r |g_r-\bar g|^2}{W(W-1)} = \sum_r \frac{|g_r|^2-|\bar g|^2}{W(W-1)}

    is :math:`\langle|\bar g-\langle\bar g\rangle|^2\rangle` on average: each rank adds one term, and no gradient is
    sent or copied for it.

    Args:
        model: with gradients not yet averaged in a way of one's own.

    Raises:
        ValueError: if it is no DDP model, has a way of its own, or is alone.
    """

    def __init__(self, model: Any) -> None:
        if not isinstance(model, DistributedDataParallel):
            raise ValueError(f"`model` must be a DistributedDataParallel; it is a {type(model).__name__}.")
        self.group: Any = model.process_group
        self._count = torch.distributed.get_world_size(self.group)
        if self._count < 2:
            raise ValueError(f"`model` must be trained by two processes or more; there is {self._count}.")
        self._own: list[Tensor] = []
        self._mean: list[Tensor] = []
        self._passes = 0
        try:
            model.register_comm_hook(None, self._averaged)
        except RuntimeError:
            raise ValueError("`model` must have no communication hook yet; it has one.") from None

    def take(self) -> tuple[Tensor, Tensor] | None:
        """This rank's term of q, and |ḡ|², of the last backward pass; None if there was not one since the last call."""
        passes, self._passes = self._passes, 0
        own, mean, self._own, self._mean = self._own, self._mean, [], []
        if passes != 1:
            return None
        square = torch.stack(mean).sum()
        return (torch.stack(own).sum() - square) / (self._count * (self._count - 1)), square

    # Torch looks at these annotations.
    def _averaged(self, _: object, bucket: torch.distributed.GradBucket) -> torch.futures.Future[torch.Tensor]:
        self._own.append(_square(bucket.buffer()))
        self._passes += bucket.is_last()

        def done(future: torch.futures.Future[Tensor]) -> Tensor:
            mean = future.value()
            self._mean.append(_square(mean))
            return mean

        return allreduce_hook(self.group, bucket).then(done)


def _square(numbers: Tensor) -> Tensor:
    return torch.linalg.vector_norm(numbers, dtype=torch.float64).square_()
