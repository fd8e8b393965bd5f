"""Lightning: one callback measures any of its loops, against sums in float64 taken the plain way."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.integrations.reference import Reference, check, network, task

pytest.importorskip("lightning")

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision

from speedlimits.integrations.lightning import SpeedLimitCallback

pytestmark = [
    # Its hints on how one might train otherwise.
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    # It uses what this version of torch has deprecated.
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]
loss_of = nn.functional.cross_entropy


class Classifier(LightningModule):
    """A loop as people write it."""

    def __init__(self, optimizer=None):
        super().__init__()
        self.net = network()
        self._optimizer = optimizer or (lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.5))

    def training_step(self, batch, index):
        return loss_of(self.net(batch[0]), batch[1])

    def validation_step(self, batch, index):
        self.log("validation", loss_of(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return self._optimizer(self.net.parameters())


class Told(Callback):
    """The reference, and the losses of all batches before their steps."""

    def on_fit_start(self, trainer, pl_module):
        self.reference, self.batches, self._steps = Reference(pl_module.parameters()), [], 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        with torch.no_grad():
            self.batches.append(float(loss_of(pl_module.net(batch[0]), batch[1])))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step > self._steps:
            self._steps = trainer.global_step
            self.reference.step(trainer.optimizers[0].param_groups[0]["lr"])


def batches() -> DataLoader:
    return DataLoader(TensorDataset(*task()), batch_size=16)


def fit(module, *callbacks, path=None, validation=None, **options) -> Trainer:
    plain = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        **plain, accelerator="cpu", enable_model_summary=False, callbacks=[*callbacks], **({"max_epochs": 2} | options)
    )
    trainer.fit(module, batches(), validation, ckpt_path=path)
    return trainer


@pytest.mark.parametrize(
    "options",
    [{}, {"gradient_clip_val": 0.1}, {"precision": "bf16-mixed"}, {"precision": "16-mixed"}],
    ids=["plain", "clipped", "bf16", "fp16"],
)
def test_every_step_is_measured_with_its_loss(options, capsys):
    """Numbers and losses are those of the plain sums, with clipping and mixed precision; the verdict is printed."""
    callback, told = SpeedLimitCallback(), Told()
    if options.get("precision") == "16-mixed":
        # On a processor Lightning would not take a scaler by itself.
        options = {"plugins": [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]}
    fit(Classifier(), callback, told, **options)
    full = options.keys() <= {"gradient_clip_val"}
    check(callback.recorder, told.reference, told.batches if full else None)
    # Half precision has losses of its own.
    assert list(callback.recorder.trajectory().losses[:-1]) == pytest.approx(told.batches, rel=0.02)
    assert capsys.readouterr().out.strip() == callback.recorder.verdict()


def test_accumulated_gradients_have_the_mean_loss():
    """Four batches a step, and two in the last one of an epoch: its loss is the mean of two."""
    callback, told = SpeedLimitCallback(), Told()
    fit(Classifier(), callback, told, accumulate_grad_batches=4)
    first, last = told.batches[:4], told.batches[4:6]
    assert len(told.reference.rows) == 5
    check(callback.recorder, told.reference, [sum(first) / 4, sum(last) / 2])
