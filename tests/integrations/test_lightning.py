"""Lightning: one callback measures any of its loops, against sums in float64 taken the plain way."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

from speedlimits import Recorder
from tests.integrations.reference import Reference, check, network, same, task

pytest.importorskip("lightning")

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision

from speedlimits.integrations.lightning import SpeedLimitCallback

pytestmark = [
    # Its hints on how one might train otherwise.
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    # It uses what this version of torch has deprecated.
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    # A resumed training writes its checkpoints elsewhere, on purpose.
    pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning"),
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
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(accelerator="cpu", callbacks=[*callbacks], **(quiet | {"max_epochs": 2} | options))
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


def test_a_step_left_out_is_no_step():
    """Where a gradient overflows, the scaler leaves the step out: no time passes, and the scale is not in the loss."""
    callback, told = SpeedLimitCallback(quiet=True), Told()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**21)
    fit(Classifier(), callback, told, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    moved = [
        row for row, before in zip(told.reference.rows[1:], told.reference.rows, strict=False) if row[2] > before[2]
    ]
    assert 0 < len(moved) < 12
    found = callback.recorder.trajectory()
    assert len(found) == len(moved) + 1
    assert found.time == pytest.approx(0.1 * len(moved), rel=1e-12)
    assert found.path_dissipation[-1] == pytest.approx(told.reference.rows[-1][3], rel=1e-6)
    assert found.losses[0] == pytest.approx(told.batches[0], rel=0.01)


def test_accumulated_gradients_have_the_mean_loss():
    """Four batches a step, and two in the last one of an epoch: its loss is the mean of two."""
    callback, told = SpeedLimitCallback(), Told()
    fit(Classifier(), callback, told, accumulate_grad_batches=4)
    first, last = told.batches[:4], told.batches[4:6]
    assert len(told.reference.rows) == 5
    check(callback.recorder, told.reference, [sum(first) / 4, sum(last) / 2])


class NothingRead(TorchDispatchMode):
    """Refuses to read a number of a tensor to the host."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function is not torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


class Watched(SpeedLimitCallback):
    """Its own hooks, where nothing may be read."""

    def on_before_backward(self, *told):
        with NothingRead():
            super().on_before_backward(*told)

    def on_before_optimizer_step(self, *told):
        # The first record lays out what is kept.
        with NothingRead() if self._first is not None else nullcontext():
            super().on_before_optimizer_step(*told)


@pytest.mark.parametrize("scaled", [False, True])
def test_a_record_does_not_wait_for_the_device(scaled):
    """No number is read to the host while a loss is taken and a record made, also with a scaler."""
    plugins = [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))] if scaled else []
    callback = Watched(quiet=True)
    fit(Classifier(), callback, plugins=plugins)
    assert len(callback.recorder.trajectory()) == 13


def test_records_may_be_rare():
    """Every third step has a record, and all steps are measured."""
    callback, told = SpeedLimitCallback(record_every=3, quiet=True), Told()
    fit(Classifier(), callback, told)
    check(callback.recorder, told.reference, told.batches[::3], every=3)


def test_a_closure_called_again_is_one_step():
    """L-BFGS evaluates its closure at weights that it only tries: the record is of those it starts from."""
    callback, told = SpeedLimitCallback(record_every=2, quiet=True), Told()
    module = Classifier(lambda weights: torch.optim.LBFGS(weights, lr=0.5, max_iter=4))
    fit(module, callback, told, max_epochs=1)
    check(callback.recorder, told.reference, told.batches[::2], every=2)


