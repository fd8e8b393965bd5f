"""A training loop as people write it (minibatches, Adam), with two lines that measure its speed limit.

Run: python examples/training_loop.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from speedlimits import Recorder, speed_limit


def main() -> None:
    """Train a small classifier on the 8×8 digits and say how far from its speed limit it learned."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    inputs = torch.tensor(images / 16.0, dtype=torch.float32)
    targets = torch.tensor(labels)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

    recorder = Recorder().attach(optimizer)  # 1: counts every step from here on
    for _ in range(20):
        for batch in torch.randperm(len(inputs)).split(128):
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            recorder.record(loss=loss)  # 2: before optimizer.step()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    recorder.finish()  # the last step counts, too

    print(recorder.verdict())

    # Any kept snapshot can be the start instead, here the one nearest to a quarter of the time.
    trajectory = recorder.trajectory()
    print("from a quarter: ", speed_limit(trajectory.from_start(0.25 * trajectory.time)))


if __name__ == "__main__":
    main()
