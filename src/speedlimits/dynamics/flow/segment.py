r"""One step of a smooth path as a cubic: dense output, its length and its dissipation.

Between y_n and y_{n+1} with velocities v_n, v_{n+1} the path is the cubic Hermite polynomial. Length and dissipation
are those of this very curve, so that T·∫|v|²dt ≥ l² ≥ |Δθ|² hold for what is recorded, not only in the limit.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

# The speed is the root of a quartic: eight nodes give its integral to 1e-10 of a step but where it nearly vanishes.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
NODES, WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2

# Derivatives of the Hermite basis in u ∈ [0, 1], for the mean velocity and those at both ends; columns are powers of u.
RATES = np.array([[0.0, 6.0, -6.0], [1.0, -4.0, 3.0], [0.0, -2.0, 3.0]])
# Turns the nine inner products of these velocities, row by row, into the coefficients of |v(u)|², lowest power first.
QUARTIC = np.array([np.convolve(first, second) for first in RATES for second in RATES]).T


def _at(u: np.ndarray) -> np.ndarray:
    """Turns the nine products into |v(u)|² at each u."""
    return u[:, None] ** np.arange(5) @ QUARTIC


# Length and dissipation of whole steps are what every step asks for.
AT_NODES = _at(NODES)


@runtime_checkable
class Path(Protocol):
    """What a step leaves behind: where it went, how fast and how far."""

    @property
    def time(self) -> float:
        """Where it begins."""
        ...

    @property
    def size(self) -> float:
        """How long it is."""
        ...

    def position(self, u: float) -> Tensor:
        """Y at the fraction u of the step."""
        ...

    def speed_squared(self, u: float) -> float:
        """|v|² at the fraction u."""
        ...

    def travelled(self, u: float = 1.0) -> tuple[float, float]:
        """∫|v|dt and ∫|v|²dt up to the fraction u."""
        ...

    def loss(self, u: float, dissipated: float, values: tuple[float, float], slopes: tuple[float, float], /) -> float:
        """The loss at the fraction u, from ∫|v|²dt up to it, the values at the ends and the slopes in u there."""
        ...


@dataclass(frozen=True)
class Segment:
    """A step from t to t + h.

    Args:
        time: t.
        size: h.
        begin: y_n.
        mean: (y_{n+1} − y_n)/h.
        start: v_n.
        end: v_{n+1}.
        products: 3×3, inner products of these three velocities, on the host.
    """

    time: float
    size: float
    begin: Tensor
    mean: Tensor
    start: Tensor
    end: Tensor
    products: np.ndarray

    @classmethod
    def straight(cls, time: float, size: float, begin: Tensor, mean: Tensor, squared: float) -> "Segment":
        """The segment of constant velocity; ``squared`` is its |v|²."""
        return cls(time, size, begin, mean, mean, mean, np.full((3, 3), squared))

    def position(self, u: float) -> Tensor:
        """Y at the fraction u of the step."""
        along = u * u * (3 - 2 * u) * self.mean + u * (1 - u) ** 2 * self.start + u * u * (u - 1) * self.end
        return self.begin + self.size * along

    def speed_squared(self, u: float) -> float:
        """|v|² at the fraction u."""
        return float(self._speeds_squared(_at(np.array([u])))[0])

    def travelled(self, u: float = 1.0) -> tuple[float, float]:
        """∫|v|dt and ∫|v|²dt up to the fraction u; the latter exactly: five nodes would do for a quartic."""
        squares = self._speeds_squared(AT_NODES if u == 1.0 else _at(u * NODES))
        weights = u * self.size * WEIGHTS
        return float(weights @ np.sqrt(squares)), float(weights @ squares)

    def loss(self, u: float, _: float, values: tuple[float, float], slopes: tuple[float, float]) -> float:
        """The loss at the fraction u, from its values at the ends and its slopes in u there."""
        return monotone(u, values, slopes)

    def _speeds_squared(self, at: np.ndarray) -> np.ndarray:
        """Rounding below zero counts as rest."""
        return np.maximum(at @ self.products.ravel(), 0.0)


def monotone(u: float, values: tuple[float, float], slopes: tuple[float, float]) -> float:
    """Cubic interpolation that never leaves its ends, by Fritsch and Carlson's limit on the slopes.

    Args:
        u: fraction of the interval.
        values: at its ends.
        slopes: derivatives in u at its ends.

    Returns:
        The value at u.
    """
    rise = values[1] - values[0]
    first, last = (min(max(slope / rise, 0.0), 3.0) * rise if rise != 0 else 0.0 for slope in slopes)
    return values[0] + u * u * (3 - 2 * u) * rise + u * (1 - u) ** 2 * first + u * u * (u - 1) * last
