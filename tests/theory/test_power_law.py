"""Scaling laws against sums over all modes, and the closed forms of finite size against both."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speedlimits.theory.power_law import WINDOW, PowerLaw, phase_diagram
from speedlimits.theory.power_law_leading import asymptotic_geometric, asymptotic_inefficiency, asymptotic_pace

QUANTITIES = ("w2_squared", "dissipation", "arc_length")
# a = −2.5 … 2.2: both sides of every border between regimes, the borders, and within rounding of them.
EXPONENTS = [-2.5, -1.05, -1.0, -1 + 1e-9, -0.5, -0.02, 0.0, 1e-7, 0.05, 0.5, 0.95, 1 - 1e-8, 1.0, 1.3, 2.0, 2.2]


def of_exponent(a: float, alpha: float, modes: int, **scales: float) -> PowerLaw:
    return PowerLaw(alpha, 1.0 - a * alpha, modes, **scales)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("a", EXPONENTS)
def test_incomplete_gammas_are_the_sums(a, alpha):
    """Eqs. (57), (61), (68), (70): W, ΔL and l of 2,000 modes to 1e-9, t from 1e-6/Λ to past λ_n⁻¹, in every regime.

    It also proves Eqs. (13), (58), (59), (62), (66), (67), (69).
    """
    law = of_exponent(a, alpha, 2000, scale=2.0, residual_scale=3.0)
    times = np.geomspace(1e-6, 6.0 * law.last_time, 7)
    exact, finite = law.speed_limit(times), law.finite(times)
    for name in QUANTITIES:
        np.testing.assert_allclose(getattr(finite, name), getattr(exact, name), rtol=1e-9, atol=0, err_msg=name)


@pytest.mark.parametrize("modes", [1, 2, 128, 129, 130])
def test_few_modes_too(modes):
    """Eqs. (57), (61), (66), (68): the same for as few modes as are summed one by one, and just more."""
    law = PowerLaw(1.0, 0.5, modes)
    times = np.geomspace(0.1, 3.0 * law.last_time, 4)
    exact, finite = law.speed_limit(times), law.finite(times)
    for name in QUANTITIES:
        np.testing.assert_allclose(getattr(finite, name), getattr(exact, name), rtol=1e-9, atol=0)


def test_numbers_at_the_end_of_training():
    """α = 1, δ = ½, n = 2·10⁵: T/T_SL at t = 1e-3 … 1 λ_n⁻¹ against 1.2803 in between: the cutoff is of order one.

    It also proves Eqs. (13), (14).
    """
    law = PowerLaw(1.0, 0.5, 200_000)
    times = law.last_time * np.array([1e-3, 1e-2, 1e-1, 1.0])
    expected = [1.2625, 1.3028, 1.4039, 2.1851]
    np.testing.assert_allclose(law.speed_limit(times).inefficiency, expected, rtol=0, atol=5e-5)
    np.testing.assert_allclose(law.finite(times).inefficiency, expected, rtol=0, atol=5e-5)
    np.testing.assert_allclose(law.asymptotic(times).inefficiency, 1.2803, rtol=0, atol=5e-5)


def test_spectrum_is_a_power_law():
    """Eqs. (13), (66): λ_k = Λk^{−α} and Δ_k² = Δ²k^{−δ}, with a = (1 − δ)/α and the last mode's time λ_n⁻¹."""
    law = PowerLaw(2.0, 0.5, 4, scale=3.0, residual_scale=5.0)
    np.testing.assert_allclose(law.eigenvalues, [3.0, 3 / 4, 3 / 9, 3 / 16], rtol=1e-15)
    np.testing.assert_allclose(law.residual**2, 25 / np.sqrt([1, 2, 3, 4]), rtol=1e-15)
    assert law.exponent == 0.25
    assert law.last_time == pytest.approx(16 / 3, rel=1e-15)
    times = np.array([0.1, 2.0])
    for name in QUANTITIES:
        np.testing.assert_array_equal(getattr(law, name)(times), getattr(law.speed_limit(times), name))


