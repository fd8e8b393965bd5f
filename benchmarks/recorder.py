"""What a recorder costs: seconds of a training step with and without it, and of a sketch beside a plain read.

Run: OMP_NUM_THREADS=1 python benchmarks/recorder.py [--quick] [--out FILE]

Every variant trains its own network; all take their steps in turn, and the seconds are those of the thread, so that
what else the machine does falls on all alike. Cockpit stands beside where it is installed: pip install
cockpit-for-pytorch "setuptools<80".
"""

import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from environment import command_line, write
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from speedlimits import Recorder
from speedlimits._machine import keep_freed_memory
from speedlimits.recorder.sketch import Sketch

RESULTS = Path(__file__).parent / "results" / "recorder.json"
Data = tuple[Tensor, Tensor]
# Of each variant: what the recorder is told, and how many steps there are to a record.
VARIANTS: dict[str, tuple[dict[str, Any], int] | None] = {
    "plain": None,
    "every step": ({"memory": "copy"}, 10),
    "every step, sketch alone": ({"memory": "sketch"}, 10),
    "every step, each recorded": ({"memory": "copy"}, 1),
    "every step, without strides": ({"sketch": None}, 10),
    "every tenth step": ({"memory": "copy", "every": 10}, 10),
    "every tenth step, sketch alone": ({"memory": "sketch", "every": 10}, 10),
    # The same as the first: what two equal loops differ by.
    "plain, again": None,
}


class Transformer(nn.Module):
    """A language model of 867,000 weights."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(128, 4, 512, 0.0, batch_first=True)
        self.tokens, self.places = nn.Embedding(256, 128), nn.Embedding(64, 128)
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(128, 256)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token, classes second."""
        mask = torch.triu(torch.full((64, 64), -math.inf), 1)
        inputs = self.tokens(tokens) + self.places(torch.arange(64))
        return self.head(self.layers(inputs, mask=mask, is_causal=True)).transpose(1, 2)


def cnn() -> nn.Module:
    """Three convolutions on 32×32 images."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def wide() -> nn.Module:
    """A perceptron of 6.3 million weights."""
    return nn.Sequential(nn.Linear(1024, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 10))


def tiny() -> nn.Module:
    """A perceptron of 1,500 weights."""
    return nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3))


def images() -> Data:
    """A batch of 64 images."""
    return torch.randn(64, 3, 32, 32), torch.randint(10, (64,))


def text() -> Data:
    """A batch of 16 texts of 64 tokens."""
    return torch.randint(256, (16, 64)), torch.randint(256, (16, 64))


# Network, data, steps of a round.
CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Data], int]] = {
    "CNN": (cnn, images, 10),
    "transformer": (Transformer, text, 10),
    "wide perceptron, batch 16": (wide, lambda: (torch.randn(16, 1024), torch.randint(10, (16,))), 10),
    "tiny perceptron": (tiny, lambda: (torch.randn(32, 10), torch.randint(3, (32,))), 200),
}


class Run:
    """One variant of a case, which can be continued."""

    def __init__(self, make: Callable[[], nn.Module], data: Data, variant: tuple[dict[str, Any], int] | None) -> None:
        torch.manual_seed(0)
        options, self.every = (None, 1) if variant is None else variant
        self.step = 0
        self.model, self.data = make(), data
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4)
        self.recorder = None if options is None else Recorder(**options).attach(self.optimizer)

    def seconds(self, steps: int) -> float:
        """CPU seconds of this thread for each of so many steps."""
        began = time.thread_time()
        for _ in range(steps):
            loss = cross_entropy(self.model(self.data[0]), self.data[1])
            if self.recorder is not None and self.step % self.every == 0:
                self.recorder.record(loss=loss)
            self.step += 1
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return (time.thread_time() - began) / steps


class Cockpit(Run):
    """The same loop with Cockpit's economy configuration in every step."""

    def __init__(self, make: Callable[[], nn.Module], data: Data) -> None:
        super().__init__(make, data, None)
        from backpack import extend  # pyright: ignore[reportMissingImports]
        from cockpit import Cockpit as Instruments  # pyright: ignore[reportMissingImports]
        from cockpit.utils.configuration import configuration  # pyright: ignore[reportMissingImports]

        self.model, self.loss = extend(self.model), extend(nn.CrossEntropyLoss())
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4)
        self.instruments = Instruments(self.model.parameters(), quantities=configuration("economy"))

    def seconds(self, steps: int) -> float:
        """See `Run.seconds`."""
        began = time.thread_time()
        for _ in range(steps):
            self.optimizer.zero_grad()
            outputs = self.model(self.data[0])
            loss = self.loss(outputs, self.data[1])
            losses = cross_entropy(outputs, self.data[1], reduction="none")
            known = {
                "batch_size": len(losses), "individual_losses": losses, "loss": loss, "optimizer": self.optimizer
            }  # fmt: skip
            with self.instruments(self.step, info=known):
                loss.backward(create_graph=self.instruments.create_graph(self.step))
            self.optimizer.step()
            self.step += 1
        return (time.thread_time() - began) / steps


