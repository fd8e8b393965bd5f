"""Linear regression by whole matrices: the direct integrals that the theory is held against."""

import numpy as np

from speedlimits.theory.linear_regression import LinearRegression
from speedlimits.transport.gaussian import w2_squared


def draw(dims: int, samples: int, seed: int = 0, **changes) -> LinearRegression:
    """Gaussian inputs, and targets that no teacher explains."""
    rng = np.random.default_rng(seed)
    problem = {
        "inputs": rng.standard_normal((dims, samples)),
        "targets": rng.standard_normal(samples),
        "weight_decay": 0.7,
        "inverse_temperature": 3.0,
    }
    return LinearRegression(**{**problem, **changes})


def brute_force(problem: LinearRegression) -> tuple[float, float]:
    """𝒲₂ and β⁻¹R at T = ∞ from whole matrices: the posterior, Eq. (75) and Eq. (76)."""
    inputs, targets, beta = problem.inputs, problem.targets, problem.inverse_temperature
    dims = len(inputs)
    decay = problem.weight_decay * dims
    hessian = inputs @ inputs.T + decay / beta * np.eye(dims)
    mean = np.linalg.solve(hessian, inputs @ targets)
    log_start = 0.5 * dims * np.log(2 * np.pi / decay)
    log_end = 0.5 * dims * np.log(2 * np.pi / beta) - 0.5 * np.linalg.slogdet(hessian)[1]
    log_end += 0.5 * beta * (targets @ inputs.T @ mean - targets @ targets)
    loss = 0.5 * (targets @ targets + np.sum(inputs**2) / decay)
    moved = w2_squared(np.zeros(dims), np.eye(dims) / decay, mean, np.linalg.inv(hessian) / beta)
    return moved, (log_end - log_start) / beta + loss
