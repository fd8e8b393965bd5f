"""
Advice, and what it is worth
============================

Advice and what it is worth: a cautious rate, the headroom that was measured, and the same loss in fewer steps.

Run: ``python examples/raise_the_rate.py``
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

from speedlimits.recorder import Edge, Recorder

RATE, STEPS = 0.1, 200


def main() -> None:
    """Train twice from one start, the second time at the rate that the first one advises."""
    images, labels = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(images[:200] / 16.0, dtype=torch.float32), torch.tensor(labels[:200])
    wanted, rate = 0.0, RATE
    for name in ("cautious", "advised"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)

        def loss(model: nn.Module = model) -> torch.Tensor:
            return nn.functional.cross_entropy(model(inputs), targets)

        # All of the data is in each step here; looks may take a fifth of the gradients of so short a training.
        recorder = Recorder(edge=Edge(loss, share=0.2)).attach(optimizer)
        for _ in range(STEPS):
            value = loss()
            if value < wanted:
                break
            recorder.record(loss=value)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        recorder.finish(loss())
        run = recorder.trajectory()
        print(f"{name}: rate {rate:.2g}, {run.steps[-1]:.0f} steps to a loss of {run.losses[-1]:.3g}")
        print(recorder.speed_limit(clock="step"))
        print(*recorder.advice(), sep="\n")
        plt.semilogy(run.steps, run.losses, label=f"{name}: rate {rate:.2g}")
        wanted, rate = run.losses[-1], rate * run.least_headroom
    plt.xlabel("steps")
    plt.ylabel("loss")
    plt.legend()
    plt.show()


if __name__ == "__main__":
    main()
