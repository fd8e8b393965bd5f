"""The empirical tangent kernel: time and memory beside its peers, and of the prediction that never forms it.

Run: OMP_NUM_THREADS=1 python benchmarks/kernel.py [--quick] [--repeats N] [--out FILE]
     [--only fcn:256 "fcn curve" …], which measures these parts and keeps the other results of FILE

Networks see the first images of CIFAR-10 where $SPEEDLIMITS_DATA has them, and Gaussian inputs where not; the results
say which. Every measurement has a process of its own, whose peak memory is read; contestants take turns. Ratios are of
seconds on the processor, which other work on the machine matters less to. Peers are in `peers/tangent_kernels.py`.
"""

import contextlib
import ctypes
import gc
import json
import multiprocessing
import os
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import command_line, environment, write
from peers.tangent_kernels import CONTESTANTS
from torch import Tensor, nn

from speedlimits.data.cifar10 import ENVIRONMENT, cifar10
from speedlimits.kernel.empirical import empirical_kernel
from speedlimits.kernel.lanczos import residual_measure
from speedlimits.kernel.operator import KernelOperator
from speedlimits.models.myrtle import Myrtle5

RESULTS = Path(__file__).parent / "results" / "kernel.json"
OURS = "speedlimits"
OUTPUTS = 10
SIZES, LARGE, REPEATS = (16, 64, 256, 512, 1024), (1250, 2500, 5000), 3
QUICK_SIZES, QUICK_LARGE = (4,), (8, 16)
# What takes longer is measured once.
SHORT = 3.0
# A peer is not asked for a size at which it would take longer.
PATIENCE = 20.0
# No process gets more; a peer is not asked for a size at which it would.
MEMORY = 14e9
# λ_max t up to which the curve is predicted.
LONGEST = {"fcn": 1e4, "cnn": 1e3}


def main() -> None:
    """Measure every part, and write what was found after each."""
    parser = command_line(__doc__, RESULTS)
    parser.add_argument("--only", nargs="+", metavar="PART", help="parts to measure, the rest kept")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="rounds, of which medians are taken")
    options = parser.parse_args()
    sizes, large = (QUICK_SIZES, QUICK_LARGE) if options.quick else (SIZES, LARGE)
    repeats = 1 if options.quick else options.repeats
    jobs: dict[str, Callable[[dict[str, Any]], None]] = {}
    for model in PEERED:
        jobs |= {f"{model}:{size}": _dense_job(model, size, repeats) for size in sizes}
        jobs |= {f"{model} products": _products_job(model, large, repeats)}
        jobs |= {f"{model} curve": _curve_job(model, large[-1])}
        jobs |= {f"{model} curve float32": _curve_job(model, large[-1], torch.float32)}
    for model, counts in PRECISIONS.items():
        counts = QUICK_SIZES if options.quick else counts
        jobs |= {f"{model}:{size} float32": _precisions_job(model, size, repeats) for size in counts}
    results: dict[str, Any] = {"outputs": OUTPUTS, "dense": {}, "precisions": {}, "matrix_free": {}, "measured_in": {}}
    if options.only and options.out.exists():
        results = {key: value for key, value in json.loads(options.out.read_text()).items() if key != "environment"}
    results["inputs"] = "the first images of CIFAR-10" if ENVIRONMENT in os.environ else "Gaussian"
    for name in options.only or jobs:
        jobs[name](results)
        results["measured_in"][name] = {key: environment()[key] for key in ("argv", "git", "processor", "threads")}
        write(options.out, results)


def fcn() -> nn.Module:
    """Two hidden layers of 64 on 32×32 images of three colours."""
    layers = nn.Linear(3072, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, OUTPUTS)
    return nn.Sequential(nn.Flatten(), *layers)


def cnn() -> nn.Module:
    """Two convolutions, of 16 and 32 channels, with pooling, and a dense layer."""
    first = nn.Conv2d(3, 16, 3, padding=1), nn.GELU(), nn.AvgPool2d(2)
    second = nn.Conv2d(16, 32, 3, padding=1), nn.GELU(), nn.AvgPool2d(2), nn.Flatten()
    return nn.Sequential(*first, *second, nn.Linear(2048, OUTPUTS))


def myrtle() -> nn.Module:
    """The study's network, of 16 channels."""
    return Myrtle5(3, OUTPUTS, width=16, generator=torch.Generator().manual_seed(0))


