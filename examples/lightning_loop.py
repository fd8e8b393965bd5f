"""
Lightning
=========

A training by Lightning, with one callback that measures its speed limit.

Run: ``python examples/lightning_loop.py`` (needs ``pip install 'speedlimits[lightning]'``)
"""

import matplotlib.pyplot as plt
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from speedlimits import plot
from speedlimits.integrations.lightning import SpeedLimitCallback


class Digits(LightningModule):
    """A small classifier of the 8×8 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        """The loss of one batch."""
        inputs, labels = batch
        return nn.functional.cross_entropy(self.net(inputs), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Any optimizer, or several."""
        return torch.optim.Adam(self.parameters(), lr=2e-3)


seed_everything(0)
images, labels = load_digits(return_X_y=True)
data = TensorDataset(torch.tensor(images / 16.0, dtype=torch.float32), torch.tensor(labels))

callback = SpeedLimitCallback()  # prints the verdict when training ends
trainer = Trainer(
    max_epochs=20,
    callbacks=[callback],
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Digits(), DataLoader(data, batch_size=128, shuffle=True))

# %%
# The callback has a recorder like any other.

trajectory = callback.recorder.trajectory()
print(f"{len(trajectory)} records, the last at T = {trajectory.time:.3g}")
plot.inefficiency(trajectory)
plt.show()
