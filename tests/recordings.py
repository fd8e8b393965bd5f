"""Recordings of short real loops: mini-batches of a regression by SGD, and steps written by hand."""

import functools

import torch

from speedlimits import Recorder
from speedlimits.runs import Recording, RecordingConfig


@functools.cache
def noisy(steps: int = 300, seed: int = 0, name: str = "a regression", batch_size: int = 1) -> Recording:
    """SGD on single samples: every step seen at all strides, every fifth recorded. One run cannot tell the drift."""
    torch.manual_seed(seed)
    inputs = torch.randn(64, 5)
    targets = inputs @ torch.randn(5, 1) + 0.5 * torch.randn(64, 1)
    model = torch.nn.Linear(5, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    recorder = Recorder().attach(optimizer)
    for step in range(steps):
        batch = torch.randint(64, (batch_size,))
        if step % 5 == 0:
            recorder.record(loss=(model(inputs) - targets).square().mean())
        optimizer.zero_grad()
        (model(inputs[batch]) - targets[batch]).square().mean().backward()
        optimizer.step()
    recorder.record(loss=(model(inputs) - targets).square().mean())
    config = RecordingConfig(
        name=name, optimizers=("SGD",), weights=6, precision=("float32",), sketch=6, exact=True, loss_name="mean square"
    )
    return Recording.of(config, recorder.trajectory(), recorder.noise(), recorder.verdict().splitlines())


def steady() -> Recording:
    """The same network from the same start, with batches large enough to tell the drift."""
    return noisy(batch_size=64)


@functools.cache
def by_hand() -> Recording:
    """Three points of a path, without strides."""
    recorder = Recorder(sketch=None, triples=0)
    for k in range(3):
        recorder.record(time=0.5 * k, loss=1.0 / (1 + k), model=torch.tensor([k, k**2], dtype=torch.float64))
    return Recording.of(RecordingConfig(weights=2), recorder.trajectory(), None, recorder.verdict().splitlines())
