"""Small problems on the 8×8 digits, and a loop that trains them to a loss."""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn, optim
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from speedlimits.recorder import Edge, Recorder

IMAGES, BATCH = 200, 32
# Seeds that are reported; those from here on are for tuning.
TUNING = 100


class Network(nn.Module):
    """A convolutional network: two layers of 3×3, each halved, then a linear one."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 12, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 10),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.layers(images.reshape(-1, 1, 8, 8))


def perceptron() -> nn.Module:
    """One hidden layer of 48."""
    return nn.Sequential(nn.Linear(64, 48), nn.Tanh(), nn.Linear(48, 10))


MODELS: dict[str, Callable[[], nn.Module]] = {"perceptron": perceptron, "CNN": Network}
# What becomes of the pixels, 0 to 16.
INPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "shifted": lambda pixels: pixels / 16.0 + 1.0,
    "raw": lambda pixels: pixels / 16.0,
    "centred": lambda pixels: pixels / 16.0 - (pixels / 16.0).mean(0),
    "standardised": lambda pixels: (pixels - pixels.mean(0)) / (pixels.std(0) + 1.0),
}
OPTIMIZERS: dict[str, Callable[[Any, float], optim.Optimizer]] = {
    "SGD": lambda weights, rate: optim.SGD(weights, lr=rate),
    "momentum": lambda weights, rate: optim.SGD(weights, lr=rate, momentum=0.9),
    "Adam": lambda weights, rate: optim.Adam(weights, lr=rate),
}


@dataclass(frozen=True)
class Setting:
    """What is trained how.

    Args:
        model: of `MODELS`.
        optimizer: of `OPTIMIZERS`.
        batch: samples in a step; None takes all.
        inputs: of `INPUTS`.
        squared: whether the loss is the squared error instead of the cross-entropy.
    """

    model: str
    optimizer: str = "SGD"
    batch: int | None = None
    inputs: str = "raw"
    squared: bool = False

    def __str__(self) -> str:
        loss, size = ", squared error" if self.squared else "", f", batch {self.batch}" if self.batch else ""
        return f"{self.model}, {self.optimizer}{size}{loss}"


class Training:
    """One training: model, optimizer, data.

    Args:
        setting: what is trained how.
        rate: learning rate.
        seed: of weights and batches.
    """

    def __init__(self, setting: Setting, rate: float, seed: int) -> None:
        torch.manual_seed(seed)
        pixels, labels = load_digits(return_X_y=True)
        self.inputs = INPUTS[setting.inputs](torch.tensor(pixels[:IMAGES], dtype=torch.float32))
        self.labels = torch.tensor(labels[:IMAGES])
        self.setting, self.model = setting, MODELS[setting.model]()
        self.optimizer = OPTIMIZERS[setting.optimizer](self.model.parameters(), rate)
        self._generator = torch.Generator().manual_seed(seed)

    def loss(self, chosen: Any = slice(None)) -> Tensor:
        """Of all images, or of some."""
        outputs, labels = self.model(self.inputs[chosen]), self.labels[chosen]
        if self.setting.squared:
            return mse_loss(outputs, one_hot(labels, 10).float())
        return cross_entropy(outputs, labels)

    def recorder(self, share: float = 0.5) -> Recorder:
        """One that looks at the curvature of all images, more often than by default: these runs are short."""
        return Recorder(triples=0, snapshot_growth=None, edge=Edge(self.loss, share=share)).attach(self.optimizer)

    def steps(self, count: int) -> Iterator[float]:
        """Train; before each step its loss is told, of its batch.

        Yields:
            The loss.
        """
        for _ in range(count):
            chosen: Any = slice(None)
            if self.setting.batch is not None:
                chosen = torch.randint(IMAGES, (self.setting.batch,), generator=self._generator)
            loss = self.loss(chosen)
            yield float(loss.detach())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def whole_loss(self) -> float:
        """Of all images, now."""
        with torch.no_grad():
            return float(self.loss())


def steps_to(setting: Setting, rate: float, seed: int, target: float, most: int) -> float:
    """Steps until the loss of all images is at most this, seen every few of them; infinite beyond the most."""
    run = Training(setting, rate, seed)
    every = 1 if setting.batch is None else 10
    for step, loss in enumerate(run.steps(most)):
        if step % every == 0:
            found = loss if setting.batch is None else run.whole_loss()
            if found <= target:
                return float(step)
            if not math.isfinite(found):
                return math.inf
    return float(most) if run.whole_loss() <= target else math.inf


def tuned(cost: Callable[[float], float], start: float, factor: float = 2.0) -> tuple[float, bool]:
    """The best of the numbers start × factorⁿ, walked downhill until its best point has worse ones on both sides.

    Args:
        cost: of a number; infinite where it fails.
        start: on the grid.
        factor: between neighbours.

    Returns:
        The best, and whether it is inside: 24 tries to each side at most.
    """
    known: dict[int, float] = {}

    def at(place: int) -> float:
        if place not in known:
            known[place] = cost(start * factor**place)
        return known[place]

    best = min(range(-2, 3), key=at)
    while abs(best) < 24 and not (best - 1 in known and best + 1 in known):
        best = min((best - 1, best, best + 1), key=at)
    inside = math.isfinite(known[best]) and best - 1 in known and best + 1 in known
    return start * factor**best, inside


def told(values: list[float]) -> dict[str, Any]:
    """Median, smallest, largest, and all of them; None stands for infinite."""
    plain = [value if math.isfinite(value) else None for value in values]
    middle = statistics.median(values)
    ends = [min(values), max(values)]
    return {
        "median": middle if math.isfinite(middle) else None,
        "range": [end if math.isfinite(end) else None for end in ends],
        "each": plain,
    }
