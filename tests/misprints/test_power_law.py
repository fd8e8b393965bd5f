"""Misprints on kernels and scaling laws: each is what the paper prints, and off by what its docstring says."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma, gammainc, zeta

from speedlimits.misprints import power_law as as_printed
from speedlimits.theory.constant_kernel import ConstantKernel
from speedlimits.theory.power_law import PowerLaw
from tests.cases import LinearProblem

TIMES = np.array([0.3, 20.0])
LAWS = [PowerLaw(1.6, 0.4, 50, 2.0, 3.0), PowerLaw(0.7, 1.0, 50, 2.0, 3.0), PowerLaw(2.0, 1.8, 50, 2.0, 3.0)]


def integral(function, start: float, end: float) -> float:
    """∫f(x)dx in ln x, where the powers of the paper's integrands are tame."""
    return quad(lambda v: function(np.exp(v)) * np.exp(v), np.log(start), np.log(end), epsabs=0, epsrel=1e-11)[0]


def test_dissipation_without_the_half_is_twice_the_loss_drop():
    """Eqs. (13), (14), (61): twice what gradient flow on a linear model loses, so that T/T_SL starts at 2."""
    problem = LinearProblem.draw(np.array([3.0, 0.5, 0.1]), np.random.default_rng(1))
    left, values, right = np.linalg.svd(problem.jacobian, full_matrices=False)
    theta = -right.T @ (np.expm1(-(values**2) * 0.7) * (left.T @ problem.targets) / values)
    drop = 0.5 * np.sum(problem.targets**2) - 0.5 * np.sum((problem.jacobian @ theta - problem.targets) ** 2)
    kernel = ConstantKernel(eigenvalues=problem.eigenvalues, residual=problem.residual)
    assert as_printed.dissipation(kernel, np.array([0.7]))[0] == pytest.approx(2 * drop, rel=1e-12)
    early = np.array([1e-9])
    start = early * as_printed.dissipation(kernel, early) / kernel.w2_squared(early)
    assert start[0] == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize("law", LAWS)
def test_distance_integral_lacks_one_over_alpha(law):
    """Eqs. (58), (59): the printed integral over x, α times the integral over k that it stands for."""
    a, alpha = law.exponent, law.spectrum_exponent
    for time, value in zip(TIMES, as_printed.w2_squared_integral(law, TIMES), strict=True):
        printed = integral(lambda x: x ** (-2 - a) * np.expm1(-x) ** 2, 2 * time * 50.0**-alpha, 2 * time)
        assert value == pytest.approx(9 / 2 * (2 * time) ** (1 + a) * printed, rel=1e-9)
        over_k = integral(
            lambda k, time=time: k ** (alpha - law.residual_exponent) * np.expm1(-2 * time * k**-alpha) ** 2, 1.0, 50.0
        )
        assert value == pytest.approx(alpha * 9 / 2 * over_k, rel=1e-9)


@pytest.mark.parametrize("law", LAWS)
def test_late_distance_lacks_one_over_alpha(law):
    """Eq. (60): the printed integral from 0 to ∞, α times the late distance of 10¹⁵ modes."""
    a = law.exponent
    printed = integral(lambda x: x ** (-2 - a) * np.expm1(-x) ** 2, 1e-30, 1e60)
    value = as_printed.w2_squared(law, TIMES)
    np.testing.assert_allclose(value, 9 * 2.0**a * printed * TIMES ** (1 + a), rtol=1e-8)
    many = PowerLaw(law.spectrum_exponent, law.residual_exponent, 10**15, 2.0, 3.0)
    late = np.array([1e7])
    ratio = as_printed.w2_squared(many, late) / many.finite(late).w2_squared
    # The early modes' share is (Λt)^{−1−a} < 1e-4.
    assert ratio[0] == pytest.approx(law.spectrum_exponent, rel=1e-3)


