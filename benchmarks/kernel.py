"""The empirical tangent kernel: time and memory beside its peers, and of the prediction that never forms it.

Peers that are installed are compared: nngeometry and curvlinops-for-pytorch (no dependency of this project); the recipe
of torch.func's tutorial needs torch alone. Every measurement has a process of its own, whose peak memory is read.

Run: OMP_NUM_THREADS=1 python benchmarks/kernel.py [--quick] [--out FILE]
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import write
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from speedlimits.kernel.empirical import empirical_kernel
from speedlimits.kernel.lanczos import residual_measure
from speedlimits.kernel.operator import KernelOperator

RESULTS = Path(__file__).parent / "results" / "kernel.json"
OUTPUTS = 10
# What takes longer is measured once.
SHORT = 10.0
# A peer is not asked for a size at which, growing with the square of it, it would take longer.
PATIENCE = 120.0


def main() -> None:
    """Measure every size, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run?")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the JSON goes")
    options = parser.parse_args()
    sizes, large, repeats = ((8,), (16, 32), 1) if options.quick else ((64, 256, 512, 1024), (1250, 2500, 5000), 3)
    results = {
        "outputs": OUTPUTS,
        "dense": {name: dense(name, sizes, repeats) for name in MODELS},
        "matrix_free": matrix_free(large, repeats),
    }
    write(options.out, results)
    print(json.dumps(results, indent=2))


def fcn() -> tuple[nn.Module, tuple[int, ...]]:
    """Two hidden layers of 128 on 64 inputs."""
    layers = nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, OUTPUTS)
    return nn.Sequential(*layers), (64,)


def cnn() -> tuple[nn.Module, tuple[int, ...]]:
    """Two convolutions with pooling on 8×8 images."""
    first = nn.Conv2d(1, 32, 3, padding=1), nn.GELU(), nn.AvgPool2d(2)
    second = nn.Conv2d(32, 64, 3, padding=1), nn.GELU(), nn.AvgPool2d(2), nn.Flatten()
    return nn.Sequential(*first, *second, nn.Linear(256, OUTPUTS)), (1, 8, 8)


MODELS = {"fcn": fcn, "cnn": cnn}


