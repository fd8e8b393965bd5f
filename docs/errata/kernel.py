"""Errata on training under a constant kernel, Eqs. (13), (54), (60), (63), (69), (72), against random models.

The brute force is gradient descent on random linear models, or sums over all modes with random residuals.
"""

import numpy as np
from errata.panel import Panel
from scipy.integrate import cumulative_trapezoid

from speedlimits.misprints import power_law as as_printed
from speedlimits.theory.constant_kernel import ConstantKernel
from speedlimits.theory.power_law import PowerLaw

# a = ½ and a = −½; the times lie between the first mode's own, 1, and the last one's.
OPTIMAL = PowerLaw(spectrum_exponent=1.5, residual_exponent=0.25, modes=50_000)
NON_OPTIMAL = PowerLaw(spectrum_exponent=1.5, residual_exponent=1.75, modes=2_000)
TIMES = np.geomspace(300, 10_000, 5)
# Relative size of what the leading terms leave out at these times.
LEFT_OUT = 0.06


def panels(draws: int, rng: np.random.Generator) -> list[Panel]:
    """All of them.

    Args:
        draws: of models, or of residuals.
        rng: source of both.
    """
    weights = residuals_squared(OPTIMAL, draws, rng)
    return [
        *random_models(10 * draws, rng),
        distance(weights),
        loss_spent("Eq. (63), 0 < a < 1: loss spent", OPTIMAL, weights),
        # Few modes decide here, and one residual is more random than many.
        loss_spent("Eq. (63), a < 0: loss spent", NON_OPTIMAL, residuals_squared(NON_OPTIMAL, 50 * draws, rng)),
        length(weights),
        straight_distance(weights),
    ]


def residuals_squared(law: PowerLaw, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Δ_k² of Gaussian residuals with the variance k^(−δ), a row per draw."""
    return (law.residual * rng.standard_normal((draws, law.modes))) ** 2


def random_models(draws: int, rng: np.random.Generator) -> list[Panel]:
    """Eqs. (13), (54): small steps down the loss of f = Jθ, with one spectrum, random directions and targets."""
    eigenvalues, residual = 1.0 / np.arange(1, 9), np.ones(8)
    step, steps = 0.01, np.array([1, 5, 20, 100, 500, 2000])
    left, right = (np.linalg.qr(rng.standard_normal((draws, size, 8)))[0] for size in (8, 30))
    jacobian, targets = (left * np.sqrt(eigenvalues)) @ np.swapaxes(right, 1, 2), rng.standard_normal((draws, 8, 1))
    back = np.swapaxes(jacobian, 1, 2)
    theta, losses, moved = np.zeros((draws, 30, 1)), [np.sum(targets**2, axis=(1, 2)) / 2], [np.zeros(draws)]
    for _ in range(steps[-1]):
        theta = theta - step * back @ (jacobian @ theta - targets)
        losses.append(np.sum((jacobian @ theta - targets) ** 2, axis=(1, 2)) / 2)
        moved.append(np.sum(theta**2, axis=(1, 2)))
    times = step * steps
    spent, squares = losses[0][:, None] - np.transpose(losses)[:, steps], np.transpose(moved)[:, steps]

    kernel = ConstantKernel(eigenvalues=eigenvalues, residual=residual)

    # Steps of finite length shift both by ηλ/2.
    return [
        Panel(
            title="Eq. (13): inefficiency",
            x_label="flow time T",
            y_label="$T/T_{SL}$",
            x=times,
            printed=lambda t: t * as_printed.dissipation(kernel, t) / kernel.w2_squared(t),
            corrected=lambda t: t * kernel.dissipation(t) / kernel.w2_squared(t),
            draws=times * spent / squares.mean(axis=0),
            finite=0.006,
        ),
        Panel(
            title="Eq. (54): distance",
            x_label="flow time t",
            y_label="squared distance",
            x=times,
            printed=lambda t: np.full(t.shape, np.sum(residual**2 / eigenvalues)),
            corrected=kernel.w2_squared,
            draws=squares,
            finite=0.006,
        ),
    ]


def distance(weights: np.ndarray) -> Panel:
    """Eq. (60)."""
    rates = OPTIMAL.eigenvalues[:, None]
    return Panel(
        title="Eq. (60): distance",
        x_label="flow time t",
        y_label="squared distance",
        x=TIMES,
        printed=lambda t: as_printed.w2_squared(OPTIMAL, t),
        corrected=lambda t: OPTIMAL.asymptotic(t).w2_squared,
        draws=weights @ (np.expm1(-rates * TIMES) ** 2 / rates),
        finite=LEFT_OUT,
    )


def loss_spent(title: str, law: PowerLaw, weights: np.ndarray) -> Panel:
    """Eq. (63), one of its lines."""
    return Panel(
        title=title,
        x_label="flow time t",
        y_label="loss spent $β^{-1}R$",
        x=TIMES,
        printed=lambda t: as_printed.late_dissipation(law, t),
        corrected=lambda t: law.asymptotic(t).dissipation,
        draws=weights @ (-0.5 * np.expm1(-2.0 * law.eigenvalues[:, None] * TIMES)),
        finite=LEFT_OUT,
    )


def length(weights: np.ndarray) -> Panel:
    """Eq. (69), against the speed added up on a fine grid of times."""
    rates = OPTIMAL.eigenvalues
    grid = np.concatenate([[0.0], np.geomspace(1e-3, TIMES[-1], 140)])
    squares = np.stack([weights @ (rates * np.exp(-2.0 * rates * t)) for t in grid], axis=1)
    lengths = cumulative_trapezoid(np.sqrt(squares), grid, initial=0.0)
    return Panel(
        title="Eq. (69): path length",
        x_label="flow time t",
        y_label="length $l_γ$",
        x=TIMES,
        printed=lambda t: as_printed.arc_length(OPTIMAL, t),
        corrected=lambda t: OPTIMAL.asymptotic(t).arc_length,
        draws=np.array([np.interp(TIMES, grid, row) for row in lengths]),
        finite=0.04,
    )


def straight_distance(weights: np.ndarray) -> Panel:
    """Eqs. (71), (72): the distance along the modes with λt > 1, taken as learned."""
    learned = OPTIMAL.eigenvalues[:, None] * TIMES > 1.0
    return Panel(
        title="Eqs. (71), (72): straight distance",
        x_label="flow time t",
        y_label="squared distance of learned modes",
        x=TIMES,
        printed=lambda t: as_printed.sharp_w2_squared(OPTIMAL, t),
        corrected=OPTIMAL.sharp_w2_squared,
        draws=weights @ (learned / OPTIMAL.eigenvalues[:, None]),
        finite=0.03,
    )
