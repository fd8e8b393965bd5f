"""
Hugging Face
============

A training by Hugging Face's Trainer, with one callback that measures its speed limit.

Run: ``python examples/huggingface_loop.py`` (needs ``pip install 'speedlimits[transformers]'``)
"""

import matplotlib.pyplot as plt
import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

from speedlimits import plot
from speedlimits.integrations.transformers import SpeedLimitCallback


class Walks(Dataset):
    """Sequences that grow by one or two from token to token, modulo 32."""

    def __init__(self) -> None:
        steps = torch.randint(1, 3, (512, 16), generator=torch.Generator().manual_seed(0))
        self._tokens = torch.cumsum(steps, 1) % 32

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self._tokens[place], "labels": self._tokens[place]}


set_seed(0)
model = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=16, n_embd=32, n_layer=1, n_head=2))
arguments = TrainingArguments(
    output_dir="walks",
    num_train_epochs=10,
    per_device_train_batch_size=32,
    learning_rate=5e-3,
    logging_steps=40,
    save_strategy="no",
    report_to=[],
    disable_tqdm=True,
    use_cpu=True,
)
callback = SpeedLimitCallback()  # prints the verdict when training ends
Trainer(model=model, args=arguments, train_dataset=Walks(), callbacks=[callback]).train()

# %%
# The callback has a recorder like any other.

trajectory = callback.recorder.trajectory()
print(f"{len(trajectory)} records, the last at T = {trajectory.time:.3g}")
plot.inefficiency(trajectory)
plt.show()
