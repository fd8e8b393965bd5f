"""What a member of a study spends on gradients, accuracies and the rest, beside minimal loops, layouts and processes.

Run: OMP_NUM_THREADS=1 python benchmarks/study.py [--quick] [--out FILE] [--only processes layouts members],
     which measures these and keeps the other results of FILE

The network is Myrtle-5 in float32 on the first images of CIFAR-10, or on digits where `SPEEDLIMITS_DATA` has none.
Every ratio compares runs that take turns.
"""

import dataclasses
import itertools
import json
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import command_line, medians, write
from torch import Tensor, nn

from speedlimits._machine import keep_freed_memory
from speedlimits.dynamics.loss import half_squared_error, value_and_gradient
from speedlimits.dynamics.samples import as_tuple
from speedlimits.errors import DataError
from speedlimits.runs.config import RunConfig
from speedlimits.runs.member import MemberStore
from speedlimits.training.built_in import CHUNKS, BuiltIn
from speedlimits.training.member import measure_sharpness, train_member
from speedlimits.training.methods import choose_plan
from speedlimits.training.presets import preset
from speedlimits.training.problem import Problem
from speedlimits.training.sources import Source
from speedlimits.training.train import train_run
from speedlimits.trajectory import Trajectory

RESULTS = Path(__file__).parent / "results" / "study.json"
# (width, images, chunks): the sizes of the preset small, and the paper's width.
LAYOUTS = ((16, 125, (16, 32, 64, 125)), (16, 500, (16, 32, 64, 128, 500)), (128, 64, (8, 16, 32, 64)))
STEP = 1e-5


def main() -> None:
    """Measure and write."""
    parser = command_line(__doc__, RESULTS)
    parser.add_argument("--only", nargs="+", choices=("processes", "layouts", "members"), help="keep the rest of FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # As in a worker.
    keep_freed_memory()
    base = preset("small")["myrtle-n00125"]
    if options.quick or not available(base):
        base = dataclasses.replace(base, dataset="digits")
    if options.quick:
        base = dataclasses.replace(base, width=4, records=8, snapshots=3)
        layouts, members, scaling = ((4, 10, (4, 10)),), [(10, 0.01)], (10, 0.01)
    else:
        layouts, members, scaling = LAYOUTS, [(125, 0.2), (500, 0.05)], (250, 0.5)
    repeats = 1 if options.quick else 5
    measures: dict[str, Callable[[], Any]] = {
        "processes": lambda: by_processes(sized(base, *scaling), 1 if options.quick else 2),
        "layouts": lambda: [by_layout(base, *case, repeats) for case in layouts],
        "members": lambda: [by_member(sized(base, *case), 1 if options.quick else 2) for case in members],
    }
    before = json.loads(options.out.read_text()) if options.only else {}
    measured = {name: measure() for name, measure in measures.items() if name in (options.only or measures)}
    results = before | {"dataset": base.dataset, "dtype": base.dtype} | measured
    results.pop("environment", None)
    write(options.out, results)
    print(json.dumps(results, indent=2))


def available(config: RunConfig) -> bool:
    """Whether the data set is there."""
    try:
        BuiltIn(config).check()
    except DataError:
        return False
    return True


def sized(base: RunConfig, samples: int, time: float) -> RunConfig:
    """The same study of other size and length."""
    return dataclasses.replace(base, samples=samples, time=time)


def by_layout(base: RunConfig, width: int, samples: int, chunks: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """Gradients per second of the network as one writes it in PyTorch: by memory layout, chunk, and with oneDNN or not.

    Returns:
        Rates by name, and each over the best.
    """
    config = dataclasses.replace(base, width=width, samples=samples)
    loss = Source.of(config).build(config, 0).flat_loss
    contestants = {}
    for layout, onednn, chunk in itertools.product(("nchw", "channels_last"), (True, False), chunks):
        # Without oneDNN only where it might matter: as usually written, and in the study's chunks.
        if onednn or chunk in {samples, CHUNKS["cpu"]}:
            name = f"{layout}, {'oneDNN' if onednn else 'native'}, chunk {chunk}"
            contestants[name] = gradient(plain_myrtle(as_tuple(loss.inputs)[0], width), loss, layout, onednn, chunk)
    rates = {name: 1 / seconds for name, seconds in medians(contestants, repeats).items()}
    return {
        "width": width,
        "samples": samples,
        "gradients_per_second": rates,
        "over_best": {name: rate / max(rates.values()) for name, rate in rates.items()},
    }


def plain_myrtle(images: Tensor, width: int) -> nn.Module:
    """Myrtle-5 of PyTorch's own layers."""
    layers: list[nn.Module] = []
    for inputs, pooled in zip((images.shape[1], width, width, width), (False, True, True, False), strict=True):
        layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.ReLU()]
        layers += [nn.AvgPool2d(2)] if pooled else []
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10, bias=False)]
    return nn.Sequential(*layers).to(images.dtype)


