"""Misprinted formulas of the paper on kernels and power laws, beside their corrections; use none of them.

Each function says what is wrong, how wrong it is, and which function of this package is right. All take flow times t
[time]. They raise a ValueError if a time is not positive and finite; `dissipation` and `arc_length` allow t = 0.
"""

import numpy as np
from scipy.special import gamma

from speedlimits._checks import check_non_negative, check_positive
from speedlimits._shapes import Times
from speedlimits.theory.constant_kernel import ConstantKernel, path_length
from speedlimits.theory.power_law import PowerLaw


def dissipation(kernel: ConstantKernel, times: Times) -> Times:
    r"""Loss spent as printed in Eqs. (13), (14), (61), ΣΔ²(1 − e^{−2λt}).

    It is twice the loss drop, so T/T_SL starts at 2 instead of 1.

    Note:
        Erratum 13: the factor is ½, as in Eqs. (49), (56); `ConstantKernel.dissipation` has it.
    """
    return 2.0 * kernel.dissipation(times)


def w2_squared_integral(law: PowerLaw, times: Times) -> Times:
    r"""Distance by the integral as printed in Eqs. (58), (59).

    .. math:: \frac{\Delta^2}\Lambda (\Lambda t)^{1+a} \int_{\lambda_n t}^{\Lambda t} x^{-2-a}(1-e^{-x})^2\,dx

    It is α times the integral over k from 1 to n that it stands for.

    Note:
        Errata 58, 59: dk brings 1/α; `PowerLawSums.distance_integral` has it, and `PowerLaw.finite` is the sum.
    """
    check_positive("times", times)
    unit = law.residual_scale**2 / law.scale * law.spectrum_exponent
    return unit * law.sums.distance_integral(1.0, float(law.modes), law.scale * times)


def w2_squared(law: PowerLaw, times: Times) -> Times:
    r"""Late distance as printed in Eq. (60): α times the leading term for −1 < a < 1.

    Note:
        Erratum 60: dk brings 1/α; `PowerLaw.asymptotic` has it.
    """
    return law.spectrum_exponent * law.asymptotic(times).w2_squared


def loss_integral(law: PowerLaw, times: Times) -> Times:
    r"""Loss spent by the integral as printed in Eq. (62).

    .. math:: (\Lambda t)^a \int_{\lambda_n t}^{\Lambda t} x^{-1-a}(1-e^{-2x})\,dx

    It is 2α/Δ² times the loss spent, as an integral over k from 1 to n.

    Note:
        Erratum 62: dk brings 1/α; Δ² and ½ are lost. `PowerLawSums.loss_integral` times Δ²/2 is right, and
        `PowerLaw.finite` is the sum.
    """
    check_positive("times", times)
    return law.spectrum_exponent * law.sums.loss_integral(1.0, float(law.modes), law.scale * times)


def late_dissipation(law: PowerLaw, times: Times) -> Times:
    r"""Late loss spent as printed in Eq. (63), which has no case a = 0.

    .. math:: (\Lambda t)^a\int_0^\infty x^{-1-a}(1-e^{-2x})\,dx \quad (0 < a < 1), \qquad
              \Lambda^a \frac{\alpha}{\delta-1} \quad (a < 0)

    For 0 < a < 1 it is 2α/Δ² times the leading term. For a < 0 it is a constant, off by 2αΛ^a/(Δ²(δ − 1)ζ(δ)). For
    a = 0 and a ≥ 1 it is NaN.

    Note:
        Erratum 63: first line, 1/α, Δ² and ½ are lost. Second line, ½Δ²/(δ − 1), without Λ^a, is the integral from
        k = 1, and ½Δ²ζ(δ) the sum. `PowerLaw.asymptotic` has both.
    """
    check_positive("times", times)
    a = law.exponent
    if a < 0:
        return np.full_like(times, law.scale**a * law.spectrum_exponent / (law.residual_exponent - 1.0))
    if not 0 < a < 1:
        return np.full_like(times, np.nan)
    return gamma(1.0 - a) / a * (2.0 * law.scale * times) ** a


def arc_length(law: PowerLaw, times: Times) -> Times:
    r"""Length of the path as printed in Eq. (69), where Λ = 1.

    .. math:: |\Delta|\int_0^t (2\alpha s)^{-1/2}\,s^{a/2}\sqrt{\gamma(1-a, 2s)}\,ds

    It is 2^{−a/2} times the length it stands for. For a ≥ 1 the integral over all modes diverges, and a ValueError
    says so.

    Note:
        Erratum 69: s^{a/2} should be (2s)^{a/2}, as in Eqs. (68), (70); `PowerLawSums.speed_integral` has it.
    """
    check_non_negative("times", times)
    if law.exponent >= 1:
        raise ValueError(f"`law` must have an exponent a below 1; law.exponent = {law.exponent:.17g}.")
    length = path_length(lambda s: np.sqrt(law.sums.speed_integral(1.0, np.inf, s)), 1.0, times)
    return law.residual_scale * 2.0 ** (-0.5 * law.exponent) * length


def sharp_w2_squared(law: PowerLaw, times: Times) -> Times:
    r"""Square of the straight path's length as printed in Eq. (72), where Λ = 1.

    .. math:: l_{geo}^2 = \Delta^2\,\frac{t^{(\alpha-\delta+1)/\alpha} - 1}{\alpha-\delta}

    It is (α − δ + 1)/(α − δ) times the integral it stands for: infinite at δ = α, negative beyond.

    Note:
        Erratum 72: the integral of k^{α−δ} brings (α − δ + 1)⁻¹; `PowerLaw.sharp_w2_squared` has it. Erratum 71: the
        sum before it starts at k = 0. There is no such mode, and for α < δ it would be infinite.
    """
    check_positive("times", times)
    difference = np.float64(law.spectrum_exponent - law.residual_exponent)
    with np.errstate(divide="ignore", invalid="ignore"):
        return law.residual_scale**2 * (times ** ((difference + 1.0) / law.spectrum_exponent) - 1.0) / difference
