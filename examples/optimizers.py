"""
Four optimizers
===============

Four optimizers on one network: what their numbers say, and that none of them is a speedometer.

Run: ``python examples/optimizers.py``; it draws optimizers.png
"""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn, optim

from speedlimits import Recorder


class Sign(optim.Optimizer):
    """Steps of one size for all weights."""

    def __init__(self, weights: Any, lr: float) -> None:
        super().__init__(weights, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step."""
        for group in self.param_groups:
            for weight in group["params"]:
                weight.sub_(weight.grad.sign(), alpha=group["lr"])


OPTIMIZERS = {
    "SGD": lambda weights: [optim.SGD(weights, lr=1.0)],
    "Adam": lambda weights: [optim.Adam(weights, lr=0.01)],
    "sign": lambda weights: [Sign(weights, lr=0.003)],
    "Muon": lambda weights: [
        optim.Muon([weight for weight in weights if weight.ndim == 2], lr=0.02),
        optim.SGD([weight for weight in weights if weight.ndim < 2], lr=0.3),
    ],
}


def main() -> None:
    """Train each to one loss, print its numbers, and draw the losses over steps."""
    images, labels = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(images[:300] / 16.0, dtype=torch.float32), torch.tensor(labels[:300])
    for name, make in OPTIMIZERS.items():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
        optimizers = make(list(model.parameters()))
        recorder = Recorder(own_metric=True).attach(*optimizers, time_step=1.0)
        losses = []
        while len(losses) < 400:
            loss = nn.functional.cross_entropy(model(inputs), targets)
            losses.append(loss.item())
            if losses[-1] < 0.1:
                break
            recorder.record(loss=loss)
            model.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        limit = recorder.finish().speed_limit(clock="step")
        print(f"{name}: {len(losses) - 1} steps to a loss of {losses[-1]:.2g}. {limit}")
        print(f"  in 8 to 15 chords {recorder.noise().curve.coarse:.3g}. {recorder.own_metric()}")
        plt.semilogy(np.arange(len(losses)), losses, label=name)
    plt.xlabel("steps")
    plt.ylabel("loss")
    plt.legend()
    plt.savefig("optimizers.png")


if __name__ == "__main__":
    main()