@pytest.mark.parametrize("law", LAWS)
def test_loss_integral_lacks_three_factors(law):
    """Eq. (62): the printed integral over x, 2α/Δ² times the loss that the integral over k spends."""
    a, alpha = law.exponent, law.spectrum_exponent
    for time, value in zip(TIMES, as_printed.loss_integral(law, TIMES), strict=True):
        printed = integral(lambda x: x ** (-1 - a) * -np.expm1(-2 * x), 2 * time * 50.0**-alpha, 2 * time)
        assert value == pytest.approx((2 * time) ** a * printed, rel=1e-9)
        spent = integral(
            lambda k, time=time: 4.5 * k**-law.residual_exponent * -np.expm1(-4 * time * k**-alpha), 1.0, 50.0
        )
        assert value == pytest.approx(2 * alpha / 9 * spent, rel=1e-9)


def test_late_loss_is_off_by_the_same():
    """Eq. (63): 2α/Δ² times the late loss for 0 < a < 1, and a constant that is neither integral nor sum for a < 0."""
    law = PowerLaw(1.6, 0.4, 10**20, 2.0, 3.0)
    a = law.exponent
    printed = integral(lambda x: x ** (-1 - a) * -np.expm1(-2 * x), 1e-30, 1e60)
    np.testing.assert_allclose(as_printed.late_dissipation(law, TIMES), (2 * TIMES) ** a * printed, rtol=1e-8)
    ratio = as_printed.late_dissipation(law, TIMES) / law.asymptotic(TIMES).dissipation
    np.testing.assert_allclose(ratio, 2 * 1.6 / 9, rtol=1e-12)
    law = PowerLaw(2.0, 1.8, 10**20, 2.0, 3.0)
    value = as_printed.late_dissipation(law, TIMES)
    np.testing.assert_allclose(value, 2.0**-0.4 / 0.4, rtol=1e-12)
    ratio = value[0] / law.finite(np.array([1e12])).dissipation[0]
    assert ratio == pytest.approx(2 * 2.0 * 2.0**-0.4 / (9 * 0.8 * zeta(1.8)), rel=1e-4)
    for border in (PowerLaw(0.7, 1.0, 50), PowerLaw(0.5, 0.2, 50)):
        assert np.all(np.isnan(as_printed.late_dissipation(border, TIMES)))


@pytest.mark.parametrize("delta", [0.5, 1.0, 1.6])
def test_length_lacks_a_power_of_two(delta):
    """Eq. (69): the printed integral over time, 2^{−a/2} times the double integral of Eq. (67) with n → ∞."""
    law = PowerLaw(1.5, delta, 50, 1.0, 3.0)
    a = law.exponent

    def printed(s: float) -> float:
        return (3.0 * s) ** -0.5 * s ** (a / 2) * np.sqrt(gamma(1 - a) * gammainc(1 - a, 2 * s))

    def speed(s: float) -> float:
        return np.sqrt(integral(lambda k: k ** (-1.5 - delta) * np.exp(-2 * k**-1.5 * s), 1.0, 1e30))

    for time, value in zip(TIMES, as_printed.arc_length(law, TIMES), strict=True):
        assert value == pytest.approx(3.0 * integral(printed, 1e-15, time), rel=1e-9)
        assert value == pytest.approx(3.0 * 2 ** (-a / 2) * quad(speed, 0.0, time, epsrel=1e-8)[0], rel=1e-7)


def test_sharp_cut_has_the_wrong_denominator():
    """Eq. (72): (α − δ + 1)/(α − δ) times the integral of k^{α−δ}, infinite at δ = α and negative beyond."""
    for delta in (0.5, 2.0):
        law = PowerLaw(1.5, delta, 10**6, 1.0, 3.0)
        learned = integral(lambda k, delta=delta: k ** (1.5 - delta), 1.0, 20.0 ** (1 / 1.5))
        value = as_printed.sharp_w2_squared(law, TIMES)[1]
        assert value == pytest.approx(9 * learned * (2.5 - delta) / (1.5 - delta), rel=1e-9)
        assert (value < 0) == (delta > 1.5)
    assert as_printed.sharp_w2_squared(PowerLaw(1.5, 1.5, 10), TIMES)[1] == np.inf


def test_length_needs_an_exponent_below_one():
    """For a ≥ 1 infinitely many modes move infinitely fast: the error says so."""
    with pytest.raises(ValueError, match=r"`law` must have an exponent a below 1; law.exponent = 1\."):
        as_printed.arc_length(PowerLaw(0.5, 0.4, 10), TIMES)
