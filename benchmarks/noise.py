"""What mini-batches do to the ratio, and what the recorder takes out again: one learning rate, one time, many batches.

Run: OMP_NUM_THREADS=1 python benchmarks/noise.py [--quick] [--out FILE]

A perceptron on the 8×8 digits and a small transformer on their pixels as a text are trained by plain SGD from one
start. The truth is the ratio of the same steps with the full batch.
"""

import copy
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from environment import command_line, write
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from speedlimits import Recorder

RESULTS = Path(__file__).parent / "results" / "noise.json"
IMAGES = 600


class Transformer(nn.Module):
    """Eight rows of eight pixels are eight tokens; the mean of what comes out is classified."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)
        self.rows, self.layers = nn.Linear(8, 16), nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.places, self.head = nn.Parameter(0.1 * torch.randn(8, 16)), nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.layers(self.rows(images.reshape(-1, 8, 8)) + self.places).mean(1))


def perceptron() -> nn.Module:
    """One hidden layer of 48."""
    return nn.Sequential(nn.Linear(64, 48), nn.Tanh(), nn.Linear(48, 10))


# Network, learning rate, steps.
CASES: dict[str, tuple[Callable[[], nn.Module], float, int]] = {
    "perceptron": (perceptron, 0.05, 256),
    "transformer": (Transformer, 0.01, 256),
}


def images() -> tuple[Tensor, Tensor]:
    """600 digits, and what they are."""
    inputs, labels = load_digits(return_X_y=True)
    return torch.tensor(inputs[:IMAGES] / 16.0 - 0.3, dtype=torch.float32), torch.tensor(labels[:IMAGES])


def train(start: nn.Module, rate: float, steps: int, batch: int | None, seed: int) -> Recorder:
    """Plain SGD with batches drawn anew in each step; None takes all images."""
    inputs, labels = images()
    model = copy.deepcopy(start)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    recorder = Recorder(triples=0, snapshot_growth=None).attach(optimizer)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        chosen = slice(None) if batch is None else torch.randint(IMAGES, (batch,), generator=generator)
        loss = cross_entropy(model(inputs[chosen]), labels[chosen])
        if step % 32 == 0:
            recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return recorder.finish()


def row(start: nn.Module, rate: float, steps: int, batch: int, seeds: int, truth: float) -> dict[str, Any]:
    """The raw ratio and that of the drift over seeds, and how often the truth lies within what is said."""
    raw, found = [], []
    for seed in range(seeds):
        recorder = train(start, rate, steps, batch, seed)
        raw.append(float(recorder.speed_limit().final.inefficiency))
        found.append(recorder.noise())
    said = [each for each in found if each.identifiable != "no"]
    return {
        "batch": batch,
        "raw": statistics.fmean(raw),
        "raw_spread": statistics.stdev(raw),
        "drift": statistics.fmean(each.inefficiency for each in said) if said else None,
        "standard_error": statistics.fmean(each.standard_error for each in said) if said else None,
        "share": statistics.fmean(each.share for each in found),
        "moved_by_noise": statistics.fmean(each.moved_by_noise for each in found),
        "kinds": [each.identifiable for each in found],
        "holds": sum(each.interval[0] <= truth <= each.interval[1] for each in said),
    }


def main() -> None:
    """Train, and write the JSON."""
    given = command_line(__doc__, RESULTS, quick="two batches and two seeds, to see that it runs").parse_args()
    torch.set_num_threads(1)
    batches, seeds = ([16, 64], 2) if given.quick else ([4, 16, 64, 256], 6)
    results: dict[str, Any] = {}
    for name, (make, rate, steps) in CASES.items():
        torch.manual_seed(0)
        start = make()
        steps = steps // 4 if given.quick else steps
        whole = train(start, rate, steps, None, 0)
        truth = float(whole.speed_limit().final.inefficiency)
        rows = [row(start, rate, steps, batch, seeds, truth) for batch in batches]
        results[name] = {"rate": rate, "steps": steps, "full_batch": truth, "batches": rows}
        for each in rows:
            drift = math.nan if each["drift"] is None else each["drift"]
            print(
                f"{name}, batch {each['batch']}: raw {each['raw']:.2f}, drift {drift:.2f}, truth {truth:.2f}",
                flush=True,
            )
    write(given.out, results)


if __name__ == "__main__":
    main()
