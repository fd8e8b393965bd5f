"""Wide convolutions on a CPU: the gradient of Myrtle-5 by Winograd's products beside that by torch's convolutions.

Run: OMP_NUM_THREADS=1 python benchmarks/winograd.py [--quick] [--out FILE]

Both are the gradient of the same network on the same random images, in chunks of several sizes, and take turns. The
errors are those of one gradient in float32 against the same in float64, in norm.
"""

import json
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from environment import command_line, medians, write
from torch import Tensor

from speedlimits._machine import keep_freed_memory
from speedlimits.dynamics.loss import FlatLoss, half_squared_error, value_and_gradient
from speedlimits.models import winograd
from speedlimits.models.myrtle import Myrtle5

RESULTS = Path(__file__).parent / "results" / "winograd.json"
WIDTHS, CHUNKS, SIDE, CLASSES = (32, 64, 128), (8, 16, 32, 64), 32, 10
# From how many channels on a convolution is taken by products.
WAYS = {"products": 4, "direct": 10**9}


def main() -> None:
    """Measure and write."""
    options = command_line(__doc__, RESULTS).parse_args()
    torch.set_num_threads(1)
    # As in a worker.
    keep_freed_memory()
    widths, chunks, repeats = ((4,), (2, 4), 1) if options.quick else (WIDTHS, CHUNKS, 5)
    results = {"images": max(CHUNKS), "width": {str(width): by_width(width, chunks, repeats) for width in widths}}
    write(options.out, results)
    print(json.dumps(results, indent=2))


def by_width(width: int, chunks: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """Seconds of the processor for each way, precision and chunk, and the errors.

    Returns:
        The seconds of an image's gradient; for each precision the best direct over the best by products; the errors.
    """
    row: dict[str, Any] = {"seconds": {}, "faster": {}}
    for dtype in (torch.float32, torch.float64):
        name = str(dtype).removeprefix("torch.")
        contestants: dict[str, Callable[[], object]] = {
            f"{way}, chunk {chunk}": partial(gradient, width, dtype, chunk, way) for way in WAYS for chunk in chunks
        }
        seconds = medians(contestants, repeats, time.process_time)
        row["seconds"][name] = {key: value / max(CHUNKS) for key, value in seconds.items()}
        best = {way: min(value for key, value in seconds.items() if key.startswith(way)) for way in WAYS}
        row["faster"][name] = best["direct"] / best["products"]
    exact = gradient(width, torch.float64, chunks[0], "direct")
    row["error"] = {
        way: float((gradient(width, torch.float32, chunks[0], way) - exact).norm() / exact.norm()) for way in WAYS
    }
    return row


def gradient(width: int, dtype: torch.dtype, chunk: int, way: str) -> Tensor:
    """The gradient of ½Σ(f − y)² on some random images, by one of the ways."""
    before, winograd.FEWEST_CHANNELS = winograd.FEWEST_CHANNELS, WAYS[way]
    try:
        loss = problem(width, dtype, chunk)
        return value_and_gradient(loss, loss.initial)[1]
    finally:
        winograd.FEWEST_CHANNELS = before


@cache
def problem(width: int, dtype: torch.dtype, chunk: int) -> FlatLoss:
    """Myrtle-5 and as many images as the largest chunk of this benchmark has."""
    generator = torch.Generator().manual_seed(0)
    model = Myrtle5(3, CLASSES, width=width, generator=generator, dtype=dtype)
    images = torch.randn(max(CHUNKS), 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    targets = torch.eye(CLASSES, dtype=torch.float64)[torch.arange(len(images)) % CLASSES] - 1 / CLASSES
    return FlatLoss(model, images.to(dtype), targets.to(dtype), criterion=half_squared_error, chunk=chunk)


if __name__ == "__main__":
    main()
