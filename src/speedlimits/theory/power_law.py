r"""Power-law spectra λ_k = Λk^{−α} and residuals Δ_k² = Δ²k^{−δ}: distance, dissipation and inefficiency of their flow.

Everything hangs on one exponent, a = (1 − δ)/α. Between the first and the last mode's own time, Λ⁻¹ ≪ t ≪ λ_n⁻¹, the
inefficiency T/T_SL tends to a number of order one for 0 < a < 1, grows as ln t at a = 0 and as t^{−a} below.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import exprel, gamma, zeta

from speedlimits._checks import check_finite, check_integer, check_positive
from speedlimits.bound import SpeedLimit
from speedlimits.theory import constant_kernel, power_law_sums

Modes = Float[np.ndarray, " modes"]
Times = Float[np.ndarray, " times"]
Exponents = Float[np.ndarray, "*exponents"]

LN2 = np.log(2.0)
# δ = 1 + α and the like are not exact in binary; the regimes' borders are this wide.
BORDER = 1e-12


@dataclass(frozen=True)
class PowerLaw:
    r"""Modes λ_k = Λk^{−α} with residuals Δ_k² = Δ²k^{−δ}, k = 1 … n, as assumed for Eqs. (14), (57).

    Args:
        spectrum_exponent: α, positive.
        residual_exponent: δ, any number.
        modes: n.
        scale: Λ, the largest eigenvalue [1/time].
        residual_scale: Δ, the residual of the first mode [√loss].

    Raises:
        ValueError: if α, Λ or Δ is not positive, δ not finite, or n not a positive integer.
    """

    spectrum_exponent: float
    residual_exponent: float
    modes: int
    scale: float = 1.0
    residual_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("spectrum_exponent", "scale", "residual_scale"):
            check_positive(name, getattr(self, name))
        check_finite("residual_exponent", self.residual_exponent)
        check_integer("modes", self.modes, minimum=1)

    @property
    def eigenvalues(self) -> Modes:
        """λ_k, largest first [1/time]."""
        return self.scale * np.arange(1.0, self.modes + 1) ** -self.spectrum_exponent

    @property
    def residual(self) -> Modes:
        """Δ_k in the same order [√loss]."""
        return self.residual_scale * np.arange(1.0, self.modes + 1) ** (-0.5 * self.residual_exponent)

    @property
    def exponent(self) -> float:
        """The exponent a = (1 − δ)/α, exact at the borders of the regimes."""
        exponent = (1.0 - self.residual_exponent) / self.spectrum_exponent
        return float(np.rint(exponent)) if abs(exponent - np.rint(exponent)) < BORDER else exponent

    @property
    def last_time(self) -> float:
        """λ_n⁻¹, the time of the slowest mode, where the paper looks."""
        return self.modes**self.spectrum_exponent / self.scale

    @property
    def regime(self) -> str:
        """What the exponent means for T/T_SL in Λ⁻¹ ≪ t ≪ λ_n⁻¹.

        "straight" (a ≥ 1): → 1, the unlearned tail moves on a straight line; "optimal" (0 < a < 1): a number of
        order one; "threshold" (a = 0): ∝ ln t; "non-optimal" (−1 < a < 0): ∝ t^{−a}; "saturated" (a ≤ −1): ∝ t
        (at −1, t/ln t), the first modes are all there is.
        """
        a = self.exponent
        if a >= 1:
            return "straight"
        if a > 0:
            return "optimal"
        if a == 0:
            return "threshold"
        return "non-optimal" if a > -1 else "saturated"

    def speed_limit(self, times: Times) -> SpeedLimit:
        """The limit by the sums of Eqs. (13), (66) over all modes, exact at any time.

        Args:
            times: t [time].

        Returns:
            The limit as a series over the times, with the length of the path.

        Raises:
            ValueError: if a time is negative or not finite.
        """
        return constant_kernel.speed_limit(self.eigenvalues, self.residual, times)

    def finite(self, times: Times) -> SpeedLimit:
        """The limit by incomplete gamma functions, at any time and any number of modes, λ_n⁻¹ included.

        Args:
            times: t, positive [time].

        Returns:
            The limit as a series over the times, to 1e-9, with the length of the path: the integral over time of
            a speed of this form.

        Raises:
            ValueError: if a time is not positive and finite.
        """
        check_positive("times", times)
        law = self.spectrum_exponent, self.exponent, self.modes
        scaled = self.scale * times

        def speed(s: np.ndarray) -> np.ndarray:
            # Long after λ_n⁻¹ the last mode alone is left, e^{−2x_n} of it, and rounding may be below zero.
            return np.sqrt(np.maximum(power_law_sums.speed_sum(*law, s), 0.0))

        return SpeedLimit(
            time=times,
            w2_squared=self.residual_scale**2 / self.scale * power_law_sums.distance_sum(*law, scaled),
            dissipation=0.5 * self.residual_scale**2 * power_law_sums.loss_sum(*law, scaled),
            arc_length=self.residual_scale / np.sqrt(self.scale) * constant_kernel.path_length(speed, 1.0, scaled),
        )

    def asymptotic(self, times: Times) -> SpeedLimit:
        r"""Leading terms for Λ⁻¹ ≪ t ≪ λ_n⁻¹, exponents and prefactors, Eqs. (14), (15), (60), (63), (69), (73).

        .. math:: \mathcal W_2 &= \tfrac{\Delta^2}{\alpha\Lambda}\,\Gamma(-1-a)(2^{1+a}-2)\,(\Lambda t)^{1+a}
                  && (-1 < a < 1) \\
                  l_\gamma^2 &= \mathcal W_2\,\frac{a}{(1+a)(1-2^{-a})} && (-1 < a < 1) \\
                  \beta^{-1}R &= \tfrac{\Delta^2}{2\alpha}\,\tfrac1a\Gamma(1-a)\,(2\Lambda t)^a && (0 < a < 1) \\
                  \beta^{-1}R &= \tfrac{\Delta^2}{2\alpha}\,[\ln(2\Lambda t) + (1+\alpha)\gamma_E] && (a = 0) \\
                  \beta^{-1}R &= \tfrac{\Delta^2}{2}\,\zeta(\delta) && (a < 0)

        For a < −1 the distance, too, is that of the first modes, Δ²Λ⁻¹ζ(δ − α); for a > 1 the last modes, still
        far from learned, give 𝒲₂ = tβ⁻¹R = l² = Δ²Λt²n^{α(a−1)}/(α(a − 1)); a = ±1 have logarithms. What is left
        out is smaller by (Λt)^{−|a|}, (Λt)^{−1−a} and (λ_n t)^{1−a}; `finite` has it.

        Args:
            times: t, positive [time].

        Returns:
            The leading terms as a series over the times; the arc length is NaN for a ≤ −1, where it has no closed
            form. Far outside the window, where a logarithm is negative, 𝒲₂ is 0 or β⁻¹R NaN.

        Raises:
            ValueError: if a time is not positive and finite.

        Note:
            Errata 58 to 63, 71, 72: `as_printed_scaling` has the paper's own prefactors.
        """
        check_positive("times", times)
        moved = self.residual_scale**2 / self.scale * self._distance(self.scale * times)
        spent = 0.5 * self.residual_scale**2 * self._loss(self.scale * times)
        return SpeedLimit(
            time=times,
            w2_squared=np.maximum(moved, 0.0),
            dissipation=np.where(spent >= 0, spent, np.nan),
            arc_length=np.sqrt(np.maximum(moved, 0.0) * asymptotic_geometric(self.exponent)),
        )

    def sharp_w2_squared(self, times: Times) -> Times:
        r"""Distance if modes with λt > 1 were learned and the others untouched, the paper's estimate, Eqs. (71), (72).

        .. math:: \mathcal W_2 \approx \frac{\Delta^2}\Lambda\int_1^{(\Lambda t)^{1/\alpha}}k^{\alpha-\delta}dk
                  = \frac{\Delta^2}\Lambda\,\frac{(\Lambda t)^{1+a}-1}{\alpha-\delta+1}

        The exponent is that of `asymptotic`; the prefactor is off by a number of order one, 1/(2 ln 2) = 0.72 at a = 0.

        Args:
            times: t [time].

        Returns:
            The estimate at each time; 0 before the first mode is learned, constant after the last.

        Raises:
            ValueError: if a time is not positive and finite.

        Note:
            Erratum 72: the paper prints (α − δ)⁻¹; erratum 71: its sum starts at k = 0 instead of 1.
        """
        check_positive("times", times)
        # (Λt)^{1+a} = e^{pκ} with p = α − δ + 1 and κ = ln k of the last mode learned.
        last = np.clip(np.log(self.scale * times) / self.spectrum_exponent, 0.0, np.log(float(self.modes)))
        power = self.spectrum_exponent * (1.0 + self.exponent)
        return self.residual_scale**2 / self.scale * last * exprel(power * last)

    def _distance(self, scaled: np.ndarray) -> np.ndarray:
        """ΛΔ⁻²𝒲₂, leading, of Λt."""
        a, alpha = self.exponent, self.spectrum_exponent
        if a < -1:
            return np.full_like(scaled, zeta(self.residual_exponent - alpha))
        if a == -1:
            return (np.log(0.5 * scaled) + (1.0 + alpha) * np.euler_gamma) / alpha
        if a < 1:
            return 2.0 * LN2 * exprel(a * LN2) * gamma(1.0 - a) / (1.0 + a) * scaled ** (1.0 + a) / alpha
        if a == 1:
            slowness = alpha * np.log(float(self.modes)) - np.log(scaled)
            return scaled**2 * (slowness + 1.5 - np.euler_gamma - 2.0 * LN2) / alpha
        return scaled**2 * self._slow_modes

    def _loss(self, scaled: np.ndarray) -> np.ndarray:
        """2Δ⁻²β⁻¹R, leading, of Λt."""
        a, alpha = self.exponent, self.spectrum_exponent
        if a < 0:
            return np.full_like(scaled, zeta(self.residual_exponent))
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
    r"""Limit of T/T_SL at late times with modes left to learn, the text after Eq. (15).

    .. math:: T/T_{SL} \to \frac{1+a}{4(1-2^{-a})}

    Args:
        exponent: a = (1 − δ)/α.

    Returns:
        The limit for 0 < a < 1, `asymptotic_geometric` × `asymptotic_pace`; 1 for a ≥ 1; infinite for a ≤ 0.
    """
    limit = asymptotic_geometric(exponent) * asymptotic_pace(exponent)
    return np.where(np.greater(exponent, 0.0), limit, np.inf)


def asymptotic_geometric(exponent: Exponents | float) -> Exponents:
    r"""Limit of l²/𝒲₂ at late times with modes left to learn, Eqs. (16), (73).

    .. math:: l_\gamma^2/\mathcal W_2 \to \frac{a}{(1+a)(1-2^{-a})}

    Args:
        exponent: a = (1 − δ)/α.

    Returns:
        The limit for −1 < a < 1, 1/ln 2 at a = 0; 1 for a ≥ 1; NaN for a ≤ −1, where it depends on more than a.
    """
    # A straight line beyond a = 1, where the form is 1 already.
    a = np.minimum(exponent, 1.0)
    return np.asarray(1.0 / (np.where(a > -1, 1.0 + a, np.nan) * LN2 * exprel(-a * LN2)))


def asymptotic_pace(exponent: Exponents | float) -> Exponents:
    r"""Limit of Tβ⁻¹R/l² at late times with modes left to learn.

    .. math:: T\,\beta^{-1}R/l_\gamma^2 \to \frac{(1+a)^2}{4a}

    Args:
        exponent: a = (1 − δ)/α.

    Returns:
        The limit for 0 < a < 1; 1 for a ≥ 1; infinite for a ≤ 0.
    """
    a = np.clip(exponent, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray((1.0 + a) ** 2 / (4.0 * a))