def ours(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """This project."""
    return empirical_kernel(model, inputs)


def torch_func(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """Jacobians of every weight for all samples, then one contraction a weight, as torch.func's tutorial has it."""
    weights = {name: weight.detach() for name, weight in model.named_parameters()}

    def outputs(weights: dict[str, Tensor], sample: Tensor) -> Tensor:
        return functional_call(model, weights, (sample[None],))[0]

    rows = vmap(jacrev(outputs), (None, 0))(weights, inputs)
    kernel = sum(torch.einsum("Naf,Mbf->NaMb", row.flatten(2), row.flatten(2)) for row in rows.values())
    assert isinstance(kernel, Tensor)
    return kernel.reshape(len(inputs) * OUTPUTS, -1).numpy()


def nngeometry(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """Nngeometry's Gram matrix, all samples in one batch."""
    from nngeometry import GramMatrix
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(inputs, torch.zeros(len(inputs), dtype=torch.int64))
    loader = DataLoader(data, batch_size=len(inputs))
    gram = GramMatrix(model, loader, function=lambda x, _: model(x)).to_torch()
    return gram.detach().permute(1, 0, 3, 2).reshape(len(inputs) * OUTPUTS, -1).numpy()


def curvlinops(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """The products of curvlinops' Jacobian and its transpose with unit vectors, 512 at a time."""
    from curvlinops import JacobianLinearOperator, TransposedJacobianLinearOperator

    data = [(inputs, torch.zeros(len(inputs), OUTPUTS, dtype=inputs.dtype))]
    weights = list(model.parameters())
    forwards = JacobianLinearOperator(model, weights, data, check_deterministic=False)
    backwards = TransposedJacobianLinearOperator(model, weights, data, check_deterministic=False)
    units = torch.eye(len(inputs) * OUTPUTS, dtype=inputs.dtype).split(512, dim=1)
    return torch.cat([forwards @ (backwards @ part) for part in units], dim=1).detach().numpy()


CONTESTANTS: dict[str, Callable[[nn.Module, Tensor], np.ndarray]] = {
    "speedlimits": ours,
    "torch.func": torch_func,
    "nngeometry": nngeometry,
    "curvlinops": curvlinops,
}


def dense(model: str, sizes: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """Seconds and bytes of every contestant at every number of samples, and the ratios to the best peer."""
    found: dict[str, Any] = {}
    pace = dict.fromkeys(CONTESTANTS, 0.0)
    for size in sizes:
        rows: dict[str, Any] = {}
        for name in CONTESTANTS:
            if (expected := pace[name] * size**2) > PATIENCE and name != "speedlimits":
                rows[name] = {"skipped": f"would take {expected:.0f} s"}
                continue
            runs = [alone(dense_once, model, name, size)]
            if "skipped" in runs[0]:
                rows[name] = runs[0]
                continue
            if runs[0]["seconds"] < SHORT:
                runs += [alone(dense_once, model, name, size) for _ in range(repeats - 1)]
            rows[name] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            pace[name] = rows[name]["seconds"] / size**2
        reference = rows["speedlimits"]
        for name, row in rows.items():
            if "skipped" not in row:
                # Not every peer keeps the precision of the weights in all layers.
                row["differs"] = abs(row["check"] / reference["check"] - 1)
                assert row["differs"] < 1e-4, f"{name} computes something else"
        peers = [row for name, row in rows.items() if name != "speedlimits" and "skipped" not in row]
        if peers:
            rows["faster_than_best"] = min(row["seconds"] for row in peers) / reference["seconds"]
            rows["memory_of_best"] = reference["bytes"] / min(row["bytes"] for row in peers)
        found[str(size)] = rows
        print(model, size, json.dumps(rows), flush=True)
    return found


def dense_once(model: str, name: str, size: int) -> dict[str, Any]:
    """One kernel: seconds, bytes beyond what was there before, and a number that depends on all of it."""
    network, shape = build(model)
    contestant = CONTESTANTS[name]
    try:
        contestant(network, samples(2, shape))
    except ImportError as error:
        return {"skipped": str(error)}
    inputs = samples(size, shape)
    before, start = peak(), time.perf_counter()
    kernel = contestant(network, inputs)
    seconds, after = time.perf_counter() - start, peak()
    probe = np.random.default_rng(0).standard_normal(len(kernel))
    return {"seconds": seconds, "bytes": after - before, "check": float(probe @ kernel @ probe)}


def matrix_free(sizes: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """Seconds for one product at every size and their slope; the whole curve at the largest."""
    products = {size: statistics.median(alone(product_once, size)["seconds"] for _ in range(repeats)) for size in sizes}
    slope = np.polyfit(np.log(list(products)), np.log(list(products.values())), 1)[0]
    found = {"product_seconds": {str(size): seconds for size, seconds in products.items()}, "slope": float(slope)}
    found["curve"] = alone(curve_once, sizes[-1])
    return found


def product_once(size: int) -> dict[str, Any]:
    """Θu for one vector."""
    network, shape = build("fcn")
    operator = KernelOperator(network, samples(size, shape))
    vector = np.ones(operator.size)
    operator(vector)
    start = time.perf_counter()
    for _ in range(5):
        operator(vector)
    return {"seconds": (time.perf_counter() - start) / 5}


def curve_once(size: int) -> dict[str, Any]:
    """Distance, dissipation, length and inefficiency at 100 times up to λ_max t = 1e4."""
    network, shape = build("fcn")
    inputs = samples(size, shape)
    before, start = peak(), time.perf_counter()
    operator = KernelOperator(network, inputs)
    residual = operator.residual(np.random.default_rng(0).standard_normal((size, OUTPUTS)))
    vector = residual / np.linalg.norm(residual)
    for _ in range(5):
        vector = operator(vector)
        top = float(np.linalg.norm(vector))
        vector /= top
    times = np.geomspace(1e-2, 1e4, 100) / top
    measure = residual_measure(operator, residual, times, tolerance=1e-8)
    measure.speed_limit(times)
    return {
        "samples": size,
        "seconds": time.perf_counter() - start,
        "bytes": peak() - before,
        "dense_kernel_bytes": 8 * (size * OUTPUTS) ** 2,
        "products": measure.products,
        "error": measure.error,
    }


def build(model: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A network in float64 with weights from seed 0, and the shape of its inputs."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    network, shape = MODELS[model]()
    return network.double().eval(), shape


def samples(size: int, shape: tuple[int, ...]) -> Tensor:
    """Gaussian inputs."""
    return torch.randn(size, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def peak() -> int:
    """Largest memory this process has held so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def alone(task: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run a task in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(task, arguments)


if __name__ == "__main__":
    main()