def steps(rounds: int, *, shortened: bool) -> dict[str, Any]:
    """Each variant's seconds over those of the plain loop, in the same round.

    Args:
        rounds: of all variants in turn.
        shortened: rounds of few steps.
    """
    found: dict[str, Any] = {}
    for name, (make, data, length) in CASES.items():
        torch.manual_seed(0)
        batch = data()
        runs = {variant: Run(make, batch, options) for variant, options in VARIANTS.items()}
        try:
            # BackPACK, on which Cockpit stands, does not know attention, and takes minutes for wide layers.
            if name in ("CNN", "tiny perceptron"):
                runs["Cockpit, economy"] = Cockpit(make, batch)
        except ModuleNotFoundError:
            pass
        length = 2 if shortened else length
        for run in runs.values():
            run.seconds(min(length, 3))
        table = [{variant: run.seconds(length) for variant, run in runs.items()} for _ in range(rounds)]
        found[name] = {
            "weights": sum(weight.numel() for weight in runs["plain"].model.parameters()),
            "seconds": statistics.median(row["plain"] for row in table),
            "ratios": {
                variant: statistics.median(row[variant] / row["plain"] for row in table)
                for variant in runs
                if variant != "plain"
            },
        }
        print(f"{name}: {found[name]}", flush=True)
    return found


def reading(count: int, runs: int) -> dict[str, float]:
    """A sketch of so many weights, beside a plain read of them and a difference from a copy.

    Args:
        count: weights.
        runs: of each.
    """
    weights, copy = torch.zeros(count), torch.zeros(count)
    sketch = Sketch([weights], 4096)
    ways: dict[str, Callable[[], Any]] = {
        "plain read": weights.sum,
        "sketch": lambda: sketch([weights]),
        "difference from a copy": lambda: (weights - copy).square().sum(),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            began = time.thread_time()
            way()
            times[name].append(time.thread_time() - began)
    medians = {name: statistics.median(values[1:] or values) for name, values in times.items()}
    return {name: value / medians["plain read"] for name, value in medians.items()} | {
        "seconds of a plain read": medians["plain read"]
    }


def errors(sizes: list[int], draws: int) -> dict[str, float]:
    """Relative standard error of |δ|² for a change that is spread over 100,000 weights, by the sketch's size.

    Args:
        sizes: k.
        draws: of the signs.
    """
    change = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    exact = float(change.double().square().sum())
    found = {}
    for size in sizes:
        off = [float(Sketch([change], size, seed)([change]).square().sum()) / exact - 1 for seed in range(draws)]
        found[str(size)] = math.sqrt(statistics.fmean(value**2 for value in off))
    return found


def slope(table: dict[str, float]) -> float:
    """Of the logarithms, by least squares: −½ is the law."""
    points = [(math.log(float(size)), math.log(error)) for size, error in table.items()]
    x, y = (statistics.fmean(column) for column in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def main() -> None:
    """Measure, and write the JSON."""
    given = command_line(__doc__, RESULTS, quick="few and short rounds, to see that it runs").parse_args()
    torch.set_num_threads(1)
    # Memory that each step gives back and takes again costs as much as small things measured here, now and then.
    keep_freed_memory()
    counts = [10**6] if given.quick else [10**6, 10**7, 5 * 10**7, 2 * 10**8]
    law = errors([64, 256] if given.quick else [64, 256, 1024, 4096], 8 if given.quick else 64)
    write(
        given.out,
        {
            "steps": steps(2 if given.quick else 15, shortened=given.quick),
            "reading": {str(count): reading(count, 3 if given.quick else 7) for count in counts},
            "errors": law,
            "slope": slope(law),
        },
    )


if __name__ == "__main__":
    main()
