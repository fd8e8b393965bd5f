r"""Power-law spectra λ_k = Λk^{−α} and residuals Δ_k² = Δ²k^{−δ}: distance, dissipation and inefficiency of their flow.

One exponent decides, a = (1 − δ)/α. The window Λ⁻¹ ≪ t ≪ λ_n⁻¹ lies between the first and the last mode's own time.
There the inefficiency T/T_SL tends to a number of order one for 0 < a < 1. It grows as ln t at a = 0, and as t^{−a} for
a < 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import exprel

from speedlimits._checks import check_finite, check_integer, check_positive, check_shape
from speedlimits._shapes import Modes, Times
from speedlimits.bound import SpeedLimit
from speedlimits.theory.constant_kernel import ConstantKernel, path_length
from speedlimits.theory.power_law_leading import LeadingTerms, asymptotic_geometric
from speedlimits.theory.power_law_sums import PowerLawSums

Grid = Float[np.ndarray, "spectrum residual"]

# "≪" in the window of the leading terms: their largest relative error.
WINDOW = 0.2
# δ = 1 + α and the like are not exact in binary; the regimes' borders are this wide.
BORDER = 1e-12


@dataclass(frozen=True)
class PowerLaw:
    r"""Modes λ_k = Λk^{−α} with residuals Δ_k² = Δ²k^{−δ}, k = 1 … n, as assumed for Eqs. (14), (57).

    All methods take flow times t [time], in any order. They raise a ValueError if a time is negative or not finite;
    `finite`, `asymptotic` and `sharp_w2_squared` do so at t = 0, too.

    Args:
        spectrum_exponent: α, positive.
        residual_exponent: δ, any number.
        modes: n, how many.
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

        Returns:
            The leading terms. Their `tolerance` is the largest relative error, against `finite`, of distance,
            dissipation, length and T_SL at that time. Times are outside the window, and not certified, where it exceeds
            20 %: before the first modes are learned, after the last, and everywhere where a is so near to 0 or ±1 that
            two terms are alike, such as (Λt)^a and 1.

        Note:
            Errata 58 to 63, 71, 72: `misprints.power_law` has the paper's own prefactors.
        """
        leading, sums = self._leading(times), self.finite(times)
        names = ("w2_squared", "dissipation", "arc_length", "speed_limit")
        # Long before the first mode's time the distance is below all floating-point numbers.
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.nanmax([np.abs(getattr(leading, name) / getattr(sums, name) - 1.0) for name in names], axis=0)
        error = np.minimum(error, np.finfo(np.float64).max)
        window = f"{1 / self.scale:.3g} ≪ t ≪ {self.last_time:.3g}"
        outside = f"leading terms are off by up to {{:.0%}}, outside their window {window}"
        return replace(leading, tolerance=error, caveats=((outside, np.where(error > WINDOW, error, np.nan)),))

    def _leading(self, times: Times) -> SpeedLimit:
        check_positive("times", times)
        terms = LeadingTerms(spectrum_exponent=self.spectrum_exponent, exponent=self.exponent, modes=self.modes)
        moved = self.residual_scale**2 / self.scale * np.maximum(terms.distance(self.scale * times), 0.0)
        spent = 0.5 * self.residual_scale**2 * terms.loss(self.scale * times)
        return SpeedLimit(
            time=times,
            w2_squared=moved,
            dissipation=np.where(spent >= 0, spent, np.nan),
            arc_length=np.sqrt(moved * asymptotic_geometric(self.exponent)),
        )

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


class PhaseDiagram(NamedTuple):
    """Tables over the plane of exponents: a row for each spectrum exponent α, a column for each residual exponent δ.

    Args:
        times: t of each law [time].
        exponents: a = (1 − δ)/α.
        exact: T/T_SL by the sums over all modes.
        asymptotic: T/T_SL by the leading terms for Λ⁻¹ ≪ t ≪ λ_n⁻¹; compare `exact` for their error.
    """

    times: Grid
    exponents: Grid
    exact: Grid
    asymptotic: Grid


# The latest time of a phase diagram: squares of later ones are beyond float64.
LATEST = 1e100


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
        modes: n, how many.
        time: t, positive, for all laws, or a function of the law such as ``lambda law: 0.01 * law.last_time``.

    Raises:
        ValueError: if an exponent α or a time is not positive, δ not finite, or n not a positive integer.
    """
    check_shape("spectrum_exponents", spectrum_exponents, (None,))
    check_shape("residual_exponents", residual_exponents, (None,))
    check_positive("spectrum_exponents", spectrum_exponents)
    check_finite("residual_exponents", residual_exponents)
    if not callable(time):
        check_positive("time", time)
        if time > LATEST:
            raise ValueError(f"`time` must be at most {LATEST:g}, whose square is a number; time = {time:g}.")
    tables = np.empty((4, spectrum_exponents.size, residual_exponents.size))
    for row, column in np.ndindex(tables.shape[1:]):
        law = PowerLaw(float(spectrum_exponents[row]), float(residual_exponents[column]), modes)
        when = np.array([time(law) if callable(time) else time], dtype=float)
        exact = when @ law.dissipation(when) / law.w2_squared(when)[0]
        tables[:, row, column] = when[0], law.exponent, exact, law._leading(when).final.inefficiency
    return PhaseDiagram(*tables)
