"""Errata on linear regression, Eqs. (8), (10), (74), (77), (79), (80), (83): against matrices of random data.

The brute force knows nothing of spectra: it draws data and teacher, and takes distance and free energies of the two
Gaussian laws, or simulates the weights.
"""

import numpy as np
from errata.panel import Panel

from speedlimits.dissipation.free_energy import equilibrium_dissipation, log_partition
from speedlimits.misprints import regression as as_printed
from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck
from speedlimits.theory.regression_limit import RegressionLimit
from speedlimits.transport.gaussian import w2_squared

DIMENSION, DECAY, TEACHER = 60, 0.7, 2.0


def panels(draws: int, rng: np.random.Generator) -> list[Panel]:
    """All of them.

    Args:
        draws: of data and teacher.
        rng: source of both.
    """
    return [
        all_temperatures(draws, rng),
        zero_temperature(draws, rng),
        many_samples(draws, rng),
        energies(draws, rng),
        drift(draws, rng),
    ]


def limit(**changes) -> RegressionLimit:
    """The system for d, n → ∞, with a number or an array for what is varied."""
    parameters = {"weight_decay": DECAY, "inverse_temperature": 1.0, "aspect_ratio": 0.5, "teacher_variance": TEACHER}
    return RegressionLimit(**parameters | changes)


def ends(
    dimension: int, samples: int, weight_decay: float, inverse_temperature: float, rng: np.random.Generator
) -> tuple[float, float]:
    """𝒲₂ and (nβ)⁻¹R of one draw at T = ∞, by Eqs. (4), (75) and the distance of two Gaussians."""
    inputs, teacher = rng.standard_normal((dimension, samples)), rng.standard_normal(dimension)
    targets = inputs.T @ teacher * np.sqrt(TEACHER / dimension)
    start = weight_decay * dimension / inverse_temperature * np.eye(dimension)
    stiffness, force = inputs @ inputs.T + start, inputs @ targets
    covariance = np.linalg.inv(stiffness)
    covariance = 0.5 * (covariance + covariance.T)
    origin = np.zeros(dimension)
    moved = w2_squared(
        origin, np.eye(dimension) / (weight_decay * dimension), covariance @ force, covariance / inverse_temperature
    )
    spent = equilibrium_dissipation(
        log_partition(start, origin, 0.0, inverse_temperature),
        log_partition(stiffness, force, 0.5 * targets @ targets, inverse_temperature),
        0.5 * targets @ targets + np.sum(inputs**2) / (2 * weight_decay * dimension),
        inverse_temperature,
    )
    return moved, spent / samples


def all_temperatures(draws: int, rng: np.random.Generator) -> Panel:
    """Eq. (79) over the temperature, twice as many samples as weights."""
    betas = np.geomspace(1e-2, 1e3, 9)
    pairs = np.array([[ends(DIMENSION, 2 * DIMENSION, DECAY, beta, rng) for beta in betas] for _ in range(draws)])

    return Panel(
        title="Eq. (79): all temperatures",
        x_label="inverse temperature β",
        y_label="speed limit $T_{SL}$",
        x=betas,
        printed=lambda betas: as_printed.speed_limit(limit(inverse_temperature=betas)),
        corrected=lambda betas: limit(inverse_temperature=betas).speed_limit().speed_limit,
        draws=pairs[..., 0] / pairs[..., 1],
        finite=0.02,
    )


def zero_temperature(draws: int, rng: np.random.Generator) -> Panel:
    """Eqs. (8), (80): no noise, fewer and more weights than samples."""
    samples = np.array([600, 300, 120, 60, 30, 12, 6])
    pairs = np.array([[ends(DIMENSION, n, DECAY, 1e6, rng) for n in samples] for _ in range(draws)])
    return Panel(
        title="Eqs. (8), (80): no noise",
        x_label="weights per sample γ",
        y_label="speed limit $T_{SL}$",
        x=DIMENSION / samples,
        printed=lambda ratio: as_printed.limit_zero_temperature(limit(aspect_ratio=ratio)),
        corrected=lambda ratio: limit(aspect_ratio=ratio).limit_zero_temperature(),
        draws=pairs[..., 0] / pairs[..., 1],
        finite=0.02,
    )


def many_samples(draws: int, rng: np.random.Generator) -> Panel:
    """Eqs. (10), (83): two hundred samples per weight, over the weight decay."""
    decays = np.geomspace(0.1, 5, 6)
    pairs = np.array([[ends(10, 2000, decay, 10.0, rng) for decay in decays] for _ in range(draws)])
    return Panel(
        title="Eqs. (10), (83): many samples",
        x_label="weight decay λ",
        y_label="speed limit $T_{SL}$",
        x=decays,
        printed=lambda decay: as_printed.limit_many_samples(limit(weight_decay=decay)),
        corrected=lambda decay: limit(weight_decay=decay).limit_many_samples(),
        draws=pairs[..., 0] / pairs[..., 1],
        finite=0.03,
    )


def energies(draws: int, rng: np.random.Generator) -> Panel:
    """Eq. (77): dissipation per sample over the size of the problem, at one weight per sample and β = 1."""
    dimensions = np.array([4, 8, 16, 32, 64])
    spent = np.array([[ends(d, d, DECAY, 1.0, rng)[1] for d in dimensions] for _ in range(draws)])
    system = limit(aspect_ratio=1.0)
    whole, others = system.dissipation(), as_printed.dissipation(system)
    return Panel(
        title="Eq. (77): dissipation",
        x_label="weights d = samples n",
        y_label="dissipation per sample $(nβ)^{-1}R$",
        x=dimensions,
        # The work on the mean, all that Eq. (79) as printed leaves out, is divided by d once more.
        printed=lambda d: others + (whole - others) / d,
        corrected=lambda d: np.full(d.shape, whole),
        draws=spent,
        finite=0.1,
    )


def drift(draws: int, rng: np.random.Generator) -> Panel:
    """Eq. (74): mean square of the weights over time, simulated on one data set."""
    dimension, samples, beta, step = 8, 32, 1.0, 0.01
    inputs = rng.standard_normal((dimension, samples))
    force = inputs @ (inputs.T @ rng.standard_normal(dimension)) * np.sqrt(TEACHER / dimension) / samples
    data, decay = inputs @ inputs.T / samples, DECAY * dimension / (beta * samples) * np.eye(dimension)
    steps = np.array([10, 25, 50, 100, 150, 200])

    def second_moment(sign: float):
        motion = OrnsteinUhlenbeck(
            stiffness=sign * data + decay,
            force=sign * force,
            mean_start=np.zeros(dimension),
            covariance_start=np.eye(dimension) / (DECAY * dimension),
            inverse_temperature=samples * beta,
        )

        def curve(times: np.ndarray) -> np.ndarray:
            laws = [motion.law(float(time)) for time in times]
            return np.array([mean @ mean + np.trace(covariance) for mean, covariance in laws])

        return curve

    weights = rng.standard_normal((draws, 20, dimension)) / np.sqrt(DECAY * dimension)
    squares = []
    for _ in range(steps[-1]):
        noise = np.sqrt(2 * step / (samples * beta)) * rng.standard_normal(weights.shape)
        weights = weights + step * (force - weights @ (data + decay)) + noise
        squares.append((weights**2).sum(axis=-1).mean(axis=-1))
    return Panel(
        title="Eq. (74): the sign of the data term",
        x_label="time t",
        y_label="⟨|θ|²⟩",
        x=steps * step,
        printed=second_moment(-1.0),
        corrected=second_moment(1.0),
        draws=np.transpose(squares)[:, steps - 1],
        x_scale="linear",
        finite=0.01,
    )
