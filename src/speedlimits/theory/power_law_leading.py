r"""Leading terms of the sums over a power-law spectrum between the times of its first and its last mode.

`PowerLaw.asymptotic` says where they are near the sums. The ratios of leading terms do not depend on time.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import exprel, gamma, zeta

from speedlimits._shapes import Times

Exponents = Float[np.ndarray, "*exponents"]

LN2 = np.log(2.0)


@dataclass(frozen=True, kw_only=True)
class LeadingTerms:
    """Leading terms of `PowerLawSums`, in units of Λ and Δ; all methods take Λt > 0.

    Args:
        spectrum_exponent: α.
        exponent: a = (1 − δ)/α.
        modes: n.
    """

    spectrum_exponent: float
    exponent: float
    modes: int

    def distance(self, scaled: Times) -> Times:
        """ΛΔ⁻²𝒲₂."""
        a, alpha = self.exponent, self.spectrum_exponent
        if a < -1:
            return np.full_like(scaled, zeta(1.0 - alpha * (1.0 + a)))
        if a == -1:
            return (np.log(0.5 * scaled) + (1.0 + alpha) * np.euler_gamma) / alpha
        if a < 1:
            return 2.0 * LN2 * exprel(a * LN2) * gamma(1.0 - a) / (1.0 + a) * scaled ** (1.0 + a) / alpha
        if a == 1:
            slowness = alpha * np.log(float(self.modes)) - np.log(scaled)
            return scaled**2 * (slowness + 1.5 - np.euler_gamma - 2.0 * LN2) / alpha
        return scaled**2 * self._slow_modes

    def loss(self, scaled: Times) -> Times:
        """2Δ⁻²β⁻¹R."""
        a, alpha = self.exponent, self.spectrum_exponent
        if a < 0:
            return np.full_like(scaled, zeta(1.0 - alpha * a))
        if a == 0:
            return (np.log(2.0 * scaled) + (1.0 + alpha) * np.euler_gamma) / alpha
        if a < 1:
            return gamma(1.0 - a) / a * (2.0 * scaled) ** a / alpha
        if a == 1:
            slowness = alpha * np.log(float(self.modes)) - np.log(2.0 * scaled)
            return 2.0 * scaled * (slowness + 1.0 - np.euler_gamma) / alpha
        return 2.0 * scaled * self._slow_modes

    @property
    def _slow_modes(self) -> float:
        """Σk^{−α−δ}, leading, for a > 1."""
        power = self.spectrum_exponent * (self.exponent - 1.0)
        return self.modes**power / power


def asymptotic_inefficiency(exponent: Exponents | float) -> Exponents:
    r"""Limit of T/T_SL at late times with modes left to learn, the text after Eq. (15), for an exponent a.

    .. math:: T/T_{SL} \to \frac{1+a}{4(1-2^{-a})} \qquad (0 < a < 1)

    It is `asymptotic_geometric` × `asymptotic_pace`. The limit is 1 for a ≥ 1, and infinite for a ≤ 0.
    """
    limit = asymptotic_geometric(exponent) * asymptotic_pace(exponent)
    return np.where(np.greater(exponent, 0.0), limit, np.inf)


def asymptotic_geometric(exponent: Exponents | float) -> Exponents:
    r"""Limit of l²/𝒲₂ at late times with modes left to learn, Eqs. (16), (73), for an exponent a.

    .. math:: l_\gamma^2/\mathcal W_2 \to \frac{a}{(1+a)(1-2^{-a})} \qquad (-1 < a < 1)

    It is 1/ln 2 at a = 0 and 1 for a ≥ 1. For a ≤ −1 it depends on more than a, and is NaN here.
    """
    # A straight line beyond a = 1, where the form is 1 already.
    a = np.minimum(exponent, 1.0)
    return np.asarray(1.0 / (np.where(a > -1, 1.0 + a, np.nan) * LN2 * exprel(-a * LN2)))


def asymptotic_pace(exponent: Exponents | float) -> Exponents:
    r"""Limit of Tβ⁻¹R/l² at late times with modes left to learn, for an exponent a.

    .. math:: T\,\beta^{-1}R/l_\gamma^2 \to \frac{(1+a)^2}{4a} \qquad (0 < a < 1)

    It is 1 for a ≥ 1, and infinite for a ≤ 0.
    """
    a = np.clip(exponent, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray((1.0 + a) ** 2 / (4.0 * a))