@pytest.mark.parametrize(
    ("alpha", "delta", "regime"),
    [
        (0.3, 0.1, "straight"),
        (0.2, 0.8, "straight"),
        (1.0, 0.5, "optimal"),
        (1.0, 1.0, "threshold"),
        (1.0, 1.5, "non-optimal"),
        (0.2, 1.2, "saturated"),
        (0.3, 2.0, "saturated"),
    ],
)
def test_regimes(alpha, delta, regime):
    """Each regime has its name, also on borders such as a = (1 − 1.2)/0.2 that rounding would miss."""
    assert PowerLaw(alpha, delta, 10).regime == regime


@pytest.mark.parametrize(
    ("alpha", "delta"), [(1.0, 0.5), (1.5, 0.25), (2.0, 0.4), (1.0, 1.0), (2.0, 1.0), (1.0, 1.5), (2.0, 2.2)]
)
def test_exponents_and_prefactors_between_first_and_last_mode(alpha, delta):
    """Eqs. (14), (15): 10²⁵ modes tend to the leading terms; what is left falls as (Λt)^{−1−a} and (Λt)^{−|a|}.

    It also proves Eqs. (60), (63), (69), (73).
    """
    law = PowerLaw(alpha, delta, 10**25, scale=2.0, residual_scale=3.0)
    a = law.exponent
    times = np.array([1e3, 1e4, 1e5])
    leading, exact = law.asymptotic(times), law.finite(times)
    for name, rate in (("w2_squared", -1 - a), ("dissipation", -abs(a))):
        error = np.abs(getattr(exact, name) / getattr(leading, name) - 1)
        if rate == 0:
            # The logarithm comes with its constant: the rest is exponentially small.
            np.testing.assert_allclose(error, 0.0, atol=1e-9)
        else:
            assert np.polyfit(np.log(times), np.log(error), 1)[0] == pytest.approx(rate, abs=0.05)


@pytest.mark.parametrize("a", [-0.6, -0.2, 0.0, 0.3, 0.6])
def test_arc_length_exponent_and_prefactor(a):
    """The length of 10²⁵ modes' path tends to its leading term, Eqs. (16), (73), as (Λt)^{−(1+a)/2}.

    It also proves Eqs. (14), (15), (60), (63), (69).
    """
    law = of_exponent(a, 1.0, 10**25)
    times = np.array([1e3, 1e4, 1e5])
    error = np.abs(law.finite(times).arc_length / law.asymptotic(times).arc_length - 1)
    assert np.polyfit(np.log(times), np.log(error), 1)[0] == pytest.approx(-0.5 * (1 + a), abs=0.05)


@pytest.mark.parametrize("a", EXPONENTS)
def test_leading_terms_state_their_error(a):
    """The tolerance is the largest relative error against the sums over all modes; beyond 20 % nothing is certified.

    Near a = 0 and ±1, where leading terms come in pairs that nearly cancel, no time is within it.

    It also proves Eqs. (14), (15), (60), (63), (69), (73).
    """
    law = of_exponent(a, 1.0, 20_000, scale=2.0, residual_scale=3.0)
    times = np.geomspace(1e-2, 10.0 * law.last_time, 13)
    leading, exact = law.asymptotic(times), law.speed_limit(times)
    errors = [getattr(leading, name) / getattr(exact, name) - 1 for name in (*QUANTITIES, "speed_limit")]
    largest = np.nanmax(np.abs(errors), axis=0)
    np.testing.assert_allclose(leading.tolerance, largest, rtol=1e-6, atol=3e-9)
    inside = [leading[k].certified for k in range(13)]
    known = np.isfinite(leading.dissipation)
    np.testing.assert_array_equal(inside, (largest <= WINDOW) & known)
    assert any(inside) == (a not in (-1.05, -1 + 1e-9, -0.02, 1e-7, 0.05, 0.95, 1 - 1e-8))
    if abs(a) < 1:
        assert not leading.final.certified


def test_late_leading_terms_say_that_they_are_outside():
    """At ten times the last mode's own time they give T_SL = 7810 where it is 683; at 1/Λ they are none either.

    It also proves Eqs. (14), (15), (60), (63), (69), (73).
    """
    law = PowerLaw(1.0, 0.5, 1000)
    late = law.asymptotic(np.array([10 * law.last_time])).final
    assert late.speed_limit == pytest.approx(7810, rel=1e-3)
    assert late.reasons == ("leading terms are off by up to 9180%, outside their window 1 ≪ t ≪ 1e+03 (at time 1e+04)",)
    assert not law.asymptotic(np.array([1.0, 1e-200])).certified
    assert PowerLaw(1.0, 0.5, 200_000).asymptotic(np.array([100.0])).certified


