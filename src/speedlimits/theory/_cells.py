"""Probability on equally spaced cells: the generator of its motion, its exponential and its dissipation rate."""

from collections.abc import Callable, Iterator
from math import factorial

import numpy as np
from scipy.linalg import solve_banded
from scipy.special import exprel


class Generator:
    """Tridiagonal generator W of the cell probabilities, dp/dt = Wp, from the exponential current.

    Args:
        potential: V at the cell centres [loss].
        inverse_temperature: β [1/loss].
        width: of a cell.
    """

    def __init__(self, potential: np.ndarray, inverse_temperature: float, width: float) -> None:
        # Bernoulli's function B(z) = z/(eᶻ − 1): rates up and down obey detailed balance exactly, B(−z) = eᶻB(z).
        step = inverse_temperature * np.diff(potential)
        with np.errstate(over="ignore"):
            self.up, self.down = (1.0 / exprel(z) / (inverse_temperature * width**2) for z in (step, -step))
        self.width = width
        leaving = np.append(self.up, 0.0) + np.append(0.0, self.down)
        self.bands = np.stack((np.append(0.0, self.down), -leaving, np.append(self.up, 0.0)))

    def current(self, law: np.ndarray) -> np.ndarray:
        """J at every edge; none crosses the outer two."""
        return np.concatenate(([0.0], self.up * law[:-1] - self.down * law[1:], [0.0]))

    def advance(self, law: np.ndarray, time: float) -> np.ndarray:
        """e^{Wt}p by the Padé approximant in partial fractions, Σ_j c_j (tW − z_j)⁻¹p."""
        total = np.zeros_like(law)
        for pole, residue in zip(*_PADE, strict=True):
            bands = (self.bands * time).astype(complex)
            bands[1] -= pole
            total += (residue * solve_banded((1, 1), bands, law, check_finite=False)).real
        # The approximant is 1 at zero and W conserves probability; what is left is rounding, about 1e-14 a step.
        total = np.maximum(total, 0.0)
        return total / total.sum()

    def speed_squared(self, law: np.ndarray) -> float:
        """⟨v²⟩ of the piecewise uniform law: ∫J²/p with J linear across each cell, Eqs. (23), (47)."""
        current = self.current(law)
        left, right = current[:-1], current[1:]
        # Below this the law is rounding noise, and so is J²/p.
        held = law > 1e-14 * law.max()
        squares = (left**2 + left * right + right**2)[held] / law[held]
        return float(self.width**2 * np.sum(squares) / 3.0)

    def speeds(self, law: np.ndarray) -> np.ndarray:
        """The rates at which dissipation and path length grow, ⟨v²⟩ and its root."""
        squared = self.speed_squared(law)
        return np.array([squared, np.sqrt(squared)])


def states(
    generator: Generator, law: np.ndarray, times: np.ndarray, rates: Callable[[np.ndarray], np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Follow the law through increasing times.

    Args:
        generator: of its motion.
        law: at time 0.
        times: in order.
        rates: of a law, to be integrated.

    Yields:
        The law at each of them, and the integrals of its rates until then.
    """
    nodes, weights = np.polynomial.legendre.leggauss(8)
    integrals, now = np.zeros_like(rates(law)), 0.0
    for time in times:
        for end in _panels(now, time):
            panel, begin = end - now, now
            for node, weight in zip(begin + 0.5 * panel * (1.0 + nodes), 0.5 * panel * weights, strict=True):
                law = generator.advance(law, node - now)
                now = node
                integrals = integrals + weight * rates(law)
            law = generator.advance(law, end - now)
            now = end
        yield law, integrals


def _panels(start: float, end: float) -> np.ndarray:
    """Ends of the pieces between two times: no piece is longer than the time before it, down to 1e-9 of the end."""
    if end == start:
        return np.empty(0)
    first = max(start, 1e-9 * end)
    ends = np.geomspace(first, end, 1 + int(np.ceil(np.log2(end / first))))
    return ends if start < first else ends[1:]


def _pade(numerator: int, denominator: int) -> tuple[np.ndarray, np.ndarray]:
    """Poles (one of each conjugate pair) and residues of the Padé approximant of eᶻ; a pair's residue is doubled."""
    total = numerator + denominator

    def coefficients(degree: int) -> list[float]:
        return [
            factorial(total - j) * factorial(degree) / (factorial(total) * factorial(j) * factorial(degree - j))
            for j in range(degree + 1)
        ]

    above = np.polynomial.Polynomial(coefficients(numerator))
    below = np.polynomial.Polynomial([(-1) ** j * c for j, c in enumerate(coefficients(denominator))])
    poles = below.roots()
    poles = poles[poles.imag >= -1e-9]
    return poles, np.where(np.abs(poles.imag) > 1e-9, 2.0, 1.0) * above(poles) / below.deriv()(poles)


_PADE = _pade(4, 5)