class Manual(Classifier):
    """Manual optimisation: two losses, each differentiated by itself, one step."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, index):
        optimizer = self.optimizers()
        for part in (0.25, 0.75):
            self.manual_backward(part * loss_of(self.net(batch[0]), batch[1]))
        optimizer.step()
        optimizer.zero_grad()


def test_manual_optimisation_has_the_sum_of_its_losses():
    """What is differentiated between two steps is the loss of the second."""
    callback, told = SpeedLimitCallback(quiet=True), Told()
    fit(Manual(), callback, told)
    check(callback.recorder, told.reference, told.batches)


class Players(LightningModule):
    """Two networks with a loss and an optimizer each; the first steps twice as often."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.one, self.other = network(1), network(2)
        self.references, self.losses = [Reference(self.one.parameters()), Reference(self.other.parameters())], [[], []]

    def configure_optimizers(self):
        return torch.optim.SGD(self.one.parameters(), lr=0.1), torch.optim.Adam(self.other.parameters(), lr=0.01)

    def training_step(self, batch, index):
        for player, net in ((0, self.one), (0, self.one), (1, self.other)):
            optimizer = self.optimizers()[player]
            loss = loss_of(net(batch[0]), batch[1])
            self.losses[player].append(float(loss.detach()))
            self.manual_backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            self.references[player].step(optimizer.param_groups[0]["lr"])


def test_each_optimizer_may_have_a_callback():
    """Each has the steps and the losses of its own optimizer, and a place of its own in checkpoints."""
    callbacks, players = [SpeedLimitCallback(optimizer=k, quiet=True) for k in (0, 1)], Players()
    fit(players, *callbacks)
    assert len({callback.state_key for callback in callbacks}) == 2
    for callback, reference, losses in zip(callbacks, players.references, players.losses, strict=True):
        check(callback.recorder, reference, losses)
    with pytest.raises(ValueError, match=r"`optimizer` must be below the number of optimizers, 2; optimizer = 2\."):
        fit(Players(), SpeedLimitCallback(optimizer=2))


class Together(Classifier):
    """Weights and biases by an optimizer each, one loss for both; the second in the list steps first."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def configure_optimizers(self):
        groups = [[weight for weight in self.parameters() if weight.ndim == axes] for axes in (2, 1)]
        return torch.optim.SGD(groups[0], lr=0.1), torch.optim.Adam(groups[1], lr=0.02)

    def training_step(self, batch, index):
        first, second = self.optimizers()
        self.manual_backward(loss_of(self.net(batch[0]), batch[1]))
        for optimizer in (second, first):
            optimizer.step()
            optimizer.zero_grad()


def test_several_optimizers_make_one_step():
    """One record for each loss, one step for both, on the clock of the larger rate."""
    callback, told = SpeedLimitCallback(quiet=True), Told()
    fit(Together(), callback, told)
    check(callback.recorder, told.reference, told.batches)


class TwoLines(Classifier):
    """No callback: a recorder in the module, attached where its optimizer is first at hand, within the first step."""

    def on_fit_start(self):
        self.recorder = None

    def training_step(self, batch, index):
        if self.recorder is None:
            self.recorder = Recorder().attach(self.optimizers())
        loss = super().training_step(batch, index)
        self.recorder.record(loss=loss)
        return loss


def test_a_recorder_in_the_module_measures_the_step_it_is_attached_in():
    """Lightning's wrapper is taken off, and the rate of a step that has begun already is read at its end."""
    module, told = TwoLines(), Told()
    fit(module, told)
    check(module.recorder.finish(), told.reference, told.batches)


class RecordsToo(Callback):
    """A user who records wherever Lightning calls."""

    def __init__(self, callback):
        self._callback, self.losses = callback, []

    def on_train_start(self, trainer, pl_module):
        self._callback.recorder.record(loss=9.0)

    def on_validation_epoch_end(self, trainer, pl_module):
        self.losses.append(trainer.callback_metrics["validation"])
        self._callback.recorder.record(loss=self.losses[-1])


@pytest.mark.parametrize("inference_mode", [True, False])
def test_records_in_other_hooks_are_welcome(inference_mode):
    """Before any gradient, in the check before training, and where tensors are those of inference."""
    callback, told = SpeedLimitCallback(quiet=True), Told()
    user = RecordsToo(callback)
    fit(Classifier(), callback, told, user, validation=batches(), inference_mode=inference_mode)
    # The first record is that of the check before training; a record at the same time as one before is dropped.
    found = callback.recorder.trajectory()
    assert [found.losses[0], found.losses[-1]] == [user.losses[0], user.losses[-1]]
    assert found.path_dissipation[-1] == pytest.approx(told.reference.rows[-1][3], rel=1e-6)
    assert found.arc_lengths[-1] == pytest.approx(told.reference.rows[-1][2], rel=1e-6)


