"""Gradients of parts of a batch, given to a recorder in each step, so that it tells noise from drift."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from speedlimits.recorder.halves import Halves
from speedlimits.recorder.hooks import Steps, measuring
from speedlimits.recorder.optimizers import single_rate
from speedlimits.recorder.path import Path


class Batches:
    """What a recorder can be told of mini-batches; see `speedlimits.Recorder`."""

    _path: Path
    _steps: Steps | None
    _halves: Halves

    def half_gradients(self, first: Iterable[Tensor], second: Iterable[Tensor]) -> None:
        """Give two gradients, each of one half of the batch, before every step that uses their mean.

        What they share is drift, what they do not is noise: `noise` with ``by="halves"`` uses that. Two halves cost
        what the whole batch costs; where gradients are accumulated, take the means over half of the small batches.
        Where gradients are clipped, give the halves times the same factor.

        Args:
            first: a gradient for each weight.
            second: of the same weights, by the other half.

        Raises:
            ValueError: if they do not fit each other, every step is not measured, the weights are sharded or have
                several rates, the optimizer is not SGD, or the recorder is not attached.
        """
        rate = self._rate("half_gradients")
        with measuring():
            assert self._steps is not None
            self._steps.close()
            self._halves.give(rate, first, second)

    def rank_gradients(self, model: Any) -> None:
        """Compare the gradients of the ranks of a DDP model, in every step from now on, where they are averaged.

        They are as good as halves of a batch, and cost one look at each gradient: `noise` with ``by="halves"`` uses
        them. Clipping and loss scaling are counted, as long as all weights share the factor, and so is accumulation
        within ``no_sync``; a step after several averaged backward passes has none. Every rank needs a recorder, and
        must call what reads, `state_dict` as well. A resumed recorder must be told again.

        Args:
            model: a ``torch.nn.parallel.DistributedDataParallel`` without a communication hook.

        Raises:
            ValueError: if it is not, has one process only, every step is not measured, the weights have several
                rates, the optimizer is not SGD, or the recorder is not attached.
        """
        self._rate("rank_gradients")
        self._halves.watch(model)

    def _rate(self, name: str) -> float:
        if self._steps is None:
            raise ValueError(f"`{name}` needs a recorder that is attached to an optimizer; this one is not.")
        if self._path.every != 1:
            raise ValueError(f"`every` must be 1 with `{name}`; every = {self._path.every}.")
        if len(self._path) and self._path.meter.shards.sharded:
            raise ValueError(f"`{name}` needs weights that lie whole on this rank; some are sharded.")
        return single_rate(self._steps.optimizers, name)

    def _wanted(self) -> bool:
        return self._path.rows.open or self._halves.watching

    def _gradient(self, norms: list[Tensor], scale: Any) -> None:
        """The norms of the gradients that a step uses, and the scale that they were found at."""
        self._path.gradient(norms, scale)
        if self._halves.watching and self._steps is not None:
            try:
                rate = single_rate(self._steps.optimizers, "rank_gradients")
            except ValueError:
                # Nothing is raised within a step: it has no halves, and reading says so.
                return
            self._halves.used(rate, norms, scale)
