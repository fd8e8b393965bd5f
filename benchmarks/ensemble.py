"""An ensemble's gradients per second: a process for each member, or all in lock-step by torch.func.vmap.

Run: OMP_NUM_THREADS=1 python benchmarks/ensemble.py [--quick] [--out FILE]
"""

import json
import math
import multiprocessing
import os
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from environment import command_line, medians, write
from torch.func import grad, vmap

from speedlimits.dynamics.loss import value_and_gradient
from speedlimits.runs.config import RunConfig
from speedlimits.training.problem import Problem
from speedlimits.training.sources import Source

RESULTS = Path(__file__).parent / "results" / "ensemble.json"
MEMBERS = 6
# Networks of the demo's kind, narrow to wide.
WIDTHS = (16, 64, 256)


def main() -> None:
    """Measure each width and write what was found."""
    options = command_line(__doc__, RESULTS).parse_args()
    widths, gradients, repeats = ((8,), 3, 1) if options.quick else (WIDTHS, 60, 5)
    results = {
        "members": MEMBERS,
        "samples": 500,
        "repeats": repeats,
        "widths": {str(width): measure(width, gradients, repeats) for width in widths},
    }
    write(options.out, results)
    print(json.dumps(results, indent=2))


def measure(width: int, gradients: int, repeats: int) -> dict[str, Any]:
    """Gradients per second over all members, by way of computing them.

    Args:
        width: of the network.
        gradients: that each member computes.
        repeats: rounds.

    Returns:
        Gradients per second by name, and how many times faster processes are than lock-step.
    """
    config = RunConfig(width=width, samples=500, seeds=tuple(range(MEMBERS)))
    cores = os.cpu_count() or 1
    # Spawned, not forked: a fork of a process that has used torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    with context.Pool(cores) as pool:
        one_each = partial(descend, config, gradients)
        seconds = medians(
            {
                "loop": lambda: [one_each(seed) for seed in config.seeds],
                "processes": lambda: pool.map(one_each, config.seeds, chunksize=1),
                "vmap": lambda: lock_step(config, gradients, threads=1),
                "vmap, all cores": lambda: lock_step(config, gradients, threads=cores),
            },
            repeats,
        )
    rates = {name: MEMBERS * gradients / value for name, value in seconds.items()}
    ratio = rates["processes"] / max(rates["vmap"], rates["vmap, all cores"])
    return {"cores": cores, "gradients_per_second": rates, "processes_over_vmap": ratio}


@cache
def member(config: RunConfig, seed: int) -> Problem:
    """A member's problem, built once in each process."""
    return Source.of(config).build(config, seed)


def descend(config: RunConfig, gradients: int, seed: int) -> float:
    """So many gradients of one member, one after the other, as an integrator asks for them."""
    torch.set_num_threads(1)
    problem = member(config, seed)
    theta, value = problem.theta0, math.nan
    for _ in range(gradients):
        value, gradient = value_and_gradient(problem.flat_loss, theta)
        theta = theta - 1e-6 * gradient
    return float(value)


def lock_step(config: RunConfig, gradients: int, threads: int) -> float:
    """The same for all members at once: one batch of weight vectors through one network."""
    torch.set_num_threads(threads)
    problems = [member(config, seed) for seed in config.seeds]
    theta = torch.stack([problem.theta0 for problem in problems])
    together = vmap(grad(problems[0].flat_loss))
    for _ in range(gradients):
        theta = theta - 1e-6 * together(theta)
    torch.set_num_threads(1)
    return float(theta.sum())


if __name__ == "__main__":
    main()
