r"""Power-law spectra λ_k = Λk^{−α} and residuals Δ_k² = Δ²k^{−δ}: distance, dissipation and inefficiency of their flow.

One exponent decides, a = (1 − δ)/α. The window Λ⁻¹ ≪ t ≪ λ_n⁻¹ lies between the first and the last mode's own time.
There the inefficiency T/T_SL tends to a number of order one for 0 < a < 1. It grows as ln t at a = 0, and as t^{−a} for
a < 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import exprel, gamma, zeta

from speedlimits._checks import check_finite, check_integer, check_positive, check_shape
from speedlimits._shapes import Modes, Times
from speedlimits.bound import SpeedLimit
from speedlimits.theory.constant_kernel import ConstantKernel, path_length
from speedlimits.theory.power_law_sums import PowerLawSums

Exponents = Float[np.ndarray, "*exponents"]
Grid = Float[np.ndarray, "spectrum residual"]

LN2 = np.log(2.0)
# δ = 1 + α and the like are not exact in binary; the regimes' borders are this wide.
BORDER = 1e-12
# The sums over all modes by incomplete gamma functions are right to this share.
SUMS = 1e-9
# Where the leading terms of T_SL are off by more, they lead no longer.
WINDOW = 0.5


@dataclass(frozen=True)
class PowerLaw:
    r"""Modes λ_k = Λk^{−α} with residuals Δ_k² = Δ²k^{−δ}, k = 1 … n, as assumed for Eqs. (14), (57).

    All methods take flow times t [time], in any order. They raise a ValueError if a time is negative or not finite;
    `finite`, `asymptotic` and `sharp_w2_squared` do so at t = 0, too.

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

        "straight" (a ≥ 1): it tends to 1, because the unlearned tail moves on a straight line. "optimal" (0 < a < 1):
        it tends to a number of order one. "threshold" (a = 0): ∝ ln t. "non-optimal" (−1 < a < 0): ∝ t^{−a}.
        "saturated" (a ≤ −1): ∝ t, or t/ln t at −1, because the first modes are all there is.
        """
        a = self.exponent
        if a >= 1:
            return "straight"
        if a > 0:
            return "optimal"
        if a == 0:
            return "threshold"
        return "non-optimal" if a > -1 else "saturated"

    @cached_property
    def kernel(self) -> ConstantKernel:
        """The constant kernel with these modes, all of them in memory."""
        return ConstantKernel(eigenvalues=self.eigenvalues, residual=self.residual)

    @property
    def sums(self) -> PowerLawSums:
        """The sums over the modes, in units of Λ and Δ, by incomplete gamma functions."""
        return PowerLawSums(spectrum_exponent=self.spectrum_exponent, exponent=self.exponent, modes=self.modes)

    def w2_squared(self, times: Times) -> Times:
        """Squared distance by the sum of Eq. (13) over all modes."""
        return self.kernel.w2_squared(times)

    def dissipation(self, times: Times) -> Times:
        """Loss spent by the sum of Eq. (13) over all modes [loss]."""
        return self.kernel.dissipation(times)

    def arc_length(self, times: Times) -> Times:
        """Length of the path by the sum of Eq. (66) over all modes."""
        return self.kernel.arc_length(times)

    def speed_limit(self, times: Times) -> SpeedLimit:
        """The limit by the sums of Eqs. (13), (66) over all modes, exact at any time t ≥ 0, with the path's length."""
        return self.kernel.speed_limit(times)

    def finite(self, times: Times) -> SpeedLimit:
        """The limit by incomplete gamma functions, to 1e-9, at any time t > 0 and for any number of modes."""
        check_positive("times", times)
        sums, scaled = self.sums, self.scale * times

        def speed(s: np.ndarray) -> np.ndarray:
            # Long after λ_n⁻¹ the last mode alone is left, e^{−2x_n} of it, and rounding may be below zero.
            return np.sqrt(np.maximum(sums.speed(s), 0.0))

        return SpeedLimit(
            time=times,
            w2_squared=self.residual_scale**2 / self.scale * sums.distance(scaled),
            dissipation=0.5 * self.residual_scale**2 * sums.loss(scaled),
            arc_length=self.residual_scale / np.sqrt(self.scale) * path_length(speed, 1.0, scaled),
        )

    def asymptotic(self, times: Times) -> SpeedLimit:
        r"""Leading terms for Λ⁻¹ ≪ t ≪ λ_n⁻¹, exponents and prefactors, Eqs. (14), (15), (60), (63), (69), (73).

        .. math:: \mathcal W_2 &= \tfrac{\Delta^2}{\alpha\Lambda}\,\Gamma(-1-a)(2^{1+a}-2)\,(\Lambda t)^{1+a}
                  && (-1 < a < 1) \\
                  l_\gamma^2 &= \mathcal W_2\,\frac{a}{(1+a)(1-2^{-a})} && (-1 < a < 1) \\
                  \beta^{-1}R &= \tfrac{\Delta^2}{2\alpha}\,\tfrac1a\Gamma(1-a)\,(2\Lambda t)^a && (0 < a < 1) \\
                  \beta^{-1}R &= \tfrac{\Delta^2}{2\alpha}\,[\ln(2\Lambda t) + (1+\alpha)\gamma_E] && (a = 0) \\
                  \beta^{-1}R &= \tfrac{\Delta^2}{2}\,\zeta(\delta) && (a < 0)

        For a < −1 the distance, too, is that of the first modes, Δ²Λ⁻¹ζ(δ − α). For a > 1 the last modes are still
        far from learned, and give 𝒲₂ = tβ⁻¹R = l² = Δ²Λt²n^{α(a−1)}/(α(a − 1)). At a = ±1 there are logarithms. What
        is left out is smaller by (Λt)^{−|a|}, (Λt)^{−1−a} and (λ_n t)^{1−a}; `finite` has it. The arc length is NaN
        for a ≤ −1, where it has no closed form. Far outside the window a logarithm is negative; 𝒲₂ is then 0, and
        β⁻¹R is NaN.

        The tolerance at each time is the relative error of T_SL there, against the sums over all modes. Where it is
        above a half, the time is outside the window, and the limit is not certified.

        Note:
            Errata 58 to 63, 71, 72: `misprints.power_law` has the paper's own prefactors.
        """
        check_positive("times", times)
        moved = self.residual_scale**2 / self.scale * self._distance(self.scale * times)
        spent = 0.5 * self.residual_scale**2 * self._loss(self.scale * times)
        moved, spent = np.maximum(moved, 0.0), np.where(spent >= 0, spent, np.nan)
        error = self._error_of(moved, spent, times)
        return SpeedLimit(
            time=times,
            w2_squared=moved,
            dissipation=spent,
            arc_length=np.sqrt(moved * asymptotic_geometric(self.exponent)),
            tolerance=np.where(np.isfinite(error), error, 1.0),
            caveats=(
                (
                    f"the leading terms are off by {{:.0%}}, outside their window {1 / self.scale:.3g} ≪ t ≪ "
                    f"{self.last_time:.3g}",
                    np.where(error <= WINDOW, np.nan, error),
                ),
            ),
        )

    def _error_of(self, moved: Times, spent: Times, times: Times) -> Times:
        """Relative error of their T_SL, by the sums over all modes; infinite where there is no T_SL."""
        sums, scaled = self.sums, self.scale * times
        with np.errstate(divide="ignore", invalid="ignore"):
            exact = 2.0 * sums.distance(scaled) / sums.loss(scaled) / self.scale
            error = np.abs(moved / spent / exact - 1.0) + SUMS
        return np.where(np.isfinite(error), error, np.inf)

    def sharp_w2_squared(self, times: Times) -> Times:
        r"""Distance if modes with λt > 1 were learned and all others untouched: the paper's estimate, Eqs. (71), (72).

        .. math:: \mathcal W_2 \approx \frac{\Delta^2}\Lambda\int_1^{(\Lambda t)^{1/\alpha}}k^{\alpha-\delta}dk
                  = \frac{\Delta^2}\Lambda\,\frac{(\Lambda t)^{1+a}-1}{\alpha-\delta+1}

        The exponent is that of `asymptotic`. The prefactor is off by a number of order one, 1/(2 ln 2) = 0.72 at a = 0.
        The estimate is 0 before the first mode is learned, and constant after the last.

        Note:
            Erratum 72: the paper prints (α − δ)⁻¹. Erratum 71: its sum starts at k = 0 instead of 1.
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


class PhaseDiagram(NamedTuple):
    """Tables over the plane of exponents: a row for each spectrum exponent α, a column for each residual exponent δ.

    Args:
        times: t of each law [time].
        exponents: a = (1 − δ)/α.
        exact: T/T_SL by the sums over all modes.
        asymptotic: T/T_SL by the leading terms for Λ⁻¹ ≪ t ≪ λ_n⁻¹.
    """

    times: Grid
    exponents: Grid
    exact: Grid
    asymptotic: Grid


def phase_diagram(
    spectrum_exponents: Float[np.ndarray, " spectrum"],
    residual_exponents: Float[np.ndarray, " residual"],
    modes: int,
    time: float | Callable[[PowerLaw], float],
) -> PhaseDiagram:
    """Where the flow is near its limit and where not: the regimes of Eqs. (14), (15) on the plane of exponents.

    Args:
        spectrum_exponents: α, positive.
        residual_exponents: δ.
        modes: n.
        time: t, positive, for all laws, or a function of the law such as ``lambda law: 0.01 * law.last_time``.

    Raises:
        ValueError: if an exponent α or a time is not positive, δ not finite, or n not a positive integer.
    """
    check_shape("spectrum_exponents", spectrum_exponents, (None,))
    check_shape("residual_exponents", residual_exponents, (None,))
    tables = np.empty((4, spectrum_exponents.size, residual_exponents.size))
    for row, column in np.ndindex(tables.shape[1:]):
        law = PowerLaw(float(spectrum_exponents[row]), float(residual_exponents[column]), modes)
        when = np.array([time(law) if callable(time) else time], dtype=float)
        exact = when @ law.dissipation(when) / law.w2_squared(when)[0]
        tables[:, row, column] = when[0], law.exponent, exact, law.asymptotic(when).final.inefficiency
    return PhaseDiagram(*tables)