MODELS = {"fcn": fcn, "cnn": cnn, "myrtle": myrtle}
# What peers are asked for.
PEERED = ("fcn", "cnn")
# Kernels in both precisions, which have no peer: also of the network that studies train.
PRECISIONS = {"fcn": (256, 1024), "cnn": (256, 512), "myrtle": (250, 500, 1000)}


def _dense_job(model: str, size: int, repeats: int) -> Callable[[dict[str, Any]], None]:
    def job(results: dict[str, Any]) -> None:
        rows = results["dense"].setdefault(model, {})
        rows[str(size)] = dense(model, size, repeats, {int(n): row for n, row in rows.items()})
        print(model, size, json.dumps(rows[str(size)]), flush=True)

    return job


def _precisions_job(model: str, size: int, repeats: int) -> Callable[[dict[str, Any]], None]:
    def job(results: dict[str, Any]) -> None:
        runs = [alone(precisions_once, model, size) for _ in range(repeats)]
        row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        results.setdefault("precisions", {}).setdefault(model, {})[str(size)] = row
        print(model, size, json.dumps(row), flush=True)

    return job


def _products_job(model: str, sizes: tuple[int, ...], repeats: int) -> Callable[[dict[str, Any]], None]:
    def job(results: dict[str, Any]) -> None:
        runs = [{size: alone(product_once, model, size)["cpu_seconds"] for size in sizes} for _ in range(repeats)]
        seconds = [statistics.median(run[size] for run in runs) for size in sizes]
        slope = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
        found = {"product_cpu_seconds": dict(zip(map(str, sizes), seconds, strict=True)), "slope": slope}
        results["matrix_free"].setdefault(model, {}).update(found)
        print(model, json.dumps(found), flush=True)

    return job


def _curve_job(model: str, size: int, dtype: torch.dtype = torch.float64) -> Callable[[dict[str, Any]], None]:
    def job(results: dict[str, Any]) -> None:
        curve = alone(curve_once, model, size, dtype)
        results["matrix_free"].setdefault(model, {})["curve" if dtype == torch.float64 else "curve_float32"] = curve
        print(model, json.dumps(curve), flush=True)

    return job


