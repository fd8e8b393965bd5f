r"""Sums over a power-law spectrum of n modes at any time, by incomplete gamma functions.

The first modes are summed one by one, the rest as integrals over k from the middle between two modes to the middle
after the last, with the first term of the Euler–Maclaurin series of the midpoint rule,

.. math:: \sum_{k=m+1}^n f(k) = \int_{m+1/2}^{n+1/2} f\,dk - \tfrac1{24}\bigl[f'\bigr]_{m+1/2}^{n+1/2} + \dots

With x = Λtk^{−α}, as in Eqs. (58), (62), and integration by parts the integrals are Γ(1 − a, x) and powers.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.interpolate import BarycentricInterpolator
from scipy.special import gamma, gammainc, gammaincc

Times = Float[np.ndarray, " times"]

# Modes summed one by one; what the series leaves out falls as the fourth power of it.
HEAD = 128
# The distance from a removable singularity at which functions of the exponent start to be interpolated across it,
# and the nodes' own largest distance and number.
NEAR, REACH, NODES = 0.1, 0.3, 40


def distance_sum(alpha: float, a: float, modes: int, scaled: Times) -> Times:
    r"""ΛΔ⁻²𝒲₂ = Σ k^{α−δ}(1 − e^{−x_k})², the left side of Eq. (57).

    Args:
        alpha: α, spectrum exponent.
        a: the exponent (1 − δ)/α.
        modes: n.
        scaled: Λt, positive.

    Returns:
        The sum at each time, to 1e-9 for α up to 3.
    """

    def term(k: np.ndarray) -> np.ndarray:
        return k ** (alpha * (1.0 + a) - 1.0) * np.expm1(-np.outer(scaled, k**-alpha)) ** 2

    return _sum(term, distance_integral, alpha, a, modes, scaled)


def loss_sum(alpha: float, a: float, modes: int, scaled: Times) -> Times:
    r"""2Δ⁻²β⁻¹R = Σ k^{−δ}(1 − e^{−2x_k}), the sum of Eq. (61).

    Args:
        alpha: α, spectrum exponent.
        a: the exponent (1 − δ)/α.
        modes: n.
        scaled: Λt, positive.

    Returns:
        The sum at each time, to 1e-9 for α up to 3.
    """

    def term(k: np.ndarray) -> np.ndarray:
        return k ** (alpha * a - 1.0) * -np.expm1(-2.0 * np.outer(scaled, k**-alpha))

    return _sum(term, loss_integral, alpha, a, modes, scaled)


def speed_sum(alpha: float, a: float, modes: int, scaled: Times) -> Times:
    r"""Squared speed (Δ²Λ)⁻¹|v|² = Σ k^{−α−δ}e^{−2x_k}, the radicand of Eq. (66).

    Args:
        alpha: α, spectrum exponent.
        a: the exponent (1 − δ)/α.
        modes: n.
        scaled: Λt, positive.

    Returns:
        The sum at each time, to 1e-9 for α up to 3.
    """

    def term(k: np.ndarray) -> np.ndarray:
        return k ** (alpha * (a - 1.0) - 1.0) * np.exp(-2.0 * np.outer(scaled, k**-alpha))

    return _sum(term, speed_integral, alpha, a, modes, scaled)


def distance_integral(alpha: float, a: float, first: float, last: float, scaled: Times) -> Times:
    r"""The integral that Eqs. (57), (58), (59) put for the sum, with the 1/α that dk brings.

    .. math:: \int_{k_1}^{k_2} k^{\alpha-\delta}(1-e^{-x_k})^2 dk
              = \frac{(\Lambda t)^{1+a}}\alpha\int_{x_2}^{x_1} x^{-2-a}(1-e^{-x})^2\,dx

    Args:
        alpha: α, spectrum exponent.
        a: the exponent (1 − δ)/α.
        first: k₁.
        last: k₂.
        scaled: Λt, positive.

    Returns:
        The integral at each time; Δ²/Λ times it is 𝒲₂.

    Note:
        Errata 58, 59: the paper's integrals lack 1/α.
    """

    def primitive(a: float, x: np.ndarray, small: np.ndarray) -> np.ndarray:
        decay = x**-a * np.exp(-x) * -np.expm1(-x)
        inner = (decay - _gamma(1.0 - a, x, small) + 2.0**a * _gamma(1.0 - a, 2.0 * x, small)) / a
        return scaled ** (1.0 + a) * (x ** (-1.0 - a) * np.expm1(-x) ** 2 + 2.0 * inner) / (alpha * (1.0 + a))

    return _integral(primitive, a, scaled * first**-alpha, scaled * last**-alpha)


def loss_integral(alpha: float, a: float, first: float, last: float, scaled: Times) -> Times:
    r"""The integral that Eqs. (61), (62) put for the sum, with the 1/α that dk brings.

    .. math:: \int_{k_1}^{k_2} k^{-\delta}(1-e^{-2x_k})dk
              = \frac{(\Lambda t)^a}\alpha\int_{x_2}^{x_1} x^{-1-a}(1-e^{-2x})\,dx

    Args:
        alpha: α, spectrum exponent.
        a: the exponent (1 − δ)/α.
        first: k₁.
        last: k₂.
        scaled: Λt, positive.

    Returns:
        The integral at each time; Δ²/2 times it is β⁻¹R.

    Note:
        Erratum 62: the paper's integrals lack 1/α, and the result lacks Δ²/2.
    """

    def primitive(a: float, y: np.ndarray, small: np.ndarray) -> np.ndarray:
        return (2.0 * scaled) ** a * (y**-a * -np.expm1(-y) + _gamma(1.0 - a, y, small)) / (alpha * a)

    return _integral(primitive, a, 2.0 * scaled * first**-alpha, 2.0 * scaled * last**-alpha)


def speed_integral(alpha: float, a: float, first: float, last: float, scaled: Times) -> Times:
    r"""The integral that Eqs. (67), (68), (69), (70) put for the sum.

    .. math:: \int_{k_1}^{k_2} k^{-\alpha-\delta}e^{-2x_k}dk
              = \frac{(2\Lambda t)^{a-1}}\alpha\bigl[\gamma(1-a, 2x_1) - \gamma(1-a, 2x_2)\bigr]

    Args:
        alpha: α, spectrum exponent.
        a: the exponent (1 − δ)/α.
        first: k₁.
        last: k₂; it may be infinite for a < 1.
        scaled: Λt, positive.

    Returns:
        The integral at each time; Δ²Λ times it is |v|².

    Note:
        Erratum 69: the paper has t^{a/2} in the speed where Eqs. (68), (70) have (2t)^{a/2}.
    """

    def primitive(a: float, y: np.ndarray, small: np.ndarray) -> np.ndarray:
        return (2.0 * scaled) ** (a - 1.0) * _gamma(1.0 - a, y, small) / alpha

    return _integral(primitive, a, 2.0 * scaled * first**-alpha, 2.0 * scaled * last**-alpha)


def _sum(
    term: Callable[[np.ndarray], np.ndarray],
    integral: Callable[[float, float, float, float, np.ndarray], np.ndarray],
    alpha: float,
    a: float,
    modes: int,
    scaled: np.ndarray,
) -> np.ndarray:
    total = term(np.arange(1.0, min(HEAD, modes) + 1)).sum(axis=1)
    if modes <= HEAD:
        return total
    slopes = np.diff(term(np.array([HEAD, HEAD + 1.0, modes, modes + 1.0], dtype=float)), axis=1)
    return total + integral(alpha, a, HEAD + 0.5, modes + 0.5, scaled) - (slopes[:, 2] - slopes[:, 0]) / 24.0


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
    # An even number of Chebyshev nodes: none lies at the middle.
    nodes = nearest + REACH * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    return BarycentricInterpolator(nodes, np.stack([difference(node) for node in nodes]))(exponent)


def _gamma(order: float, x: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Γ(s, x), or −γ(s, x), which differs by a constant, where all x of an integral are small."""
    if order > 0:
        return gamma(order) * np.where(small, -gammainc(order, x), gammaincc(order, x))
    return (_gamma(order + 1.0, x, np.zeros_like(small)) - x**order * np.exp(-x)) / order
