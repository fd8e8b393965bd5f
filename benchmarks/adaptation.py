"""Kernels measured again on the way: T/T_SL against the flow followed by rkc2, what it takes, and wide networks.

Run: OMP_NUM_THREADS=1 python benchmarks/adaptation.py [--quick] [--out FILE]
"""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import command_line, write
from sklearn.datasets import load_digits
from torch import Tensor, nn

from speedlimits import FlatLoss
from speedlimits.dynamics.flow.gradient_flow import gradient_flow
from speedlimits.kernel import KernelOperator, adapted_kernel, eigenmodes, empirical_kernel
from speedlimits.models.fcn import FCN
from speedlimits.models.layers import NTKConv3x3, NTKLinear
from speedlimits.theory.adapted_kernel import AdaptedKernel
from speedlimits.theory.constant_kernel import ConstantKernel

RESULTS = Path(__file__).parent / "results" / "adaptation.json"
# λ_max·T with λ_max at the start.
SHARPNESS_TIME = 1e3
# Of rkc2: for the truth, and what the default of a study takes.
EXACT, USUAL = 1e-5, 1e-3
# (kind, width, samples, seeds)
CASES = (("cnn", 8, 30, 3), ("fcn", 16, 50, 3), ("fcn", 64, 50, 2))
# Of the width's law: networks, samples, seeds, and λ_max·T.
WIDTHS, WIDE_SAMPLES, WIDE_SEEDS, WIDE_TIME = (16, 32, 64, 128, 256, 512), 20, 4, 1e2


