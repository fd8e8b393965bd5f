"""Train by Lightning with several processes, or one, and write what the recorder of each found.

Run: python tests/integrations/lightning_processes.py PROCESSES FOLDER
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

sys.path.insert(0, str(Path(__file__).parents[2]))
from speedlimits.integrations.lightning import SpeedLimitCallback
from tests.integrations.reference import network, task


class Classifier(LightningModule):
    """A loop as people write it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        """The loss of this process's part of the batch."""
        return nn.functional.cross_entropy(self.net(batch[0].double()), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """A method with a memory."""
        return torch.optim.Adam(self.net.parameters(), lr=0.01)

    def train_dataloader(self) -> DataLoader:
        """Batches of 16 for all processes together, in the order of the data."""
        data, processes = TensorDataset(*task()), self.trainer.world_size
        part = DistributedSampler(data, processes, self.trainer.global_rank, shuffle=False)
        return DataLoader(data, batch_size=16 // processes, sampler=part)


def main(processes: int, folder: Path) -> None:
    """Train, and write each process's numbers."""
    callback = SpeedLimitCallback()
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        precision="64-true",
        callbacks=[callback],
        accumulate_grad_batches=2,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Classifier())
    found = callback.recorder.trajectory()
    names = ("times", "losses", "w2_squared", "arc_lengths", "path_dissipation")
    np.savez(folder / f"{processes}-{trainer.global_rank}.npz", **{name: getattr(found, name) for name in names})


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(int(sys.argv[1]), Path(sys.argv[2]))
