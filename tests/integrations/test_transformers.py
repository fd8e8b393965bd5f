"""Hugging Face's Trainer: one callback measures any of its loops, against sums in float64 taken the plain way."""

import logging
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from tests.integrations.reference import Reference, check, same

pytest.importorskip("transformers")

from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from speedlimits.integrations.transformers import SpeedLimitCallback


class Walks(Dataset):
    """Sequences that grow by one or two from token to token, modulo 32."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self._tokens = torch.cumsum(torch.randint(1, 3, (80, 12), generator=generator), 1) % 32

    def __len__(self):
        return len(self._tokens)

    def __getitem__(self, place):
        return {"input_ids": self._tokens[place], "labels": self._tokens[place]}


class Told(TrainerCallback):
    """The reference, and the losses that the Trainer logs after each step."""

    def on_train_begin(self, args, state, control, model=None, **_):
        self.reference, self.losses = Reference(model.parameters()), []

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **_):
        self._step_size = max(group["lr"] for group in optimizer.param_groups)

    def on_optimizer_step(self, args, state, control, model=None, **_):
        self.reference.step(self._step_size)
        self.last = torch.cat([weight.detach().flatten() for weight in model.parameters()])

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            self.losses.append(logs["loss"])


def language_model() -> nn.Module:
    torch.manual_seed(0)
    dropout = {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=12, n_embd=16, n_layer=1, n_head=2, **dropout))


def train(folder, *callbacks, kind=Trainer, resume=None, **options) -> Trainer:
    plain = {"save_strategy": "no", "report_to": [], "use_cpu": True, "disable_tqdm": True, "learning_rate": 1e-2}
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=16,
        logging_steps=1,
        **(plain | {"num_train_epochs": 2} | options),
    )
    trainer = kind(
        model=language_model(), args=arguments, train_dataset=Walks(), eval_dataset=Walks(), callbacks=[*callbacks]
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


class OwnLoss(Trainer):
    """A Trainer with a loss of its own, as many are."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs)
        loss = outputs.loss + 0.1 * outputs.logits.square().mean()
        return (loss, outputs) if return_outputs else loss


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gradient_accumulation_steps": 3},
        {"lr_scheduler_type": "cosine", "max_grad_norm": 0.1},
        {"bf16": True},
        {"label_smoothing_factor": 0.1},
        {"kind": OwnLoss, "gradient_accumulation_steps": 2},
    ],
    ids=["plain", "accumulated", "clipped", "bf16", "smoothed", "own"],
)
def test_every_step_is_measured_with_its_loss(tmp_path, capsys, options):
    """Numbers are those of the plain sums, losses those that the Trainer logs after each step."""
    callback, told = SpeedLimitCallback(), Told()
    trainer = train(tmp_path, callback, told, **options)
    assert told.losses
    check(callback.recorder, told.reference, told.losses)
    assert "training_step" not in vars(trainer)
    assert callback.recorder.verdict() in capsys.readouterr().out


def test_a_step_that_takes_no_time_is_none(tmp_path):
    """A warm-up begins at rate zero: that step neither moves nor counts, and the numbers are right."""
    callback, told = SpeedLimitCallback(quiet=True), Told()
    train(tmp_path, callback, told, warmup_steps=3)
    assert told.reference.rows[1][0] == 0.0
    check(callback.recorder, told.reference, [told.losses[0], *told.losses[2:]])


def test_best_weights_loaded_at_the_end_are_no_step(tmp_path):
    """The path ends where training ended, whatever weights the Trainer then loads."""
    callback, told = SpeedLimitCallback(quiet=True), Told()
    # By the highest loss the best are those of the first epoch.
    trainer = train(
        tmp_path,
        callback,
        told,
        save_strategy="epoch",
        eval_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        greater_is_better=True,
    )
    kept = torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])
    assert not torch.equal(kept, told.last)
    check(callback.recorder, told.reference)


@pytest.mark.parametrize("step", [4, 5])
def test_a_resumed_training_has_the_numbers_of_an_uninterrupted_one(tmp_path, step):
    """From a checkpoint within an epoch or at its end, by a new Trainer and callback, bit for bit."""
    saving = {"save_strategy": "steps", "save_steps": step}
    whole = SpeedLimitCallback(record_every=3, quiet=True)
    train(tmp_path / "whole", whole, **saving)
    folder = tmp_path / "whole" / f"checkpoint-{step}"
    assert torch.load(folder / "speedlimits.pt", weights_only=True)["steps"] == step
    resumed = SpeedLimitCallback(record_every=3, quiet=True)
    train(tmp_path / "other", resumed, resume=str(folder), **saving)
    same(resumed.recorder, whole.recorder)
    # Or from the last checkpoint of the output folder; a moved folder is found, too.
    for later in (tmp_path / "whole").glob("checkpoint-*"):
        if later != folder:
            shutil.rmtree(later)
    (tmp_path / "whole").rename(tmp_path / "moved")
    again = SpeedLimitCallback(record_every=3, quiet=True)
    train(tmp_path / "moved", again, resume=True, **saving)
    same(again.recorder, whole.recorder)


def test_a_checkpoint_of_a_training_without_it_is_welcome(tmp_path, caplog):
    """Then the path begins where the training goes on, and that is said."""
    train(tmp_path, save_strategy="steps", save_steps=4)
    callback, told = SpeedLimitCallback(quiet=True), Told()
    with caplog.at_level(logging.WARNING, logger="speedlimits"):
        train(tmp_path, callback, told, resume=str(tmp_path / "checkpoint-4"))
    (message,) = [record.message for record in caplog.records if record.name.startswith("speedlimits")]
    assert message.endswith("speedlimits.pt: the speed limit is measured from here on")
    assert len(told.reference.rows) == 7
    check(callback.recorder, told.reference)


def test_each_train_has_a_recorder(tmp_path):
    """A second training with the same callback does not go on with the first, and wraps nothing twice."""
    callback = SpeedLimitCallback(quiet=True)
    for _ in range(2):
        told = Told()
        train(tmp_path, callback, told)
        check(callback.recorder, told.reference, told.losses)


def test_it_is_called_by_a_trainer():
    """By hand there is no Trainer to be found."""
    with pytest.raises(ValueError, match="`on_train_begin` must be called by a Trainer while it trains; there is none"):
        SpeedLimitCallback().on_train_begin(TrainingArguments(report_to=[]), TrainerState(), TrainerControl())


@pytest.mark.slow
def test_two_processes_find_what_one_finds(tmp_path):
    """DDP on gloo: both ranks have the numbers of a training by one process, and one of them prints the verdict."""
    command = [sys.executable, str(Path(__file__).with_name("huggingface_processes.py"))]
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(found.getsockname()[1])}
    for processes in (1, 2):
        started = []
        for rank in range(processes):
            known = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
            started.append(
                subprocess.Popen(
                    [*command, str(processes), str(tmp_path)],
                    env=os.environ | (known if processes > 1 else {}),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        ended = [process.communicate(timeout=120) for process in started]
        assert [process.returncode for process in started] == [0] * processes, ended
        assert [out.count("slower than the limit") for out, _ in ended] == [1, 0][:processes]
    one, first, second = (np.load(tmp_path / f"{name}.npz") for name in ("1-0", "2-0", "2-1"))
    assert len(one["times"]) == 9
    np.testing.assert_allclose(first["losses"][:-1], first["logged"], rtol=1e-6)
    for name in one:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        # The model takes its loss in single precision, whatever its weights.
        np.testing.assert_allclose(first[name], one[name], rtol=1e-6 if "lo" in name else 1e-9, err_msg=name)