@pytest.mark.parametrize("a", [-2.0, -1.3])
def test_saturated_distance(a):
    """For a < −1 distance and dissipation are those of the first modes: zeta functions, up to (Λt)^{1+a}, (Λt)^a.

    It also proves Eqs. (14), (15), (60), (63), (69), (73).
    """
    law = of_exponent(a, 1.0, 10**25, scale=2.0, residual_scale=3.0)
    times = np.array([1e3, 1e4])
    leading, exact = law.asymptotic(times), law.finite(times)
    for name, rate in (("w2_squared", 1 + a), ("dissipation", a)):
        error = np.abs(getattr(exact, name) / getattr(leading, name) - 1)
        assert np.log10(error[1] / error[0]) == pytest.approx(rate, abs=0.05)
    assert np.all(np.isnan(leading.arc_length))


def test_borders_have_logarithms():
    """The distance at a = −1, and at a = 1 the dissipation too, have logarithms, with their constants.

    It also proves Eqs. (14), (15), (60), (63), (69), (73).
    """
    saturated = of_exponent(-1.0, 1.5, 10**9, scale=2.0)
    times = np.array([30.0, 300.0])
    np.testing.assert_allclose(saturated.asymptotic(times).w2_squared, saturated.finite(times).w2_squared, rtol=1e-8)
    straight = of_exponent(1.0, 0.5, 10**12, scale=2.0)
    leading, exact = straight.asymptotic(times), straight.finite(times)
    # Left out: λ_n t = 6e-4 and the early modes' (Λt)^{−1} in ΔL, (Λt)^{−2} in W, over the logarithm.
    np.testing.assert_allclose(leading.w2_squared, exact.w2_squared, rtol=2e-3)
    np.testing.assert_allclose(leading.dissipation, exact.dissipation, rtol=2e-3)
    # Long before the first mode's time a logarithm is negative: no distance then, and no dissipation at a = 0.
    early = np.array([1e-3])
    assert saturated.asymptotic(early).w2_squared == 0
    assert np.isnan(of_exponent(0.0, 1.5, 1000).asymptotic(early).dissipation)


def test_unlearned_tail_moves_straight():
    """For a > 1 all three factors tend to 1, as n^{−α(a−1)}: the last modes are most of the loss and hardly learned.

    It also proves Eqs. (14), (15), (60), (63), (69), (73).
    """
    errors = []
    for modes in (10**6, 10**8, 10**10):
        law = of_exponent(1.6, 1.0, modes)
        exact = law.finite(np.array([100.0]))
        leading = law.asymptotic(exact.time)
        assert [leading.inefficiency[0], leading.geometric[0], leading.pace[0]] == pytest.approx([1, 1, 1], rel=1e-14)
        errors.append([getattr(exact, n)[0] / getattr(leading, n)[0] - 1 for n in QUANTITIES])
    slopes = np.polyfit(np.log([1e6, 1e8, 1e10]), np.log(np.abs(errors)), 1)[0]
    np.testing.assert_allclose(slopes, -0.6, atol=0.05)


def test_closed_forms_of_the_factors():
    """T/T_SL = (1+a)/(4(1−2^{−a})) in the optimal regime, 1/ln 2 for geometric at a = 0, and their limits.

    It also proves Eqs. (14), (15), (16), (73).
    """
    a = np.array([0.01, 0.3, 0.5, 0.99])
    np.testing.assert_allclose(asymptotic_inefficiency(a), (1 + a) / (4 * (1 - 2**-a)), rtol=1e-13)
    np.testing.assert_allclose(asymptotic_geometric(a), a / ((1 + a) * (1 - 2**-a)), rtol=1e-13)
    np.testing.assert_allclose(asymptotic_pace(a), (1 + a) ** 2 / (4 * a), rtol=1e-15)
    np.testing.assert_allclose(asymptotic_geometric(np.array([-1e-12, 0.0, 1e-12])), 1 / np.log(2), rtol=1e-11)
    np.testing.assert_array_equal(asymptotic_inefficiency(np.array([-2.0, -0.5, 0.0])), np.inf)
    np.testing.assert_allclose(asymptotic_inefficiency(np.array([1.0, 1.7])), 1.0, rtol=1e-15)
    assert asymptotic_inefficiency(0.0) == np.inf
    assert np.isnan(asymptotic_geometric(-1.0))


