r"""The Marchenko–Pastur law, eigenvalues of XXᵀ/n for many dimensions and samples, as a quadrature rule.

.. math:: \rho(s) = \max(0, 1-\gamma^{-1})\,\delta(s) + \nu(s), \qquad
          \nu(s) = \frac{\sqrt{(\gamma_+-s)(s-\gamma_-)}}{2\pi\gamma s}, \quad \gamma_\pm = (1\pm\sqrt\gamma)^2
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_positive

# Ends of the rule in y; beyond them lies 1e-12 of the mass or less.
LOW, HIGH = -28.0, 10.5


class Quadrature(NamedTuple):
    """∫f dρ ≈ atom·f(0) + Σ_j weights_j f(nodes_j), for each aspect ratio; nodes lead, the shape of γ follows."""

    nodes: Float[np.ndarray, "nodes *points"]
    weights: Float[np.ndarray, "nodes *points"]
    atom: Float[np.ndarray, "*points"]


def quadrature(aspect_ratio: Float[np.ndarray, "*points"], *, spacing: float = 0.25) -> Quadrature:
    r"""Nodes and weights for integrals over the law, accurate up to the edge s = 0.

    An angle, :math:`s = 1+\gamma-2\sqrt\gamma\cos t`, removes the square roots,
    :math:`\nu\,ds = (2/\pi)\sin^2t\;dt/s`; near γ = 1 integrands still vary over all scales of t at once, and
    :math:`\tan(t/2) = e^y` spreads these evenly. In y, ln(c + s) and every power of c + s are analytic between
    ±iπ/2 however small c is, so the trapezoidal rule errs by a small multiple of :math:`e^{-\pi^2/h}`, h the spacing.

    Args:
        aspect_ratio: γ = d/n, positive.
        spacing: h. The default errs by 1e-12; exponentials e^{−st} vary faster and need 0.05.

    Returns:
        The rule. Relative precision holds for functions with f(0) = 0 as well, at any γ; integrands that
        diverge towards s = 0 near γ = 1 lose the part below s = 1e-24.

    Raises:
        ValueError: if γ or the spacing is not positive and finite.
    """
    check_positive("aspect_ratio", aspect_ratio)
    check_positive("spacing", spacing)
    y = np.arange(LOW, HIGH, spacing).reshape(-1, *[1] * np.ndim(aspect_ratio))
    root = np.sqrt(aspect_ratio)
    # γ₋ + 4√γ sin²(t/2): a sum of squares, where 1 + γ − 2√γ cos t would cancel.
    nodes = (1.0 - root) ** 2 + 4.0 * root / (1.0 + np.exp(-2.0 * y))
    weights = 2.0 / np.pi * spacing / np.cosh(y) ** 3 / nodes
    return Quadrature(nodes, weights, np.maximum(0.0, 1.0 - 1.0 / aspect_ratio))
