"""Toy problems that know their exact answers."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LinearProblem:
    """Least squares L(θ) = ½|Jθ − y|² with a chosen spectrum: gradient flow on it is Eq. (13), exactly."""

    jacobian: np.ndarray
    targets: np.ndarray
    eigenvalues: np.ndarray
    residual: np.ndarray

    @classmethod
    def draw(cls, eigenvalues: np.ndarray, rng: np.random.Generator, parameters: int = 12) -> "LinearProblem":
        """Random singular vectors around the given kernel eigenvalues; the start is θ = 0."""
        modes = eigenvalues.size
        left, _ = np.linalg.qr(rng.standard_normal((modes, modes)))
        right, _ = np.linalg.qr(rng.standard_normal((parameters, modes)))
        residual = rng.standard_normal(modes)
        # At θ = 0 the output is 0, so the residual f − y is −y.
        return cls((left * np.sqrt(eigenvalues)) @ right.T, -left @ residual, eigenvalues, residual)
