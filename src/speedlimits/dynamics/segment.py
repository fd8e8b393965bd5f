r"""One step of a smooth path as a cubic: dense output, its length and its dissipation.

Between y_n and y_{n+1} with velocities v_n, v_{n+1} the path is the cubic Hermite polynomial. Length and dissipation
are those of this very curve, so that T·∫|v|²dt ≥ l² ≥ |Δθ|² hold for what is recorded, not only in the limit.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# The speed is the root of a quartic: eight nodes give its integral to 1e-10 of a step but where it nearly vanishes.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
NODES, WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2

# Derivatives of the Hermite basis in u ∈ [0, 1], for the chord, h·v_n and h·v_{n+1}; columns are powers of u.
RATES = np.array([[0.0, 6.0, -6.0], [1.0, -4.0, 3.0], [0.0, -2.0, 3.0]])


@dataclass(frozen=True)
class Segment:
    """A step from t to t + h.

    Args:
        time: t.
        size: h.
        begin: y_n.
        chord: y_{n+1} − y_n.
        start: h·v_n.
        end: h·v_{n+1}.
        speed_squared: coefficients in u of |h·v(u)|², lowest first, on the host.
    """

    time: float
    size: float
    begin: Tensor
    chord: Tensor
    start: Tensor
    end: Tensor
    speed_squared: np.ndarray

    @classmethod
    def between(cls, time: float, size: float, begin: Tensor, end: Tensor, start: Tensor, stop: Tensor) -> "Segment":
        """The segment from y_n = ``begin`` to ``end`` with velocities ``start`` and ``stop``."""
        basis = torch.stack([end - begin, size * start, size * stop])
        gram = (basis @ basis.T).cpu().numpy()
        quartic = np.zeros(5)
        for i in range(3):
            for j in range(3):
                quartic += gram[i, j] * np.convolve(RATES[i], RATES[j])
        return cls(time, size, begin, basis[0], basis[1], basis[2], quartic)

    def position(self, u: float) -> Tensor:
        """Y at the fraction u of the step."""
        along = u * u * (3 - 2 * u)
        return self.begin + along * self.chord + u * (1 - u) ** 2 * self.start + u * u * (u - 1) * self.end

    def speed(self, u: np.ndarray) -> np.ndarray:
        """|v| at fractions of the step; rounding below zero counts as rest."""
        return np.sqrt(np.maximum(np.polynomial.polynomial.polyval(u, self.speed_squared), 0.0)) / self.size

    def length(self, u: float = 1.0) -> float:
        """∫|v|dt up to the fraction u."""
        return float(u * self.size * (WEIGHTS @ self.speed(u * NODES)))

    def dissipation(self, u: float = 1.0) -> float:
        """∫|v|²dt up to the fraction u, exactly: five nodes would do for a quartic."""
        return float(u * self.size * (WEIGHTS @ self.speed(u * NODES) ** 2))


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