@pytest.mark.parametrize("a", [0.3, 0.5, 0.7])
def test_factors_are_those_of_the_leading_terms(a):
    """In the optimal regime the leading terms' geometric, pace and T/T_SL do not depend on time, scales or modes.

    It also proves Eqs. (14), (15), (16), (60), (63), (69), (73).
    """
    leading = of_exponent(a, 1.4, 1000, scale=7.0, residual_scale=0.1).asymptotic(np.array([1.0, 50.0]))
    np.testing.assert_allclose(leading.geometric, asymptotic_geometric(a), rtol=1e-12)
    np.testing.assert_allclose(leading.pace, asymptotic_pace(a), rtol=1e-12)
    np.testing.assert_allclose(leading.inefficiency, asymptotic_inefficiency(a), rtol=1e-12)


@pytest.mark.parametrize(
    ("alpha", "delta", "form"),
    [
        (1.5, 1.0, lambda t: (np.log(4 * t) + 2.5 * np.euler_gamma) / (4 * np.log(2))),
        (2.0, 2.0, lambda t: 2 * np.pi**2 / 6 * (2 * t) ** 0.5 / (2 * 2 * np.sqrt(np.pi) * (2 - np.sqrt(2)))),
    ],
)
def test_inefficiency_outside_the_optimal_regime(alpha, delta, form):
    """Λ = 2: [ln 2Λt + (1+α)γ_E]/(4 ln 2) at a = 0 and αζ(δ)(Λt)^{−a}/(2Γ(−1−a)(2^{1+a}−2)) for a = −½.

    It also proves Eqs. (14), (15), (60), (63), (69), (73).
    """
    times = np.array([10.0, 1e4])
    assert PowerLaw(alpha, delta, 10, scale=2.0).asymptotic(times).inefficiency == pytest.approx(form(times), rel=1e-12)


def test_distance_and_length_are_continuous_across_the_threshold():
    """The leading terms of W and l pass through a = 0 smoothly; so does all of the finite form.

    It also proves Eqs. (14), (15), (60), (63), (69), (73).
    """
    times = np.array([10.0, 1e3])
    below, at, above = (of_exponent(a, 1.3, 10**6).asymptotic(times) for a in (-1e-9, 0.0, 1e-9))
    for name in ("w2_squared", "arc_length"):
        np.testing.assert_allclose(getattr(below, name), getattr(at, name), rtol=1e-7)
        np.testing.assert_allclose(getattr(above, name), getattr(at, name), rtol=1e-7)
    # Second differences in a: smooth functions give h² times a few, a spike at the threshold would not.
    values = np.array([of_exponent(a, 1.3, 10**6).finite(times).inefficiency for a in (-1e-4, 0.0, 1e-4)])
    np.testing.assert_allclose((values[0] + values[2]) / 2, values[1], rtol=1e-6)


@given(
    alpha=st.floats(0.3, 3.0),
    delta=st.floats(0.0, 3.0),
    modes=st.integers(1, 500),
    exponent=st.floats(-3.0, 8.0),
)
def test_no_power_law_beats_the_limit(alpha, delta, modes, exponent):
    """T_SL ≤ T, geometric ≥ 1 and pace ≥ 1 for the sums and for the finite form."""
    law = PowerLaw(alpha, delta, modes)
    times = np.array([10.0**exponent])
    for limit in (law.speed_limit(times), law.finite(times)):
        assert limit.certified
        assert limit.geometric[0] >= 1 - 1e-8
        assert limit.pace[0] >= 1 - 1e-8


