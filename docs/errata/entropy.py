"""Errata on entropy production, Eqs. (4), (28), (29), (38), (47): against simulated Langevin paths in a quadratic well.

Everywhere V = ½κ|θ|² and the brute force is training as Eq. (27) has it: a step down the gradient, plus noise.
"""

import numpy as np
from errata.panel import Panel
from scipy.stats import norm

from speedlimits.dissipation.free_energy import log_partition
from speedlimits.dissipation.path import gaussian_velocity_squared
from speedlimits.misprints import entropy

BETA, CURVATURE, STEP = 2.5, 0.8, 0.02


def panels(draws: int, rng: np.random.Generator) -> list[Panel]:
    """All of them.

    Args:
        draws: batches of simulated paths; their spread gives the error bars.
        rng: source of the noise.
    """
    return [density(draws, rng), climb(draws, rng), action(draws, rng), bath(draws, rng), rate(draws, rng)]


def trained(start: np.ndarray, steps: int, rng: np.random.Generator, step: float = STEP) -> np.ndarray:
    """Paths of θ ← θ − κθ dt + noise; the last axis counts the states."""
    path = [start]
    for _ in range(steps):
        noise = np.sqrt(2 * step / BETA) * rng.standard_normal(start.shape)
        path.append(path[-1] - CURVATURE * path[-1] * step + noise)
    return np.stack(path, axis=-1)


def equilibrium(draws: int, walkers: int, rng: np.random.Generator, step: float = STEP) -> np.ndarray:
    """States with the stationary variance of the discrete steps, 1/(βκ(1 − κdt/2))."""
    width = 1 / np.sqrt(BETA * CURVATURE * (1 - CURVATURE * step / 2))
    return width * rng.standard_normal((draws, walkers))


def density(draws: int, rng: np.random.Generator) -> Panel:
    """The equilibrium density below Eq. (4), against histograms of trained weights."""
    log_z = log_partition(np.array([[CURVATURE]]), np.zeros(1), 0.0, BETA)
    x = np.linspace(-1.5, 1.5, 9)
    cell = 0.2
    # From a point, long enough to forget it: e^{-κt} = 3e-4.
    weights = trained(np.zeros((draws, 400)), 500, rng)[..., -1]
    counts = np.abs(weights[..., None] - x) < cell / 2
    return Panel(
        title="Below Eq. (4): equilibrium density",
        x_label="weight θ",
        y_label="density",
        x=x,
        printed=lambda x: entropy.gibbs_density(0.5 * CURVATURE * x**2, log_z, BETA),
        corrected=lambda x: np.exp(-BETA * 0.5 * CURVATURE * x**2 - log_z),
        draws=counts.mean(axis=1) / cell,
        x_scale="linear",
        y_scale="linear",
        # Steps of finite length widen the law by κdt/4, cells by their own width.
        finite=0.03,
    )


def climb(draws: int, rng: np.random.Generator) -> Panel:
    """Mean square of the weight over time under the force of Eq. (28)."""
    start = 1.5
    steps = np.array([5, 15, 30, 50, 75, 100, 130])
    path = trained(np.full((draws, 100), start), int(steps[-1]), rng)

    def second_moment(curvature: float):
        """The same sums for any curvature: q = 1 − κdt per step."""

        def curve(time: np.ndarray) -> np.ndarray:
            powers = (1 - curvature * STEP) ** (2 * time / STEP)
            return start**2 * powers + (1 - powers) / (BETA * curvature * (1 - curvature * STEP / 2))

        return curve

    return Panel(
        title="Eq. (28): the sign of the force",
        x_label="time t",
        y_label="⟨θ²⟩",
        x=steps * STEP,
        printed=second_moment(-CURVATURE),
        corrected=second_moment(CURVATURE),
        draws=(path[..., steps] ** 2).mean(axis=1),
        x_scale="linear",
    )


def action(draws: int, rng: np.random.Generator) -> Panel:
    """Eq. (29): the exponent of the path density per step and weight, on paths that were really walked."""
    scaled_steps = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.7])
    noise = np.sqrt(2 / BETA) * rng.standard_normal((draws, 2000, scaled_steps.size))
    return Panel(
        title="Eq. (29): exponent of the path density",
        x_label="curvature × step, κ dt",
        y_label="exponent per step and weight",
        x=scaled_steps,
        # The printed residual of a step is dB + 2f dt, of variance 2dt/β + 4dt²κ²⟨θ²⟩.
        printed=lambda x: 0.5 + x / (1 - x / 2),
        corrected=lambda x: np.full_like(x, 0.5),
        # What the noise itself has cost: β|dB|²/4dt with dB as it was drawn, dt = 1.
        draws=(BETA / 4 * noise**2).mean(axis=1),
        y_scale="linear",
    )


def bath(draws: int, rng: np.random.Generator) -> Panel:
    """Eq. (38): entropy given to the bath in equilibrium, against path probabilities forward and backward."""
    steps = np.array([10, 20, 40, 80, 160])
    path = trained(equilibrium(draws, 200, rng), int(steps[-1]), rng)
    width = np.sqrt(2 * STEP / BETA)
    left, right = path[..., :-1], path[..., 1:]
    forward = norm.logpdf(right, left - CURVATURE * left * STEP, width)
    backward = norm.logpdf(left, right - CURVATURE * right * STEP, width)
    return Panel(
        title="Eq. (38): the product in ∫f·dθ",
        x_label="time T, in equilibrium",
        y_label="entropy given to the bath $R_1$",
        x=steps * STEP,
        # Itô's product −βκθ_l(θ_{l+1} − θ_l) has the mean βκ²⟨θ²⟩dt.
        printed=lambda time: CURVATURE * time / (1 - CURVATURE * STEP / 2),
        corrected=np.zeros_like,
        draws=np.cumsum(forward - backward, axis=-1).mean(axis=1)[..., steps - 1],
        x_scale="linear",
        y_scale="linear",
    )


def rate(draws: int, rng: np.random.Generator) -> Panel:
    """Last line of Eq. (47): the rate of entropy production of a narrow law, at several temperatures."""
    betas = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
    stiffness, force, mean, variance = np.array([[CURVATURE]]), np.zeros(1), np.ones(1), 0.4
    samples = mean + np.sqrt(variance) * rng.standard_normal((draws, 1000, 1))
    # β⟨|v|²⟩ of Eq. (23) with v = f − ∇ln p/β.
    velocity = -CURVATURE * samples + (samples - mean) / variance / betas

    def curve(function):
        law = stiffness, force, mean, np.array([[variance]])
        return lambda betas: np.array([function(*law, beta) for beta in betas])

    return Panel(
        title="Eq. (47): rate of entropy production",
        x_label="inverse temperature β",
        y_label="rate $∂_tR$",
        x=betas,
        printed=curve(entropy.gaussian_entropy_production_rate),
        corrected=curve(lambda *law: law[-1] * gaussian_velocity_squared(*law)),
        draws=(betas * velocity**2).mean(axis=1),
        y_scale="linear",
    )
