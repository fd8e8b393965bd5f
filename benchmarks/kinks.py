"""What kinks do to a flow: the small ReLU network from starts 1e-4 apart, of other seeds, and how long a zigzag is.

Run: OMP_NUM_THREADS=1 python benchmarks/kinks.py [--quick] [--out FILE]

λ_max·T is 1,000, λ_max that of the start. Descent takes steps of 1/λ_max, and of half of that once, the largest λ_max
on the way; rkc2 has rtol 1e-2.
"""

import json
from pathlib import Path
from typing import Any

import torch
from environment import command_line, write
from flow.problems import PROBLEMS, Problem
from torch import Tensor

from speedlimits.dynamics import descent
from speedlimits.dynamics.flow.gradient_flow import gradient_flow
from speedlimits.dynamics.loss import FlatLoss

RESULTS = Path(__file__).parent / "results" / "kinks.json"
NAME = "ReLU CNN"
# A start is moved by so much of its length.
MOVE = 1e-4
# Steps of descent between the ends of a chord: longer than the period of a zigzag, short beside the path.
CHORD = 64


def main() -> None:
    """Measure and write."""
    options = command_line(__doc__, RESULTS, quick="a short time: does it run?").parse_args()
    torch.set_num_threads(1)
    product, moves, seeds = (2.0, 1, [4]) if options.quick else (1e3, 5, [4, 5, 6, 7, 8, 9])
    problem = Problem.of(NAME, product)
    start, rng = problem.loss.initial, torch.Generator().manual_seed(0)
    ways = [torch.randn(start.numel(), generator=rng, dtype=start.dtype) for _ in range(moves)]
    results = {
        "problem": NAME,
        "sharpness_time": product,
        "move": MOVE,
        "chord": CHORD,
        "seed": PROBLEMS[NAME],
        "from_the_start": [measure(problem, start, share) for share in (0.5, 1.0)],
        "from_beside": [measure(problem, start + MOVE * start.norm() / way.norm() * way, 1.0) for way in ways],
        "other_seeds": {str(seed): of_seed(seed, product) for seed in seeds},
    }
    write(options.out, results)
    print(json.dumps(results, indent=2))


def of_seed(seed: int, product: float) -> dict[str, Any]:
    """The network of another seed, by descent and by rkc2."""
    problem = Problem.of(NAME, product, seed)
    return measure(problem, problem.loss.initial, 1.0)


def measure(problem: Problem, theta0: Tensor, share: float) -> dict[str, Any]:
    """Descent and rkc2 to the same time from the same start."""
    found = gradient_flow(problem.loss, theta0, [0.0, problem.end], rtol=1e-2)
    return {
        "descent": descend(problem.loss, theta0, problem.end, problem.learning_rate("gd_steepest", share)),
        "rkc2": {
            "w2_squared": float(found.w2_squared[-1]),
            "arc_length": float(found.arc_lengths[-1]),
            "gradients": int(found.gradient_evaluations[-1]),
        },
    }


def descend(loss: FlatLoss, theta0: Tensor, end: float, rate: float) -> dict[str, float]:
    """Gradient descent, its path measured step by step and by chords."""
    rate = descent.whole_steps(end, rate)
    state = descent.init(loss, theta0)
    last, chords = state.displacement, 0.0
    for _ in range(round(end / rate)):
        state = descent.step(loss, theta0, state, rate)
        if state.step % CHORD == 0:
            chords += float((state.displacement - last).norm())
            last = state.displacement
    return {
        "w2_squared": float(state.displacement.dot(state.displacement)),
        "arc_length": float(state.arc_length),
        "arc_length_by_chords": chords + float((state.displacement - last).norm()),
        "path_over_loss_drop": float(state.path_dissipation / (state.initial_loss - state.loss)),
        "gradients": state.gradient_evaluations,
    }


if __name__ == "__main__":
    main()
