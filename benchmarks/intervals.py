"""How often the spread of fitted exponents holds the truth: power laws, Wishart kernels, uneven spectra.

Run: OMP_NUM_THREADS=1 python benchmarks/intervals.py [--quick] [--out FILE]

An interval of 90 % must hold the truth in 85 % on every kind of spectrum to be called one. It does not.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from environment import command_line, write

from speedlimits.spectra.power_law import fit_power_law

RESULTS = Path(__file__).parent / "results" / "intervals.json"
# What an interval of 90 % must reach on every kind of spectrum to be called one.
WANTED = 0.85
Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


def power_law(alpha: float, delta: float, modes: int) -> Draw:
    """Eigenvalues k^−α and residuals k^−δ/2 times standard normal numbers."""
    ranks = np.arange(1.0, modes + 1)
    return lambda rng: (ranks**-alpha, ranks ** (-delta / 2) * rng.standard_normal(modes))


def wishart(alpha: float, delta: float, samples: int, features: int) -> Draw:
    """The kernel of so many samples with Gaussian features whose variances are k^−α."""
    variances = np.arange(1.0, features + 1) ** -alpha
    ranks = np.arange(1.0, samples + 1)

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        inputs = rng.standard_normal((samples, features))
        eigenvalues = np.linalg.eigvalsh((inputs * variances) @ inputs.T / samples)[::-1]
        return np.maximum(eigenvalues, 0.0), ranks ** (-delta / 2) * rng.standard_normal(samples)

    return draw


def uneven(alpha: float, delta: float, modes: int) -> Draw:
    """A power law whose steps in ln λ are drawn from an exponential law with the right mean: gaps of all sizes."""
    ranks = np.arange(1.0, modes + 1)

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        steps = alpha * np.diff(np.log(ranks), prepend=0.0) * rng.exponential(size=modes)
        return np.exp(-np.cumsum(steps)), ranks ** (-delta / 2) * rng.standard_normal(modes)

    return draw


CASES: dict[str, tuple[float, float, Draw]] = {
    f"{kind.__name__}, alpha {alpha}, delta {delta}, {size[0]} modes": (alpha, delta, kind(alpha, delta, *size))
    for kind, alpha, delta, size in (
        (power_law, 1.0, 0.5, (2000,)),
        (power_law, 1.4, 1.5, (2000,)),
        (power_law, 0.6, 0.9, (1000,)),
        (power_law, 2.0, -0.5, (2000,)),
        (power_law, 0.8, 2.5, (500,)),
        (wishart, 1.0, 0.5, (400, 1200)),
        (wishart, 1.4, 1.5, (400, 1200)),
        (uneven, 1.0, 0.5, (2000,)),
        (uneven, 1.4, 1.5, (1000,)),
    )
}


def coverage(alpha: float, delta: float, draw: Draw, repeats: int) -> dict[str, float]:
    """Shares of repeats whose intervals hold α, δ and a, and the mean bias of each."""
    truths = {"spectrum": alpha, "residual": delta, "exponent": (1 - delta) / alpha}
    found: dict[str, list[float]] = {f"{name}_{what}": [] for name in truths for what in ("covered", "bias")}
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        fit = fit_power_law(*draw(rng), generator=rng)
        for name, truth in truths.items():
            value = fit.exponent if name == "exponent" else getattr(fit, f"{name}_exponent")
            low, high = getattr(fit, f"{name}_spread")
            # An exact spectrum has no scatter, and an interval of no length.
            found[f"{name}_covered"].append(float(low - 1e-9 <= truth <= high + 1e-9))
            found[f"{name}_bias"].append(value - truth)
    return {name: float(np.mean(values)) for name, values in found.items()}


def measure(repeats: int) -> dict[str, Any]:
    """All cases, and whether every interval reaches what is wanted."""
    cases = {name: coverage(*case, repeats) for name, case in CASES.items()}
    least = min(value for case in cases.values() for name, value in case.items() if name.endswith("covered"))
    return {"repeats": repeats, "wanted": WANTED, "least": least, "reached": least >= WANTED, "cases": cases}


def main() -> None:
    """Measure, print and write."""
    options = command_line(__doc__, RESULTS, quick="few repeats, to see that it runs").parse_args()
    result = measure(2 if options.quick else 100)
    for name, case in result["cases"].items():
        print(name, {key: round(value, 3) for key, value in case.items()})
    write(options.out, result)


if __name__ == "__main__":
    main()
