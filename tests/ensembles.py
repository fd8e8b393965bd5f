"""Ensembles drawn exactly from processes whose distance and dissipation are known at every time."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm

from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck


def linear_network(dims: int, samples: int, beta: float, rng: np.random.Generator) -> OrnsteinUhlenbeck:
    """The paper's case: start e^{−β|θ|²}, potential |θ|² + L with L = ½|Jθ − y|² (its constant ½|y|² left out)."""
    jacobian, targets = rng.standard_normal((samples, dims)) / np.sqrt(dims), rng.standard_normal(samples)
    return OrnsteinUhlenbeck(
        stiffness=2 * np.eye(dims) + jacobian.T @ jacobian,
        force=jacobian.T @ targets,
        mean_start=np.zeros(dims),
        covariance_start=np.eye(dims) / (2 * beta),
        inverse_temperature=beta,
    )


def draw(
    process: OrnsteinUhlenbeck, time: float, members: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Members at the start and, moved by the exact transition law, at a later time."""
    root = np.linalg.cholesky(process.covariance_start)
    start = process.mean_start + rng.standard_normal((members, process.force.size)) @ root.T
    decay = expm(-process.stiffness * time)
    mean, covariance = process.law(time)
    spread = covariance - decay @ process.covariance_start @ decay
    noise = rng.standard_normal(start.shape) @ np.linalg.cholesky(spread).T
    return start, mean + (start - process.mean_start) @ decay + noise


def potential(process: OrnsteinUhlenbeck, theta: np.ndarray) -> np.ndarray:
    """V = ½θᵀHθ − bᵀθ of each member."""
    return np.sum(theta * (0.5 * theta @ process.stiffness - process.force), axis=-1)


@dataclass(frozen=True, eq=False)
class Quadratic:
    """L = ½Σ_k s_k(θ_k − t_k)² in the eigenbasis of its curvature, flat in most directions, from N(0, 1/(2βκ)).

    Large ensembles of it are drawn without a matrix, and its 𝒲₂ and β⁻¹R are sums over modes.
    """

    curvatures: np.ndarray
    target: np.ndarray
    beta: float = 1.0
    kappa: float = 0.5

    @classmethod
    def example(cls, weights: int, modes: int, stiffest: float = 10.0) -> "Quadratic":
        """So many weights, of which the first few feel the loss."""
        curvatures, target = np.zeros(weights), np.zeros(weights)
        curvatures[:modes] = stiffest * np.linspace(1.0, 0.05, modes)
        target[:modes] = np.random.default_rng(0).standard_normal(modes)
        return cls(curvatures, target)

    @property
    def start_variance(self) -> float:
        """1/(2βκ)."""
        return 0.5 / (self.beta * self.kappa)

    def loss(self, theta: np.ndarray) -> np.ndarray:
        """L of each member."""
        return 0.5 * (theta - self.target) ** 2 @ self.curvatures

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """∇L of each member."""
        return (theta - self.target) * self.curvatures

    def law(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances of the modes."""
        stiffness = 2 * self.kappa + self.curvatures
        decay = np.exp(-stiffness * time)
        rest = (1 - decay**2) / (self.beta * stiffness)
        return (1 - decay) * self.curvatures * self.target / stiffness, decay**2 * self.start_variance + rest

    def truth(self, time: float) -> tuple[float, float]:
        """The exact 𝒲₂ and β⁻¹R = F(0) − F(T)."""
        mean, variance = self.law(time)
        moved = np.sum(mean**2) + np.sum((np.sqrt(variance) - np.sqrt(self.start_variance)) ** 2)
        energies = []
        for m, v in ((np.zeros_like(mean), np.full_like(variance, self.start_variance)), (mean, variance)):
            potential = self.kappa * np.sum(m**2 + v) + 0.5 * ((m - self.target) ** 2 + v) @ self.curvatures
            energies.append(potential - 0.5 * np.log(v).sum() / self.beta)
        return float(moved), float(energies[0] - energies[1])

    def draw_start(self, members: int, rng: np.random.Generator) -> np.ndarray:
        """Exact draws of the start."""
        return np.sqrt(self.start_variance) * rng.standard_normal((members, self.curvatures.size))

    def draw(self, time: float, members: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Members at the start and, moved by the exact transition law, at a later time."""
        start = self.draw_start(members, rng)
        stiffness = 2 * self.kappa + self.curvatures
        decay = np.exp(-stiffness * time)
        spread = np.sqrt((1 - decay**2) / (self.beta * stiffness))
        return start, self.law(time)[0] + decay * start + spread * rng.standard_normal(start.shape)
