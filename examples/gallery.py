"""
Seven kinds of networks
=======================

Seven kinds of networks beside each other, each with its loss, its speed limit and what the number means.

Run: ``python examples/gallery.py [NAME …] [--steps N]``; it draws gallery.png
"""

import argparse
import math
from collections.abc import Callable
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits, make_moons
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from speedlimits import Recorder

TEXT = 8 * (
    "Thermodynamics bounds how fast any process can carry a system from one state to another. For training it says "
    "that the time a run took is at least the squared distance that its weights moved, divided by the loss spent. "
)


class Case(NamedTuple):
    """What is trained.

    Args:
        model: a network.
        loss: of a fresh batch, from a generator.
        rate: of Adam.
        meaning: what its number tells.
    """

    model: nn.Module
    loss: Callable[[torch.Generator], Tensor]
    rate: float
    meaning: str


class Block(nn.Module):
    """A layer beside its own input, behind batch normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        """Images of as many channels."""
        return images + self.layers(images)


def digits() -> tuple[Tensor, Tensor]:
    """Images and labels."""
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images / 16.0, dtype=torch.float32), torch.tensor(labels)


def residual() -> Case:
    """A residual network with batch normalisation on digits."""
    images, labels = digits()
    body = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), Block(8), nn.MaxPool2d(2), Block(8), nn.Flatten())
    model = nn.Sequential(body, nn.Linear(128, 10))

    def loss(generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(images), (64,), generator=generator)
        return cross_entropy(model(images[chosen].reshape(-1, 1, 8, 8)), labels[chosen])

    return Case(model, loss, 3e-3, "Part of this motion changes sizes that no output depends on: see Spheres.")


class Language(nn.Module):
    """A transformer of one layer that tells the next character."""

    def __init__(self, characters: int, length: int) -> None:
        super().__init__()
        self.names, self.places = nn.Embedding(characters, 32), nn.Parameter(0.1 * torch.randn(length, 32))
        self.layer = nn.TransformerEncoderLayer(32, 2, 64, 0.0, batch_first=True, norm_first=True)
        self.head = nn.Linear(32, characters)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(length))

    def forward(self, text: Tensor) -> Tensor:
        """Logits at each place."""
        return self.head(self.layer(self.names(text) + self.places, src_mask=self.mask, is_causal=True))


def language() -> Case:
    """A small transformer on a short text."""
    names = sorted(set(TEXT))
    text = torch.tensor([names.index(character) for character in TEXT])
    model = Language(len(names), 24)

    def loss(generator: torch.Generator) -> Tensor:
        starts = torch.randint(len(text) - 25, (32,), generator=generator)
        seen = text[starts[:, None] + torch.arange(25)]
        return cross_entropy(model(seen[:, :-1]).flatten(0, 1), seen[:, 1:].flatten())

    return Case(model, loss, 3e-3, "Fresh batches add noise to each step: read the drift's number, not the raw one.")


def adding() -> Case:
    """A recurrent network that adds the two marked numbers of ten."""
    cell, head = nn.GRU(2, 24, batch_first=True), nn.Linear(24, 1)

    def loss(generator: torch.Generator) -> Tensor:
        numbers = torch.rand(64, 10, generator=generator)
        marks = torch.zeros(64, 10).scatter_(1, torch.rand(64, 10, generator=generator).topk(2).indices, 1.0)
        states, _ = cell(torch.stack([numbers, marks], 2))
        return mse_loss(head(states[:, -1]).squeeze(1), (numbers * marks).sum(1))

    return Case(
        nn.ModuleList([cell, head]), loss, 5e-3, "Until it finds the marks, the path wanders: that shows in geometric."
    )


def physics() -> Case:
    """A network that solves u'' = −u, u(0) = 0, u'(0) = 1 on [0, 3]."""
    model = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))

    def loss(generator: torch.Generator) -> Tensor:
        x = (3 * torch.rand(64, 1, generator=generator)).requires_grad_()
        u = x + x**2 * model(x)
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
        return (bend + u).square().mean()

    return Case(model, loss, 3e-3, "Second derivatives curve its loss: the path bends, and speed falls along it.")