def test_each_fit_has_a_recorder():
    """A second training with the same callback does not go on with the first."""
    callback, module = SpeedLimitCallback(quiet=True), Classifier()
    with pytest.raises(ValueError, match="`recorder` exists from the beginning of the training; none has begun"):
        callback.recorder  # noqa: B018
    fit(module, callback, Told())
    first, told = callback.recorder, Told()
    fit(module, callback, told)
    assert callback.recorder is not first
    check(callback.recorder, told.reference, told.batches)


def test_nothing_to_measure_is_said_and_nothing_raised(capsys):
    """A training without a step ends well."""
    fit(Classifier(), SpeedLimitCallback(), limit_train_batches=0)
    assert capsys.readouterr().out == ""
    fit(Classifier(), SpeedLimitCallback(), Told(), max_steps=1)
    assert "T_SL" in capsys.readouterr().out


def test_wrong_options_are_named_before_training():
    """Where the callback is made, in the words of the recorder."""
    with pytest.raises(ValueError, match=r"`snapshot_growth` must be above 1, or None; snapshot_growth = 0\.5\."):
        SpeedLimitCallback(snapshot_growth=0.5)
    with pytest.raises(ValueError, match="`record_every`"):
        SpeedLimitCallback(record_every=0)


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_resumed_training_has_the_numbers_of_an_uninterrupted_one(tmp_path, epoch):
    """From the checkpoint of any epoch, by a new module and a new callback, bit for bit; rare records included."""
    whole, resumed = (SpeedLimitCallback(record_every=4, quiet=True) for _ in range(2))
    saved(tmp_path / "whole", whole, max_epochs=3)
    path = tmp_path / "whole" / f"epoch={epoch}.ckpt"
    # Nothing but tensors and plain values: it can be read without running what it says.
    assert torch.load(path, weights_only=True)["callbacks"][whole.state_key]["steps"] == 6 * (epoch + 1)
    saved(tmp_path / "resumed", resumed, max_epochs=3, path=path)
    same(resumed.recorder, whole.recorder)


@pytest.mark.parametrize("every", [1, 4])
def test_a_checkpoint_written_after_the_end_goes_on_as_well(tmp_path, every):
    """The last record, which has no loss, is not in it."""
    whole, first, resumed = (SpeedLimitCallback(every=every, quiet=True) for _ in range(3))
    fit(Classifier(), whole, max_epochs=3)
    fit(Classifier(), first, max_epochs=1).save_checkpoint(tmp_path / "end.ckpt")
    fit(Classifier(), resumed, path=tmp_path / "end.ckpt", max_epochs=3)
    same(resumed.recorder, whole.recorder)


def test_a_checkpoint_of_a_training_without_it_is_welcome(tmp_path):
    """Then the path begins where the training goes on."""
    callback, told = SpeedLimitCallback(quiet=True), Told()
    saved(tmp_path / "first", max_epochs=1)
    saved(tmp_path / "second", callback, told, max_epochs=2, path=tmp_path / "first" / "epoch=0.ckpt")
    assert len(told.reference.rows) == 7
    check(callback.recorder, told.reference, told.batches)


def saved(folder, *callbacks, **options) -> None:
    """Train with a checkpoint of each epoch."""
    keep = ModelCheckpoint(folder, "{epoch}", save_top_k=-1)
    fit(Classifier(), *callbacks, keep, enable_checkpointing=True, **options)


@pytest.mark.slow
def test_two_processes_find_what_one_finds(tmp_path):
    """DDP on gloo: both ranks have the numbers of a training by one process, and one of them prints the verdict."""
    script = Path(__file__).with_name("lightning_processes.py")
    for processes in ("1", "2"):
        command = [sys.executable, str(script), processes, str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.count("slower than the limit") == 1
    one, first, second = (np.load(tmp_path / f"{name}.npz") for name in ("1-0", "2-0", "2-1"))
    assert len(one["times"]) == 7
    for name in one:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        np.testing.assert_allclose(first[name], one[name], rtol=1e-9, err_msg=name)
