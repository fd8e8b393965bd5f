"""What every figure of the errata is made of: a printed formula, its correction, and brute force on random draws."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# The closed forms return a number where they are given one; here they are given series.
Curve = Callable[[np.ndarray], np.ndarray | np.floating]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One comparison.

    Args:
        title: the equations it is about.
        x_label: what is varied.
        y_label: what is computed.
        x: where the draws are.
        printed: the formula as the paper has it, x → y.
        corrected: the formula as it should be.
        draws: one number per draw (row) and x (column), by a route that uses neither formula.
        x_scale: of the axis, ``"log"`` or ``"linear"``.
        y_scale: likewise.
        finite: relative difference between draws and correction that is known and not noise: finite size, finite step.
    """

    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    printed: Curve
    corrected: Curve
    draws: np.ndarray
    x_scale: str = "log"
    y_scale: str = "log"
    finite: float = 0.0

    @property
    def mean(self) -> np.ndarray:
        """Over the draws."""
        return self.draws.mean(axis=0)

    @property
    def error(self) -> np.ndarray:
        """Standard error of the mean."""
        return self.draws.std(axis=0, ddof=1) / np.sqrt(len(self.draws))

    def misses(self, curve: Curve) -> np.ndarray:
        """How far a formula is from the draws at each x, in standard errors beyond what is known."""
        gap = np.abs(curve(self.x) - self.mean) - self.finite * np.abs(self.mean)
        return np.maximum(gap, 0.0) / self.error
