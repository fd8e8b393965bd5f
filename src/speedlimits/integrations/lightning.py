"""The speed limit of a training by Lightning: one callback."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from speedlimits._checks import check_integer
from speedlimits.integrations.watch import Watch
from speedlimits.recorder.recorder import Recorder

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise ImportError("this callback needs lightning: pip install 'speedlimits[lightning]'") from error


class SpeedLimitCallback(Callback):
    """Measures every optimizer step of `fit`, and prints the verdict when it ends.

    Use::

        callback = SpeedLimitCallback()
        Trainer(callbacks=[callback]).fit(model, data)
        callback.recorder.speed_limit()

    A record is made where the gradient of a step is complete and the weights have not moved yet. Its loss is the one
    that was differentiated: the mean over the batches of an accumulated gradient and over all processes, without the
    factor of mixed precision; with manual optimisation the sum over all calls of ``manual_backward`` since the last
    step of any optimizer. Nothing is read to the host. Of several optimizers the one that steps first begins a step.

    The state is part of Lightning's checkpoints: ``fit(ckpt_path=…)`` goes on with the numbers of an uninterrupted
    run. Each `fit` has a recorder of its own.

    Args:
        optimizer: which of the trainer's optimizers, where each has a loss of its own; None takes all as one.
        record_every: steps from record to record; every step is measured.
        quiet: whether not to print.
        **options: of `Recorder`.

    Raises:
        ValueError: if a number is against the rules.
    """

    def __init__(
        self, *, optimizer: int | None = None, record_every: int = 1, quiet: bool = False, **options: Any
    ) -> None:
        if optimizer is not None:
            check_integer("optimizer", optimizer, minimum=0)
        self._which = optimizer
        self._quiet = quiet
        self._watch = Watch(record_every, options)
        self._state: dict[str, Any] = {}

    @property
    def recorder(self) -> Recorder:
        """That of the training that runs, or ran last; see `Watch.recorder`."""
        return self._watch.recorder

    @property
    def state_key(self) -> str:
        """Its name in checkpoints: two callbacks for two optimizers do not meet there."""
        return self._generate_state_key(optimizer=self._which)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return self._watch.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what a checkpoint holds until there is an optimizer to attach to."""
        self._state = state_dict

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach to the optimizers."""
        optimizers = trainer.optimizers
        if self._which is not None:
            if self._which >= len(optimizers):
                raise ValueError(
                    f"`optimizer` must be below the number of optimizers, {len(optimizers)}; optimizer = {self._which}."
                )
            optimizers = [optimizers[self._which]]
        self._optimizers = optimizers
        self._first: Optimizer | None = None
        self._seen = -1
        self._losses: list[Tensor] = []
        self._loss: Tensor | None = None
        self._watch.begin(*optimizers)
        self._go_on()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on from a checkpoint that the strategy could not read earlier."""
        self._go_on()

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Take the loss that is differentiated."""
        loss = loss.detach().to(torch.promote_types(loss.dtype, torch.float32))
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            loss = loss / scaler.scale(torch.ones_like(loss))
        self._losses.append(loss)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Record, if this is where a step begins."""
        if self._losses:
            total = torch.stack(self._losses).sum()
            # Lightning has divided each by the number of batches it expects; the last gradient may have fewer.
            each = trainer.accumulate_grad_batches / len(self._losses) if pl_module.automatic_optimization else 1.0
            self._loss, self._losses = total * each, []
        optimizer = getattr(optimizer, "optimizer", optimizer)
        if self._loss is None or all(optimizer is not mine for mine in self._optimizers):
            return
        self._first = self._first or optimizer
        # A closure may be called several times in one step, and then at weights that are only tried.
        if optimizer is self._first and trainer.global_step != self._seen:
            self._seen = trainer.global_step
            self._watch.step(trainer.strategy.reduce(self._loss.clone(), reduce_op="mean"))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Forget the last loss: it belonged to the steps of the batch before."""
        self._loss = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the verdict, in one process only."""
        verdict = self._watch.end()
        if trainer.is_global_zero and not self._quiet:
            print(verdict, flush=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the hooks off; what was measured stays in `recorder`."""
        self._watch.leave()

    def _go_on(self) -> None:
        self._watch.load_state_dict(self._state)
        self._state = {}
