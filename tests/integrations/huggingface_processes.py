"""Train by Hugging Face's Trainer as one of several processes, or alone, and write what the recorder found.

Run: python tests/integrations/huggingface_processes.py PROCESSES FOLDER, with the variables that torchrun sets
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

sys.path.insert(0, str(Path(__file__).parents[2]))
from speedlimits.integrations.transformers import SpeedLimitCallback


class Walks(Dataset):
    """Sequences, of unequal length for the loss, that grow by one or two from token to token, modulo 32."""

    def __init__(self) -> None:
        steps = torch.randint(1, 3, (64, 12), generator=torch.Generator().manual_seed(0))
        self._tokens = torch.cumsum(steps, 1) % 32

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        labels = self._tokens[place].clone()
        labels[: place % 7] = -100
        return {"input_ids": self._tokens[place], "labels": labels}


class InOrder(Trainer):
    """Takes the data in their order, so that a step has the same batch however many processes share it."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> None:
        return None


def main(processes: int, folder: Path) -> None:
    """Train, and write this process's numbers."""
    torch.manual_seed(0)
    dropout: dict[str, Any] = {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=12, n_embd=16, n_layer=1, n_head=2, **dropout))
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        num_train_epochs=2,
        per_device_train_batch_size=8 // processes,
        gradient_accumulation_steps=2,
        learning_rate=1e-2,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        ddp_backend="gloo" if processes > 1 else None,
    )
    callback = SpeedLimitCallback()
    trainer = InOrder(model=model.double(), args=arguments, train_dataset=Walks(), callbacks=[callback])
    trainer.train()
    found = callback.recorder.trajectory()
    names = ("times", "losses", "w2_squared", "arc_lengths", "path_dissipation")
    numbers = {name: getattr(found, name) for name in names}
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    np.savez(folder / f"{processes}-{arguments.process_index}.npz", **numbers, logged=logged)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
