r"""Sums over a power-law spectrum of n modes at any time, by incomplete gamma functions.

The first modes are summed one by one. The rest are integrals over k, from the middle between two modes to the middle
after the last, with the first term of the Euler–Maclaurin series of the midpoint rule,

.. math:: \sum_{k=m+1}^n f(k) = \int_{m+1/2}^{n+1/2} f\,dk - \tfrac1{24}\bigl[f'\bigr]_{m+1/2}^{n+1/2} + \dots

Let x = Λtk^{−α}, as in Eqs. (58), (62). Integration by parts then turns the integrals into Γ(1 − a, x) and powers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gamma, gammainc, gammaincc

from speedlimits._shapes import Times

# Modes summed one by one; what the series leaves out falls as the fourth power of it.
HEAD = 128
# Functions of the exponent have removable singularities. Nearer than NEAR to one they are interpolated across it, from
# so many NODES that lie up to REACH away.
NEAR, REACH, NODES = 0.1, 0.3, 40


@dataclass(frozen=True, kw_only=True)
class PowerLawSums:
    """Sums over the modes of a power law, and the integrals over k from k₁ to k₂ that the paper puts for them.

    All methods take Λt > 0, the time in units of the first mode's own. The sums are right to 1e-9 for α up to 3.

    Args:
        spectrum_exponent: α.
        exponent: a = (1 − δ)/α.
        modes: n.
    """

    spectrum_exponent: float
    exponent: float
    modes: int

    def distance(self, scaled: Times) -> Times:
        r"""ΛΔ⁻²𝒲₂ = Σ k^{α−δ}(1 − e^{−x_k})², the left side of Eq. (57)."""
        alpha, power = self.spectrum_exponent, self.spectrum_exponent * (1.0 + self.exponent) - 1.0
        return self._sum(
            lambda k: k**power * np.expm1(-np.outer(scaled, k**-alpha)) ** 2, self.distance_integral, scaled
        )

    def loss(self, scaled: Times) -> Times:
        r"""2Δ⁻²β⁻¹R = Σ k^{−δ}(1 − e^{−2x_k}), the sum of Eq. (61)."""
        alpha, power = self.spectrum_exponent, self.spectrum_exponent * self.exponent - 1.0
        return self._sum(lambda k: k**power * -np.expm1(-2.0 * np.outer(scaled, k**-alpha)), self.loss_integral, scaled)

    def speed(self, scaled: Times) -> Times:
        r"""Squared speed (Δ²Λ)⁻¹|v|² = Σ k^{−α−δ}e^{−2x_k}, the radicand of Eq. (66)."""
        alpha, power = self.spectrum_exponent, self.spectrum_exponent * (self.exponent - 1.0) - 1.0
        return self._sum(lambda k: k**power * np.exp(-2.0 * np.outer(scaled, k**-alpha)), self.speed_integral, scaled)

    def distance_integral(self, first: float, last: float, scaled: Times) -> Times:
        r"""The integral that Eqs. (57), (58), (59) put for the sum, with the 1/α that dk brings; Δ²/Λ times it is 𝒲₂.

        .. math:: \int_{k_1}^{k_2} k^{\alpha-\delta}(1-e^{-x_k})^2 dk
                  = \frac{(\Lambda t)^{1+a}}\alpha\int_{x_2}^{x_1} x^{-2-a}(1-e^{-x})^2\,dx

        Note:
            Errata 58, 59: the paper's integrals lack 1/α.
        """
        alpha = self.spectrum_exponent

        def primitive(a: float, x: np.ndarray, small: np.ndarray) -> np.ndarray:
            decay = x**-a * np.exp(-x) * -np.expm1(-x)
            inner = (decay - _gamma(1.0 - a, x, small) + 2.0**a * _gamma(1.0 - a, 2.0 * x, small)) / a
            return scaled ** (1.0 + a) * (x ** (-1.0 - a) * np.expm1(-x) ** 2 + 2.0 * inner) / (alpha * (1.0 + a))

        return _integral(primitive, self.exponent, scaled * first**-alpha, scaled * last**-alpha)

    def loss_integral(self, first: float, last: float, scaled: Times) -> Times:
        r"""The integral that Eqs. (61), (62) put for the sum, with the 1/α that dk brings; Δ²/2 times it is β⁻¹R.

        .. math:: \int_{k_1}^{k_2} k^{-\delta}(1-e^{-2x_k})dk
                  = \frac{(\Lambda t)^a}\alpha\int_{x_2}^{x_1} x^{-1-a}(1-e^{-2x})\,dx

        Note:
            Erratum 62: the paper's integrals lack 1/α, and the result lacks Δ²/2.
        """
        alpha = self.spectrum_exponent

        def primitive(a: float, y: np.ndarray, small: np.ndarray) -> np.ndarray:
            return (2.0 * scaled) ** a * (y**-a * -np.expm1(-y) + _gamma(1.0 - a, y, small)) / (alpha * a)

        return _integral(primitive, self.exponent, 2.0 * scaled * first**-alpha, 2.0 * scaled * last**-alpha)

    def speed_integral(self, first: float, last: float, scaled: Times) -> Times:
        r"""The integral that Eqs. (67), (68), (69), (70) put for the sum; Δ²Λ times it is |v|².

        .. math:: \int_{k_1}^{k_2} k^{-\alpha-\delta}e^{-2x_k}dk
                  = \frac{(2\Lambda t)^{a-1}}\alpha\bigl[\gamma(1-a, 2x_1) - \gamma(1-a, 2x_2)\bigr]

        For a < 1, k₂ may be infinite.

        Note:
            Erratum 69: the paper has t^{a/2} in the speed where Eqs. (68), (70) have (2t)^{a/2}.
        """
        alpha = self.spectrum_exponent

        def primitive(a: float, y: np.ndarray, small: np.ndarray) -> np.ndarray:
            return (2.0 * scaled) ** (a - 1.0) * _gamma(1.0 - a, y, small) / alpha

        return _integral(primitive, self.exponent, 2.0 * scaled * first**-alpha, 2.0 * scaled * last**-alpha)

    def _sum(
        self,
        term: Callable[[np.ndarray], np.ndarray],
        integral: Callable[[float, float, np.ndarray], np.ndarray],
        scaled: np.ndarray,
    ) -> np.ndarray:
        total = term(np.arange(1.0, min(HEAD, self.modes) + 1)).sum(axis=1)
        if self.modes <= HEAD:
            return total
        slopes = np.diff(term(np.array([HEAD, HEAD + 1.0, self.modes, self.modes + 1.0], dtype=float)), axis=1)
        return total + integral(HEAD + 0.5, self.modes + 0.5, scaled) - (slopes[:, 2] - slopes[:, 0]) / 24.0


def _integral(
    primitive: Callable[[float, np.ndarray, np.ndarray], np.ndarray],
    exponent: float,
    above: np.ndarray,
    below: np.ndarray,
) -> np.ndarray:
    """Difference of a primitive, interpolated in the exponent where its singularities at −1, 0, 1, 2 … cancel."""
    small = above < 1.0

    def difference(a: float) -> np.ndarray:
        return primitive(a, below, small) - primitive(a, above, small)

    nearest = float(max(np.rint(exponent), -1.0))
    if abs(exponent - nearest) > NEAR:
        return difference(exponent)
    # Late: the rest is done without, and it takes a third of a second to import.
    from scipy.interpolate import BarycentricInterpolator

    # An even number of Chebyshev nodes: none lies at the middle.
    nodes = nearest + REACH * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    return BarycentricInterpolator(nodes, np.stack([difference(node) for node in nodes]))(exponent)


def _gamma(order: float, x: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Γ(s, x), or −γ(s, x), which differs by a constant, where all x of an integral are small."""
    if order > 0:
        return gamma(order) * np.where(small, -gammainc(order, x), gammaincc(order, x))
    return (_gamma(order + 1.0, x, np.zeros_like(small)) - x**order * np.exp(-x)) / order
