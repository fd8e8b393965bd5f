"""Closed forms against their peers: Eq. (79) against adaptive quadrature, NTK curves against their exponentials.

Run: OMP_NUM_THREADS=1 python benchmarks/theory.py [--quick] [--out FILE]
"""

import json
import math
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from environment import command_line, medians, write
from scipy.integrate import IntegrationWarning, quad

from speedlimits.theory.constant_kernel import ConstantKernel
from speedlimits.theory.regression_limit import RegressionLimit

RESULTS = Path(__file__).parent / "results" / "theory.json"
# Numbers of a block that stays in the processor's cache.
BLOCK = 16_384


def main() -> None:
    """Run both benchmarks and write what they found."""
    options = command_line(__doc__, RESULTS).parse_args()
    repeats = 5
    if options.quick:
        results = {"linear_regression": regression([100], 3, repeats), "ntk": curves(100, 20, repeats)}
    else:
        results = {
            "linear_regression": regression([1_000, 10_000, 100_000], 30, repeats),
            "ntk": curves(50_000, 1_000, repeats),
        }
    results = {"repeats": repeats, **results}
    write(options.out, results)
    print(json.dumps(results, indent=2))


def regression(sizes: list[int], compared: int, repeats: int) -> dict[str, Any]:
    """Eq. (79) at random points per second, and how much faster that is than `scipy.integrate.quad`.

    Args:
        sizes: numbers of points to evaluate at once.
        compared: number of points that the peer evaluates.
        repeats: rounds.

    Returns:
        Points per second by size at T = ∞ and at t = 1, those of the peer at T = ∞, ratio, largest disagreement.
    """
    points = draw(max(sizes), np.random.default_rng(0))
    subset = {name: values[:compared] for name, values in points.items()}
    contestants: dict[str, Callable[[], object]] = {"quad": lambda: by_quad(subset)}
    for size in sizes:
        part = {name: values[:size] for name, values in points.items()}
        contestants[f"end_{size}"] = lambda part=part: RegressionLimit(**part).speed_limit()
    part = {name: values[: min(sizes[-1], 10_000)] for name, values in points.items()}
    contestants["on_the_way"] = lambda: RegressionLimit(**part).speed_limit(1.0)
    seconds = medians(contestants, repeats)
    per_second = {str(size): size / seconds[f"end_{size}"] for size in sizes}
    peer = compared / seconds["quad"]
    ours = RegressionLimit(**subset).speed_limit().speed_limit
    return {
        "points_per_second": per_second,
        "points_per_second_at_finite_time": len(part["aspect_ratio"]) / seconds["on_the_way"],
        "quad_points_per_second": peer,
        "quad_points": compared,
        "ratio": per_second[str(sizes[-1])] / peer,
        "largest_relative_difference": float(np.max(np.abs(by_quad(subset) / ours - 1.0))),
    }


def draw(count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters of Eq. (79), log-uniform over the ranges that are promised."""
    ranges = {
        "weight_decay": (-2, 2),
        "inverse_temperature": (-6, 12),
        "aspect_ratio": (-4, 4),
        "teacher_variance": (-2, 2),
    }
    return {name: 10.0 ** rng.uniform(low, high, count) for name, (low, high) in ranges.items()}


def by_quad(points: dict[str, np.ndarray]) -> np.ndarray:
    """T_SL of Eq. (79), corrected, point by point: the same integrals, in the same angle t, as adaptive quadrature."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IntegrationWarning)
        columns = (values.tolist() for values in points.values())
        return np.array([limit_by_quad(*point) for point in zip(*columns, strict=True)])


def limit_by_quad(decay: float, beta: float, ratio: float, alpha: float) -> float:
    """T_SL at one point."""
    root, edge = math.sqrt(ratio), (1.0 - math.sqrt(ratio)) ** 2

    def moved(u: float) -> float:
        width = math.sqrt(1.0 + u)
        return alpha * (u / (1.0 + u)) ** 2 + (u / (width * (1.0 + width))) ** 2 / decay

    def spent(u: float) -> float:
        narrowing = u * u * (0.5 - u / 3.0 + u * u / 4.0) if u < 1e-4 else u - math.log1p(u)
        return narrowing + alpha * decay * u * u / (1.0 + u)

    def average(term: Callable[[float], float]) -> float:
        def integrand(t: float) -> float:
            s = edge + 4.0 * root * math.sin(0.5 * t) ** 2
            return 2.0 / math.pi * math.sin(t) ** 2 / s * term(beta / (ratio * decay) * s)

        return quad(integrand, 0.0, math.pi, epsabs=0.0, epsrel=1e-10, limit=200)[0]

    return average(moved) / (0.5 * ratio / beta * average(spent))


def curves(modes: int, times: int, repeats: int) -> dict[str, Any]:
    """NTK curves against the time that their exponentials alone take, in blocks that stay in the cache.

    Args:
        modes: number of eigenvalues.
        times: number of times.
        repeats: rounds.

    Returns:
        Seconds of each curve and of the exponentials, their ratios, and the curves' peak memory.
    """
    eigenvalues = np.arange(1, modes + 1) ** -1.5
    kernel = ConstantKernel(eigenvalues=eigenvalues, residual=np.arange(1, modes + 1) ** -0.4)
    grid = np.geomspace(1e-2, 1e6, times)

    def exponentials() -> None:
        block = np.empty(BLOCK)
        for time in grid:
            for first in range(0, modes, BLOCK):
                part = eigenvalues[first : first + BLOCK]
                target = block[: part.size]
                np.multiply(part, -time, out=target)
                np.expm1(target, out=target)

    contestants: dict[str, Callable[[], object]] = {
        "exponentials": exponentials,
        "w2_squared": lambda: kernel.w2_squared(grid),
        "dissipation": lambda: kernel.dissipation(grid),
    }
    seconds = medians(contestants, repeats)
    names = ("w2_squared", "dissipation")
    return {
        "modes": modes,
        "times": times,
        "seconds": seconds,
        "ratio_to_exponentials": {name: seconds[name] / seconds["exponentials"] for name in names},
        "peak_megabytes": {name: peak(contestants[name]) / 1e6 for name in names},
    }


def peak(run: Callable[[], object]) -> int:
    """Most bytes that Python and NumPy hold at once while it runs."""
    tracemalloc.start()
    run()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


if __name__ == "__main__":
    main()