def diffusion() -> Case:
    """A network that tells the noise in points of two moons."""
    points = torch.tensor(make_moons(400, noise=0.05, random_state=0)[0], dtype=torch.float32)
    model = nn.Sequential(nn.Linear(3, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 2))

    def loss(generator: torch.Generator) -> Tensor:
        chosen = points[torch.randint(len(points), (128,), generator=generator)]
        angle, noise = 0.5 * math.pi * torch.rand(128, 1, generator=generator), torch.randn(128, 2, generator=generator)
        mixed = torch.cos(angle) * chosen + torch.sin(angle) * noise
        return mse_loss(model(torch.cat([mixed, angle], 1)), noise)

    return Case(model, loss, 3e-3, "This is the training; the sampler has a speed limit of its own, see sampler.py.")


def adapter() -> Case:
    """Low-rank factors beside a layer that stays, on digits that were turned upside down."""
    images, labels = digits()
    still = nn.Linear(64, 10)
    down, up = nn.Parameter(0.1 * torch.randn(4, 64)), nn.Parameter(torch.zeros(10, 4))
    optimizer = torch.optim.Adam(still.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        cross_entropy(still(images), labels).backward()
        optimizer.step()
    still.requires_grad_(False)

    def loss(generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(images), (64,), generator=generator)
        turned = images[chosen].flip(1)
        return cross_entropy(still(turned) + turned @ down.T @ up.T, labels[chosen])

    return Case(nn.ParameterList([down, up]), loss, 1e-2, "The factors' path has a scale that changes nothing.")


def policy() -> Case:
    """A policy that is paid for naming a digit."""
    images, labels = digits()
    model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))

    def loss(generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(images), (128,), generator=generator)
        scores = model(images[chosen]).log_softmax(1)
        named = torch.multinomial(scores.detach().exp(), 1, generator=generator)
        paid = (named.squeeze(1) == labels[chosen]).float()
        return -((paid - paid.mean()) * scores.gather(1, named).squeeze(1)).mean()

    return Case(model, loss, 1e-2, "What it descends is no loss: T ≥ T_SL holds, but no loss drop was dissipated.")


CASES: dict[str, Callable[[], Case]] = {
    case.__name__: case for case in (residual, language, adding, physics, diffusion, adapter, policy)
}


def train(case: Case, steps: int) -> Recorder:
    """Adam with a fresh batch in each step."""
    optimizer, generator = torch.optim.Adam(case.model.parameters(), lr=case.rate), torch.Generator().manual_seed(0)
    recorder = Recorder().attach(optimizer)
    for _ in range(steps):
        loss = case.loss(generator)
        recorder.record(loss=loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return recorder.finish()


def main() -> None:
    """Train those that were named, say three sentences on each, and draw loss and limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *CASES], help="all by default")
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    names = given.names or [*CASES]
    _, axes = plt.subplots(len(names), 2, figsize=(8, 2 * len(names)), squeeze=False, layout="constrained")
    for name, (left, right) in zip(names, axes, strict=True):
        torch.manual_seed(0)
        case = CASES[name]()
        recorder = train(case, given.steps)
        run, limit = recorder.trajectory(), recorder.speed_limit()
        coarse = recorder.noise().curve.coarse
        print(f"{name}: {limit}\n  Seen in 8 to 15 chords it is {coarse:.3g} times. {case.meaning}")
        left.plot(run.times, run.losses)
        left.set_title(f"{name}: loss", fontsize=9)
        right.plot(run.times, limit.speed_limit)
        right.plot(run.times, run.times, "--", color="grey")
        right.set_title("T_SL, and T dashed", fontsize=9)
    plt.savefig("gallery.png")


if __name__ == "__main__":
    main()
