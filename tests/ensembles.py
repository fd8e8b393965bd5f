"""Ensembles drawn exactly from processes whose distance and dissipation are known at every time."""

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