class ConvolutionalNetwork(nn.Module):
    """Two convolutions, each with GELU and average pooling, and a dense layer, in NTK parametrisation.

    Args:
        channels: of both convolutions.
        generator: draws the weights.
    """

    def __init__(self, channels: int, generator: torch.Generator) -> None:
        super().__init__()
        drawn = {"generator": generator, "dtype": torch.float64}
        self.first, self.second = NTKConv3x3(1, channels, **drawn), NTKConv3x3(channels, channels, **drawn)
        self.last = NTKLinear(4 * channels, 10, **drawn)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of ten classes for images of 8 × 8."""
        x = x.view(-1, 1, 8, 8)
        for layer in (self.first, self.second):
            x = nn.functional.avg_pool2d(nn.functional.gelu(layer(x)), 2)
        return self.last(x.flatten(1))


def main() -> None:
    """Measure both tables and write them."""
    options = command_line(__doc__, RESULTS).parse_args()
    cases, reach, wide = CASES, SHARPNESS_TIME, (WIDTHS, WIDE_SAMPLES, WIDE_SEEDS, WIDE_TIME)
    if options.quick:
        cases, reach, wide = (("cnn", 2, 4, 1),), 10.0, ((4, 8), 4, 1, 10.0)
    rows = [accuracy(kind, width, n, seed, reach) for kind, width, n, seeds in cases for seed in range(seeds)]
    results = {"sharpness_time": reach, "accuracy": rows, "width": law(*wide)}
    write(options.out, results)
    print(json.dumps(results, indent=2))


def problem(kind: str, width: int, samples: int, seed: int) -> FlatLoss:
    """A network on the first digits, centred by pixel, with one-hot targets, in float64."""
    images, labels = load_digits(return_X_y=True)
    pixels = torch.from_numpy(images / 16.0)
    inputs = ((pixels - pixels.mean(0)) / pixels.std())[:samples]
    targets = nn.functional.one_hot(torch.from_numpy(labels[:samples]), 10).double()
    generator = torch.Generator().manual_seed(seed)
    if kind == "cnn":
        model: nn.Module = ConvolutionalNetwork(width, generator)
    else:
        model = FCN(64, 10, width=width, depth=2, activation="tanh", generator=generator)
    return FlatLoss(model, inputs, targets)


def accuracy(kind: str, width: int, samples: int, seed: int, reach: float) -> dict[str, Any]:
    """One network: T/T_SL by the flow, a constant kernel, and 4 and 8 intervals, with costs."""
    loss = problem(kind, width, samples, seed)
    constant, time_ = at_start(loss, reach)
    flow, seconds = clocked(lambda: followed(loss, time_, EXACT))
    usual, usual_seconds = clocked(lambda: followed(loss, time_, USUAL))
    row: dict[str, Any] = {"kind": kind, "width": width, "samples": samples, "seed": seed, "T/T_SL": flow["T/T_SL"]}
    row["constant"] = {"error": inefficiency(constant, time_) / flow["T/T_SL"] - 1.0}
    row["rkc2"] = {"rtol": USUAL, "error": usual["T/T_SL"] / flow["T/T_SL"] - 1.0, "gradients": usual["gradients"]}
    row["rkc2"] |= {"seconds": usual_seconds, "exact_gradients": flow["gradients"], "exact_seconds": seconds}
    for intervals in (4, 8):
        path, seconds = clocked(lambda k=intervals: adapted(loss, time_, k))
        row[f"{intervals} intervals"] = {
            "error": inefficiency(path, time_) / flow["T/T_SL"] - 1.0,
            "kernels": 2 * intervals,
            "gradients": path.gradients,
            "seconds": seconds,
        }
    if seed == 0:
        path, seconds = clocked(lambda: adapted(loss, time_, 8, matrix_free=True))
        row["8 intervals, matrix-free"] = {
            "error": inefficiency(path, time_) / flow["T/T_SL"] - 1.0,
            "gradients": path.gradients,
            "seconds": seconds,
        }
    print(json.dumps(row), flush=True)
    return row


def law(widths: tuple[int, ...], samples: int, seeds: int, reach: float) -> dict[str, Any]:
    """Root mean square over the seeds of the relative errors of a constant kernel and of 8 intervals, by width."""
    errors = np.zeros((2, len(widths), seeds))
    for (row, width), seed in itertools.product(enumerate(widths), range(seeds)):
        loss = problem("fcn", width, samples, seed)
        constant, time_ = at_start(loss, reach)
        truth = followed(loss, time_, 1e-4)["T/T_SL"]
        errors[:, row, seed] = [inefficiency(path, time_) / truth - 1.0 for path in (constant, adapted(loss, time_, 8))]
        print(width, seed, errors[:, row, seed], flush=True)
    found = {
        name: np.sqrt(np.mean(part**2, axis=1)) for name, part in zip(("constant", "8 intervals"), errors, strict=True)
    }
    slope = float(np.polyfit(np.log(widths), np.log(found["constant"]), 1)[0])
    return {
        "sharpness_time": reach,
        "widths": list(widths),
        "samples": samples,
        "seeds": seeds,
        "rms_error": {name: values.tolist() for name, values in found.items()},
        "slope": slope,
    }


def at_start(loss: FlatLoss, reach: float) -> tuple[ConstantKernel, float]:
    """The kernel at initialisation, and the time that λ_max there makes of a number."""
    eigenvalues, vectors = eigenmodes(empirical_kernel(loss.model, loss.inputs))
    residual = KernelOperator(loss.model, loss.inputs).residual(loss.targets)
    return ConstantKernel(eigenvalues=eigenvalues, residual=vectors.T @ residual), reach / float(eigenvalues[0])


def followed(loss: FlatLoss, time_: float, rtol: float) -> dict[str, float]:
    """The flow itself, by rkc2."""
    run = gradient_flow(loss, loss.initial, np.array([0.0, time_]), rtol=rtol)
    return {
        "T/T_SL": time_ * float(run.path_dissipation[-1] / run.w2_squared[-1]),
        "gradients": int(run.gradient_evaluations[-1]),
    }


def adapted(loss: FlatLoss, time_: float, intervals: int, *, matrix_free: bool = False) -> AdaptedKernel:
    """The prediction."""
    return adapted_kernel(loss.model, loss.inputs, loss.targets, time_, intervals=intervals, matrix_free=matrix_free)


def inefficiency(path: ConstantKernel | AdaptedKernel, time_: float) -> float:
    """T/T_SL at the end."""
    return float(np.asarray(path.speed_limit(np.array([time_])).inefficiency)[0])


def clocked(work: Any) -> tuple[Any, float]:
    """What some work gives, and its seconds on the processor."""
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


if __name__ == "__main__":
    main()