def dense(model: str, size: int, repeats: int, earlier: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Seconds and bytes of every contestant at one number of samples, and the ratios to the best peer."""
    rows: dict[str, Any] = {}
    runs: dict[str, list[dict[str, Any]]] = {}
    for turn in range(repeats):
        for name in CONTESTANTS:
            if name in rows or (turn and runs[name][0]["cpu_seconds"] > SHORT):
                continue
            reason = None if name == OURS else too_much(name, size, earlier)
            run = {"skipped": reason} if reason else alone(dense_once, model, name, size)
            if "skipped" in run:
                rows[name] = run
            else:
                runs.setdefault(name, []).append(run)
    rows |= {name: {key: statistics.median(run[key] for run in of) for key in of[0]} for name, of in runs.items()}
    reference = rows[OURS]
    for name in runs:
        # Not every peer keeps the precision of the weights in all layers.
        rows[name]["differs"] = abs(rows[name]["check"] / reference["check"] - 1)
        assert rows[name]["differs"] < 1e-4, f"{name} computes something else"
    peers = [rows[name] for name in runs if name != OURS]
    if peers:
        rows["faster_than_best"] = min(row["cpu_seconds"] for row in peers) / reference["cpu_seconds"]
        rows["memory_of_best"] = reference["bytes"] / max(1, min(row["bytes"] for row in peers))
    return rows


def too_much(name: str, size: int, earlier: dict[int, dict[str, Any]]) -> str | None:
    """Why a peer is not asked, as its smaller sizes have it."""
    smaller = {n: row[name] for n, row in sorted(earlier.items()) if n < size and name in row}
    for n, row in smaller.items():
        if "skipped" in row:
            return row["skipped"] if "install" in row["skipped"] else f"was too much at {n} already"
    if not smaller:
        return None
    if (seconds := grown(smaller, size, "cpu_seconds")) > PATIENCE:
        return f"would take about {seconds:.0f} s"
    if (needed := grown(smaller, size, "bytes")) > MEMORY:
        return f"would need about {needed / 1e9:.0f} GB"
    return None


def grown(smaller: dict[int, dict[str, Any]], size: int, key: str) -> float:
    """What a larger size takes: it grows as it did between the last two, with the number of samples or its square."""
    last = max(smaller)
    power = 1.0
    if len(smaller) > 1:
        before = sorted(smaller)[-2]
        power = float(np.log(smaller[last][key] / max(smaller[before][key], 1e-3)) / np.log(last / before))
    return smaller[last][key] * (size / last) ** min(2.0, max(1.0, power))


def dense_once(model: str, name: str, size: int) -> dict[str, Any]:
    """One kernel: seconds, bytes beyond what was there before, and a number that depends on all of it."""
    network, contestant = build(model), CONTESTANTS[name]
    try:
        contestant(network, images(2))
    except ImportError as error:
        return {"skipped": f"not installed ({error})"}
    inputs = images(size)
    before, start = settled(), clocks()
    try:
        kernel = contestant(network, inputs)
    except (MemoryError, RuntimeError) as error:
        if "alloc" not in str(error):
            raise
        return {"skipped": f"needs more than {MEMORY / 1e9:.0f} GB"}
    found = clocks(start) | {"bytes": peak() - before}
    probe = np.random.default_rng(0).standard_normal(len(kernel))
    return found | {"check": float(probe @ kernel @ probe)}


def precisions_once(model: str, size: int) -> dict[str, Any]:
    """One kernel in float64 and one by float32 passes, and their difference in norm."""
    network, inputs = build(model), images(size)
    found = {}
    for name, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        empirical_kernel(network, inputs[:4], dtype=dtype)
        start = clocks()
        # Not kept: the second would have to be put where no memory has been used before.
        empirical_kernel(network, inputs, dtype=dtype)
        found[f"{name}_cpu_seconds"] = clocks(start)["cpu_seconds"]
    exact, single = empirical_kernel(network, inputs), empirical_kernel(network, inputs, dtype=torch.float32)
    norm = np.linalg.norm(exact)
    single -= exact
    return found | {
        "error": float(np.linalg.norm(single) / norm),
        "peak_bytes": peak(),
    }


def product_once(model: str, size: int) -> dict[str, Any]:
    """Θu for one vector."""
    operator = KernelOperator(build(model), images(size))
    vector = np.ones(operator.size)
    operator(vector)
    repeats, start = 3, clocks()
    for _ in range(repeats):
        operator(vector)
    return {name: seconds / repeats for name, seconds in clocks(start).items()}


def curve_once(model: str, size: int, dtype: torch.dtype) -> dict[str, Any]:
    """Distance, dissipation, length and inefficiency at 100 times, and the largest eigenvalue on the way."""
    network, inputs = build(model), images(size)
    before, start = settled(), clocks()
    operator = KernelOperator(network, inputs, dtype=dtype)
    residual = operator.residual(np.random.default_rng(0).standard_normal((size, OUTPUTS)))
    vector, top = residual / np.linalg.norm(residual), 0.0
    for _ in range(5):
        vector = operator(vector)
        top = float(np.linalg.norm(vector))
        vector /= top
    times = np.geomspace(1e-2, LONGEST[model], 100) / top
    measure = residual_measure(operator, residual, times, tolerance=1e-8 if dtype == torch.float64 else 1e-6)
    measure.speed_limit(times)
    return {
        "samples": size,
        "longest": LONGEST[model],
        **clocks(start),
        "bytes": peak() - before,
        "peak_bytes": peak(),
        "dense_kernel_bytes": 8 * (size * OUTPUTS) ** 2,
        "products": measure.products,
        "error": measure.error,
        "rounding": operator.rounding,
    }


def build(model: str) -> nn.Module:
    """A network in float64 with weights from seed 0, in a process that is not given all memory."""
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_DATA, (int(MEMORY), resource.RLIM_INFINITY))
    return MODELS[model]().double().eval()


def images(size: int) -> Tensor:
    """The first images of CIFAR-10 where they are at hand, else Gaussian ones."""
    if ENVIRONMENT in os.environ:
        return torch.as_tensor(cifar10(size).inputs, dtype=torch.float64)
    return torch.randn(size, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def clocks(start: dict[str, float] | None = None) -> dict[str, float]:
    """Seconds on the wall and on the processor, since the start if there is one."""
    now = {"seconds": time.perf_counter(), "cpu_seconds": time.process_time()}
    return {name: value - start[name] for name, value in now.items()} if start else now


def settled() -> int:
    """Memory held now; the peak starts from here."""
    gc.collect()
    # Linux: what loading the images took for a moment is given back, and forgotten.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak()


def peak() -> int:
    """Largest memory this process has held, in bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def alone(task: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run a task in a fresh process."""
    # From a server that has loaded torch and run nothing yet.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["peers.tangent_kernels", "speedlimits.kernel.lanczos", "speedlimits.data.cifar10"])
    with context.Pool(1) as pool:
        return pool.apply(task, arguments)


if __name__ == "__main__":
    main()