def gradient(model: nn.Module, loss: Any, layout: str, onednn: bool, chunk: int) -> Callable[[], None]:
    """One full-batch gradient by `backward`, and nothing else."""
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model = model.to(memory_format=form)  # type: ignore[call-overload]  (torch's stubs lack this one)
    pieces = list(zip(loss.inputs.split(chunk), loss.targets.split(chunk), strict=True))
    pieces = [(inputs.contiguous(memory_format=form), targets) for inputs, targets in pieces]

    def once() -> None:
        before = torch.backends.mkldnn.enabled
        torch.backends.mkldnn.enabled = onednn
        model.zero_grad()
        for inputs, targets in pieces:
            half_squared_error(model(inputs), targets).backward()
        torch.backends.mkldnn.enabled = before

    return once


def by_member(config: RunConfig, repeats: int) -> dict[str, Any]:
    """A member of a study, from building its problem to its finished folder, beside what it is made of.

    Its gradients alone, its accuracies alone, and loops of as many gradients as one writes them in PyTorch: steps of
    gradient descent with the module's own weights, which keep nothing and classify nothing. One loop takes all images
    at once, as such loops do, and one the study's chunks.

    Returns:
        Seconds on the processor of each, the rest of the member's, and the share by which the member without its
        accuracies differs from the loops.
    """
    source = Source.of(config)
    plan = choose_plan(config, {0: measure_sharpness(config, 0, source)})
    problem = source.build(config, 0)
    made: list[Trajectory] = []

    def member() -> None:
        with tempfile.TemporaryDirectory() as folder:
            deque(train_member(config, 0, plan, Path(folder), source), maxlen=0)
            made.append(MemberStore(Path(folder)).trajectory())

    member()
    gradients = int(made[0].gradient_evaluations[-1])
    accuracies = int(np.isfinite(made[0].test_accuracy).sum())
    seconds = medians(
        {
            "member": member,
            "gradients": lambda: repeat(lambda: value_and_gradient(problem.flat_loss, problem.theta0), gradients),
            "accuracies": lambda: repeat(lambda: problem.accuracy(problem.theta0), accuracies),
            "loop": lambda: loop(source.build(config, 0), gradients, config.size),
            "loop in chunks": lambda: loop(source.build(config, 0), gradients, CHUNKS["cpu"]),
        },
        repeats,
        time.process_time,
    )
    spent = seconds["member"] - seconds["accuracies"]
    return {
        "width": config.width,
        "samples": config.samples,
        "gradients": gradients,
        "accuracies": accuracies,
        "seconds": seconds | {"rest": spent - seconds["gradients"]},
        "overhead": {name: spent / seconds[name] - 1 for name in ("loop", "loop in chunks")},
    }


def repeat(work: Callable[[], object], times: int) -> None:
    """The same, so many times."""
    for _ in range(times):
        work()


def loop(problem: Problem, gradients: int, chunk: int) -> None:
    """Gradient descent as one writes it."""
    model, inputs, targets = problem.model, as_tuple(problem.inputs)[0], problem.targets
    pieces = list(zip(inputs.split(chunk), targets.split(chunk), strict=True))
    optimizer = torch.optim.SGD(model.parameters(), lr=STEP)
    for _ in range(gradients):
        optimizer.zero_grad()
        for images, wanted in pieces:
            half_squared_error(model(images), wanted).backward()
        optimizer.step()


def by_processes(config: RunConfig, repeats: int) -> dict[str, Any]:
    """Two members one after the other and side by side, from the command to the finished run folder.

    Returns:
        Seconds, and how many times faster two processes are.
    """
    config = dataclasses.replace(config, seeds=(0, 1))

    def run(workers: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            train_run(config, Path(folder) / "run", workers=workers)

    seconds = medians({str(workers): lambda workers=workers: run(workers) for workers in (1, 2)}, repeats)
    return {"samples": config.samples, "members": 2, "seconds": seconds, "speedup": seconds["1"] / seconds["2"]}


if __name__ == "__main__":
    main()