@pytest.mark.parametrize("a", [-1.5, -0.5, 0.0, 0.5, 1.5])
def test_limit_is_reached_at_early_times(a):
    """T/T_SL → 1 for T → 0 in every regime, from above, as T²: the speed's variance along the path."""
    law = of_exponent(a, 1.0, 1000)
    excess = law.speed_limit(np.array([1e-3, 1e-4])).inefficiency - 1
    assert 0 < excess[1] < 1e-4
    assert np.log10(excess[0] / excess[1]) == pytest.approx(2.0, abs=0.05)


def test_sharp_cut_is_the_integral_over_learned_modes():
    """Eqs. (71), (72) with (α − δ + 1)⁻¹: ∫k^{α−δ}dk up to the mode with λt = 1, also at δ = α and α + 1."""
    for delta in (0.3, 1.5, 2.5):
        law = PowerLaw(1.5, delta, 10**6, scale=2.0, residual_scale=3.0)
        k = np.linspace(1.0, 200.0 ** (1 / 1.5), 200_001)
        expected = 9 / 2 * np.trapezoid(k ** (1.5 - delta), k)
        assert law.sharp_w2_squared(np.array([100.0]))[0] == pytest.approx(expected, rel=1e-8)
    ends = law.sharp_w2_squared(np.array([0.1, 1e30, 1e40]))
    assert ends[0] == 0.0
    # All modes learned, at α − δ = −1: the integral of 1/k.
    assert ends[1] == pytest.approx(9 / 2 * np.log(10**6), rel=1e-14)
    assert ends[1] == ends[2]


def test_phase_diagram_is_the_laws_one_by_one():
    """Rows are spectrum exponents, columns residual exponents; each cell is its law's exact and asymptotic T/T_SL.

    It also proves Eqs. (14), (15).
    """
    alphas, deltas = np.array([1.0, 1.5]), np.array([0.5, 1.0, 1.5])
    diagram = phase_diagram(alphas, deltas, 3000, lambda law: 0.01 * law.last_time)
    for i, alpha in enumerate(alphas):
        for j, delta in enumerate(deltas):
            law = PowerLaw(alpha, delta, 3000)
            time = np.array([0.01 * 3000**alpha])
            assert diagram.times[i, j] == pytest.approx(time[0], rel=1e-14)
            assert diagram.exponents[i, j] == pytest.approx((1 - delta) / alpha, abs=1e-15)
            assert diagram.exact[i, j] == pytest.approx(law.speed_limit(time).inefficiency[0], rel=1e-13)
            assert diagram.asymptotic[i, j] == pytest.approx(law.asymptotic(time).inefficiency[0], rel=1e-13)
    assert np.all(phase_diagram(alphas, deltas, 10, 2.0).times == 2.0)


def test_phase_diagram_tells_the_regimes_apart():
    """Late in a large problem: about 1.3 where a > 0, more the further a lies below 0; asymptotics within a tenth."""
    diagram = phase_diagram(np.array([1.0]), np.array([0.5, 1.0, 1.5, 1.8]), 100_000, 1000.0)
    assert np.all(np.diff(diagram.exact[0]) > 0)
    np.testing.assert_allclose(diagram.asymptotic[0, 1:3], diagram.exact[0, 1:3], rtol=0.1)
    assert diagram.exact[0, 0] == pytest.approx(asymptotic_inefficiency(0.5), rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0, 10), r"`spectrum_exponent` must be positive and finite; spectrum_exponent = 0"),
        ((1.0, np.nan, 10), r"`residual_exponent` must be finite; residual_exponent = nan"),
        ((1.0, 1.0, 0), r"`modes` must be an integer of at least 1; modes = 0"),
        ((1.0, 1.0, 10, -1.0), r"`scale` must be positive and finite; scale = -1"),
        ((1.0, 1.0, 10, 1.0, 0.0), r"`residual_scale` must be positive and finite; residual_scale = 0"),
    ],
)
def test_bad_laws_are_named(arguments, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        PowerLaw(*arguments)


@pytest.mark.parametrize("name", ["finite", "asymptotic", "sharp_w2_squared"])
def test_late_forms_need_a_time(name):
    """At t = 0, where logarithms and powers are none, the forms say so."""
    with pytest.raises(ValueError, match=r"`times` must be positive and finite; times\[1\] = 0"):
        getattr(PowerLaw(1.0, 1.0, 10), name)(np.array([1.0, 0.0]))
