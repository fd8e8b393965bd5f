"""Langevin steps of many networks beside posteriors' SGLD and a plain loop, and bounds for a large ensemble.

Run: OMP_NUM_THREADS=1 python benchmarks/langevin.py [--quick] [--out FILE]

posteriors is no dependency: without it (``pip install posteriors``) its column is null, with the reason.
"""

import json
import math
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import command_line, medians, write
from torch.func import vmap

from speedlimits.data.digits import digits
from speedlimits.dissipation.bounds import maximum_entropy
from speedlimits.dynamics.loss import FlatLoss, value_and_gradient
from speedlimits.dynamics.noise import langevin
from speedlimits.models.fcn import FCN
from speedlimits.transport import bounds
from speedlimits.transport.directions import changed_directions

RESULTS = Path(__file__).parent / "results" / "langevin.json"
BETA, STEP = 10.0, 1e-3


def main() -> None:
    """Run both benchmarks and write what they found."""
    options = command_line(__doc__, RESULTS).parse_args()
    if options.quick:
        results = {"steps": [stepping(8, 4, 2, 3)], "bounds": [bounding(16, 500)]}
    else:
        sizes = ((100, 8), (1000, 8), (100, 64))
        results = {
            "steps": [stepping(members, width, 10, 5) for members, width in sizes],
            "bounds": [bounding(1000, weights) for weights in (20_000, 100_000)],
        }
    write(options.out, results)
    print(json.dumps(results, indent=2))


def stepping(members: int, width: int, steps: int, repeats: int) -> dict[str, Any]:
    """Members × weights × steps per second of Euler–Maruyama, the same ensemble and potential for all.

    Args:
        members: networks.
        width: hidden units, between the 64 pixels and 10 classes of 20 digits.
        steps: of each run.
        repeats: rounds.

    Returns:
        Throughputs and ratios.
    """
    data = digits(20)
    model = FCN(64, 10, width=width, depth=1, generator=torch.Generator().manual_seed(0))
    loss = FlatLoss(model, torch.as_tensor(data.inputs), torch.as_tensor(data.targets))
    dynamics = langevin.Langevin(loss=loss, inverse_temperature=BETA, time_step=STEP, prior_precision=0.5 / BETA)
    thetas = langevin.prior(dynamics, members, loss.initial.numel(), seed=0)
    start = langevin.init(dynamics, thetas, seed=1)
    contestants: dict[str, Callable[[], object]] = {
        "ours": lambda: list(langevin.integrate(dynamics, start, [steps])),
        "plain_loop": lambda: plain(dynamics, thetas, steps),
    }
    peer, reason = posteriors(dynamics, thetas, steps)
    if peer is not None:
        contestants["posteriors"] = peer
    seconds = medians(contestants, repeats)
    work = members * thetas.shape[1] * steps
    return {
        "members": members,
        "weights": thetas.shape[1],
        "repeats": repeats,
        "member_weight_steps_per_second": {name: work / value for name, value in seconds.items()},
        "ratio_to_plain_loop": seconds["plain_loop"] / seconds["ours"],
        "ratio_to_posteriors": seconds["posteriors"] / seconds["ours"] if peer else None,
        "posteriors_missing_because": reason,
    }


def plain(dynamics: langevin.Langevin, thetas: torch.Tensor, steps: int) -> torch.Tensor:
    """What one writes first: members one after the other, one gradient a step."""
    ends = []
    for theta in thetas:
        for _ in range(steps):
            _, gradient = value_and_gradient(dynamics.loss, theta)
            drift = 2 * dynamics.prior_precision * theta + gradient
            theta = theta - STEP * drift + math.sqrt(2 * STEP / BETA) * torch.randn_like(theta)
        ends.append(theta)
    return torch.stack(ends)


def posteriors(
    dynamics: langevin.Langevin, thetas: torch.Tensor, steps: int
) -> tuple[Callable[[], object] | None, str | None]:
    """SGLD of posteriors on the whole ensemble at once: its fastest use, one log density summed over members."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from posteriors.sgmcmc import sgld  # type: ignore[import-not-found]
    except ImportError as error:
        return None, str(error)

    def log_posterior(ensemble: torch.Tensor, _: Any) -> tuple[torch.Tensor, torch.Tensor]:
        losses = vmap(dynamics.loss)(ensemble)
        return -dynamics.potentials(ensemble, losses).sum(), torch.tensor([])

    transform = sgld.build(log_posterior, lr=STEP, temperature=1 / BETA)

    def run() -> object:
        state = transform.init(thetas)
        for _ in range(steps):
            state, _ = transform.update(state, None)
        return state

    return run, None


def bounding(members: int, weights: int) -> dict[str, Any]:
    """Seconds and peak memory of the bounds behind a certified limit, ensembles in float32.

    Args:
        members: networks.
        weights: of each.

    Returns:
        CPU seconds by bound, and the peak in bytes on top of the two ensembles.
    """
    rng = np.random.default_rng(0)
    start, end = (rng.standard_normal((members, weights), dtype=np.float32) for _ in range(2))
    before, after = rng.standard_normal((2, members))
    layers = [weights // 2, weights - weights // 2]
    directions = changed_directions(start, end)
    tasks: dict[str, Callable[[], object]] = {
        "mean_shift": lambda: bounds.mean_shift(start, end),
        "trace_bound": lambda: bounds.trace_bound(start, end, blocks=layers),
        "changed_directions": lambda: changed_directions(start, end),
        "gelbrich": lambda: bounds.gelbrich(start, end, directions=directions),
        "max_sliced": lambda: bounds.max_sliced(start, end, directions=directions),
        "maximum_entropy": lambda: maximum_entropy(before, after, end, entropy_start=0.0, inverse_temperature=1.0),
    }
    seconds = {}
    tracemalloc.start()
    for name, task in tasks.items():
        begin = time.thread_time()
        task()
        seconds[name] = time.thread_time() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    ensembles = start.nbytes + end.nbytes
    return {
        "members": members,
        "weights": weights,
        "seconds": seconds,
        "peak_bytes_above_ensembles": peak,
        "ensemble_bytes": ensembles,
        "total_bytes": peak + ensembles,
    }


if __name__ == "__main__":
    main()
