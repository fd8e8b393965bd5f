"""
Batch normalisation
===================

Batch normalisation: how much of the motion changes nothing, and the limit for what is left.

Run: ``python examples/normalised_network.py``
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

from speedlimits import plot
from speedlimits.recorder import Recorder, Spheres, scale_invariant


def main() -> None:
    """Train a small network with batch normalisation and print both limits."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(images / 16.0, dtype=torch.float32), torch.tensor(labels)
    layers = [nn.Linear(64, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 48), nn.BatchNorm1d(48), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(48, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)

    groups = scale_invariant(model, lambda: model(inputs[:64]))
    spheres = Spheres(optimizer, groups)
    recorder = Recorder().attach(optimizer)
    for _ in range(5):
        for batch in torch.randperm(len(inputs)).split(128):
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            recorder.record(loss=loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    print("all weights:  ", recorder.finish().speed_limit())
    print("the directions that matter:", spheres.speed_limit())
    for name, share in spheres.radial_share.items():
        print(f"{name}: {share:.1%} of its motion changed its size alone, which changes nothing")
    plot.inefficiency(recorder.trajectory())
    plt.show()


if __name__ == "__main__":
    main()
