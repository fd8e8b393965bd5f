"""Linear regression in high dimension, against Eq. (79) in 60 digits, limits, and its own finite form."""

import itertools

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from speedlimits.theory import regression_limit
from speedlimits.theory.regression_limit import RegressionLimit

PAPER = {"weight_decay": 1.0, "inverse_temperature": 2.0, "aspect_ratio": 0.5, "teacher_variance": 1.0}


QUANTITIES = (
    RegressionLimit.w2_squared,
    RegressionLimit.dissipation,
    lambda system, *times: system.speed_limit(*times).speed_limit,
)


def logarithmic(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


POINTS = st.fixed_dictionaries(
    {
        "weight_decay": logarithmic(-3, 3),
        "inverse_temperature": logarithmic(-6, 12),
        "aspect_ratio": logarithmic(-4, 4),
        "teacher_variance": logarithmic(-3, 3),
    }
)


def equation_79(weight_decay, inverse_temperature, aspect_ratio, teacher_variance):
    """Numerator and corrected denominator of Eq. (79), term by term as the paper writes them, in 60 digits."""
    with mpmath.workdps(60):
        decay, beta, ratio, alpha = map(mpmath.mpf, (weight_decay, inverse_temperature, aspect_ratio, teacher_variance))
        c = decay / beta

        def density(t):
            s = (1 - mpmath.sqrt(ratio)) ** 2 + 4 * mpmath.sqrt(ratio) * mpmath.sin(t / 2) ** 2
            return s, 2 / mpmath.pi * mpmath.sin(t) ** 2 / s

        def moved(s):
            root = mpmath.sqrt(c + s / ratio)
            spread = 1 / (beta * root**2) - 2 / mpmath.sqrt(beta * decay) / root
            return 1 / decay + alpha * s**2 / (c * ratio + s) ** 2 + spread

        def spent(s):
            width = ratio / (2 * beta) * (mpmath.log(c) - mpmath.log(c + s / ratio)) + s / (2 * decay)
            return width + alpha / 2 * s**2 / (c * ratio + s)

        # Where the integrand turns sharply: the angle at which s is as large as its own edge and as c.
        turn = mpmath.sqrt(((1 - mpmath.sqrt(ratio)) ** 2 + c * ratio) / mpmath.sqrt(ratio))
        ends = [0] + [x for x in (turn / 100, turn, 10 * turn, 1000 * turn, 1e5 * turn) if x < 3] + [mpmath.pi]
        atom = max(mpmath.mpf(0), 1 - 1 / ratio)
        results = []
        for term in (moved, spent):
            smooth = mpmath.quad(lambda t, f=term: f(density(t)[0]) * density(t)[1], ends, maxdegree=6)
            results.append(float(smooth + atom * term(mpmath.mpf(0))))
        return results


@pytest.mark.parametrize(
    ("beta", "ratio"),
    [
        *itertools.product((1e-6, 1.0, 1e12), (1e-4, 0.5, 4.0, 1e4)),
        # Nearly singular: c tiny, and the spectrum reaches or almost reaches s = 0.
        (1e12, 1.0),
        (1e6, 1.0 + 1e-4),
        (1e-6, 1.0),
    ],
)
def test_every_digit_of_equation_79(beta, ratio):
    """𝒲₂ and dissipation at T = ∞ to 1e-10, from corner to corner, where Eq. (79) itself loses all digits.

    It also proves Eqs. (76), (77), (78).
    """
    point = {"weight_decay": 1.3, "inverse_temperature": beta, "aspect_ratio": ratio, "teacher_variance": 0.7}
    moved, spent = equation_79(**point)
    system = RegressionLimit(**point)
    assert system.w2_squared() == pytest.approx(moved, rel=1e-10, abs=0.0)
    assert system.dissipation() == pytest.approx(spent, rel=1e-10, abs=0.0)
    assert system.speed_limit().speed_limit == pytest.approx(moved / spent, rel=1e-10, abs=0.0)


def finite_time(weight_decay, inverse_temperature, aspect_ratio, teacher_variance, time):
    """𝒲₂ and (nβ)⁻¹(F(0) − F(t)) from the Ornstein–Uhlenbeck law of each direction, by adaptive quadrature."""
    edges = (1 - np.sqrt(aspect_ratio)) ** 2, (1 + np.sqrt(aspect_ratio)) ** 2

    def direction(s):
        # In units of 1/d for squared weights and with η = 1/n: h/n is the rate.
        rate = s + aspect_ratio * weight_decay / inverse_temperature
        start = 1 / weight_decay
        end = aspect_ratio / (inverse_temperature * rate)
        mean = teacher_variance * (s / rate) ** 2
        variance = np.exp(-2 * rate * time) * start + (1 - np.exp(-2 * rate * time)) * end
        moved = mean * (1 - np.exp(-rate * time)) ** 2 + (np.sqrt(variance) - np.sqrt(start)) ** 2
        potential = 0.5 * rate * (start - variance + mean * (1 - np.exp(-2 * rate * time)))
        return moved, potential + 0.5 * aspect_ratio / inverse_temperature * np.log(variance / start)

    def average(index):
        def integrand(s):
            density = np.sqrt((edges[1] - s) * (s - edges[0])) / (2 * np.pi * aspect_ratio * s)
            return density * direction(s)[index]

        return quad(integrand, *edges, epsabs=0, epsrel=1e-10, limit=500)[0]

    return average(0), average(1)


@pytest.mark.parametrize("time", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("ratio", [0.01, 0.5, 3.0])
def test_every_time(ratio, time):
    """𝒲₂(t) and F(0) − F(t), averaged over the law by plain quadrature in s: another route to each term.

    It also proves Eqs. (76), (77), (78), (79).
    """
    point = {"weight_decay": 1.3, "inverse_temperature": 20.0, "aspect_ratio": ratio, "teacher_variance": 0.7}
    moved, spent = finite_time(**point, time=time)
    # Plain quadrature meets square roots at the edges; 1e-8 is what it holds.
    assert RegressionLimit(**point).w2_squared(time) == pytest.approx(moved, rel=1e-8)
    assert RegressionLimit(**point).dissipation(time) == pytest.approx(spent, rel=1e-8)
    assert RegressionLimit(**point).speed_limit(time).time == time


@given(POINTS, logarithmic(-6, 9))
def test_no_time_beats_the_limit(point, time):
    """0 < T_SL(t) ≤ t from β = 1e-6 to 1e12 and γ = 1e-4 to 1e4, at every time and at the end."""
    system = RegressionLimit(**point)
    assert 0 < system.speed_limit(time).speed_limit <= time * (1 + 1e-10)
    assert system.speed_limit().speed_limit > 0


@given(POINTS)
def test_short_times_are_never_wasted(point):
    """T_SL(t)/t → 1 as t → 0: at first the drift is constant, the path straight and its pace even."""
    fastest = (1 + np.sqrt(point["aspect_ratio"])) ** 2
    # Rates of the drift and, in the same units, of the growing noise: both must be small times 1/t.
    fastest += point["aspect_ratio"] * point["weight_decay"] / point["inverse_temperature"]
    time = 1e-4 / fastest
    assert RegressionLimit(**point).speed_limit(time).speed_limit == pytest.approx(time, rel=1e-3, abs=0.0)


def test_long_times_join_the_end():
    """Late times along the fine rule for exponentials meets T = ∞ by the coarse one to 1e-10.

    It also proves Eqs. (76), (77), (78), (79).
    """
    points = np.meshgrid([1e-6, 1.0, 1e12], [1e-4, 0.5, 1.0, 1e4], indexing="ij")
    grid = RegressionLimit(**{**PAPER, "inverse_temperature": points[0], "aspect_ratio": points[1]})
    for quantity in QUANTITIES:
        np.testing.assert_allclose(quantity(grid, 1e30), quantity(grid), rtol=1e-10)


def test_fine_rule_is_fine_enough():
    """Halving the spacing changes nothing beyond 1e-10, at times from ballistic to late and for all β, γ."""
    rng = np.random.default_rng(0)
    grid = RegressionLimit(
        weight_decay=1.0,
        teacher_variance=1.0,
        inverse_temperature=10 ** rng.uniform(-6, 12, 300),
        aspect_ratio=10 ** np.append(rng.uniform(-4, 4, 150), rng.uniform(-0.01, 0.01, 150)),
    )
    times = 10 ** rng.uniform(-4, 6, 300)
    results = [grid.w2_squared(times), grid.dissipation(times)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regression_limit, "SPACING_ON_THE_WAY", 0.02)
        finer = [grid.w2_squared(times), grid.dissipation(times)]
    np.testing.assert_allclose(results, finer, rtol=1e-10, atol=0.0)


def test_at_time_zero_nothing_has_happened():
    """Eqs. (76), (77), (78), (79): 𝒲₂ = dissipation = T_SL = 0 at t = 0."""
    for quantity in QUANTITIES:
        assert quantity(RegressionLimit(**PAPER), 0.0) == 0.0


@pytest.mark.parametrize(("decay", "variance"), [(1.0, 1.0), (0.1, 5.0)])
def test_zero_temperature(decay, variance):
    """Eqs. (8), (80), β → ∞: 2 min(1, 1/γ), whatever α and λ; for γ ≠ 1 the rest falls like β^(−1/2) or faster."""
    ratios = np.array([0.25, 4.0])
    point = {"weight_decay": decay, "teacher_variance": variance, "aspect_ratio": ratios}
    for beta in (1e6, 1e10):
        system = RegressionLimit(**point, inverse_temperature=beta)
        expected = system.limit_zero_temperature()
        np.testing.assert_allclose(system.speed_limit().speed_limit, expected, rtol=20 / np.sqrt(beta))
    np.testing.assert_array_equal(expected, [2.0, 0.5])


def test_high_temperature():
    """Eqs. (9), (81), β → 0: T_SL → (β/γλ)(1 + 4αλ)/(1 + 2αλ), with a relative error that falls like β."""
    ratios = np.array([0.01, 1.0, 100.0])
    errors = []
    for beta in (1e-5, 1e-6):
        system = RegressionLimit(weight_decay=0.5, inverse_temperature=beta, aspect_ratio=ratios, teacher_variance=2.0)
        errors.append(system.limit_high_temperature() / system.speed_limit().speed_limit - 1)
    # λ = ½ and α = 2 by hand: (1 + 4)/(1 + 2) of 2β/γ.
    np.testing.assert_allclose(system.limit_high_temperature(), 2e-6 / ratios * 5 / 3, rtol=1e-13)
    # At γ = 0.01 the pull, βs/(γλ), is 200 β.
    assert np.abs(errors[1]).max() < 1e-3
    np.testing.assert_allclose(errors[0] / errors[1], 10.0, rtol=0.02)


def test_many_samples():
    """Eqs. (10), (83), n → ∞: 2, whatever λ, β and α; not 2λα."""
    for decay, beta, variance in ((1.0, 1.0, 1.0), (3.0, 0.2, 5.0), (0.1, 50.0, 0.5)):
        system = RegressionLimit(
            weight_decay=decay, inverse_temperature=beta, teacher_variance=variance, aspect_ratio=1e-8
        )
        # Corrections: √(γλ/β) of the noise and (γ/β) ln of the entropy.
        assert system.speed_limit().speed_limit == pytest.approx(2.0, rel=1e-3)
        assert system.limit_many_samples() == 2.0


def test_wide():
    """Eqs. (11), (82), d → ∞: the leading term in 1/γ, with a relative error that falls like 1/γ."""
    errors = []
    for ratio in (1e3, 1e4):
        system = RegressionLimit(weight_decay=0.5, inverse_temperature=3.0, aspect_ratio=ratio, teacher_variance=3.0)
        errors.append(system.limit_wide() / system.speed_limit().speed_limit - 1)
    assert abs(errors[1]) < 1e-3
    assert errors[0] / errors[1] == pytest.approx(10.0, rel=0.05)


def test_the_limits_commute():
    """First d → ∞, then β → ∞ is first β → ∞, then d → ∞: both 2/γ → 0, the erratum below Eqs. (11), (82)."""
    system = RegressionLimit(weight_decay=1.0, inverse_temperature=1e14, aspect_ratio=1e4, teacher_variance=3.0)
    assert system.limit_wide() == pytest.approx(system.limit_zero_temperature(), rel=1e-6)
    assert system.limit_wide() == pytest.approx(2e-4, rel=1e-6)


def test_parameters_broadcast():
    """A table of parameters is its entries, across the blocks it is worked in, and numbers give a number.

    It also proves Eqs. (8), (9), (10), (11), (76), (77), (78), (79), (80), (81), (82), (83).
    """
    betas, ratios = np.geomspace(1e-3, 1e3, 150), np.array([[0.1], [1.0], [7.0]])
    for time in (np.inf, 2.0):
        many = RegressionLimit(**{**PAPER, "inverse_temperature": betas, "aspect_ratio": ratios})
        table = many.speed_limit(time).speed_limit
        assert table.shape == (3, 150)
        one = RegressionLimit(**{**PAPER, "inverse_temperature": float(betas[101]), "aspect_ratio": 7.0})
        entry = one.speed_limit(time).speed_limit
        assert isinstance(entry, np.float64)
        assert table[2, 101] == pytest.approx(entry, rel=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aspect_ratio": 0.0}, r"`aspect_ratio` must be positive and finite; aspect_ratio = 0\."),
        ({"aspect_ratio": [1.0, -2.0]}, r"`aspect_ratio` must be positive and finite; aspect_ratio\[1\] = -2\."),
        ({"inverse_temperature": np.nan}, r"`inverse_temperature` must be positive and finite; .* = nan\."),
        ({"inverse_temperature": np.inf}, r"`inverse_temperature` must be positive and finite; .* = inf\."),
        # Called through the package, arguments of the wrong kind are found first.
        ({"weight_decay": "much"}, r"`weight_decay` must be (positive and finite|real numbers); .* = 'much'\."),
        ({"teacher_variance": -1.0}, r"`teacher_variance` must be non-negative and finite; teacher_variance = -1\."),
        ({"times": -1.0}, r"`times` must be non-negative \(infinity for the end\); times = -1\."),
        ({"times": np.nan}, r"`times` must be non-negative \(infinity for the end\); times = nan\."),
        (
            {"times": [1.0, 2.0], "aspect_ratio": [1.0, 2.0, 3.0]},
            r"the parameters must broadcast; shapes are .*aspect_ratio: \(3,\).*times: \(2,\)",
        ),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(change, message):
    """Argument, rule and value stand in the error."""
    parameters = {**PAPER, **change}
    times = parameters.pop("times", np.inf)
    for quantity in QUANTITIES:
        with pytest.raises(ValueError, match=message):
            quantity(RegressionLimit(**parameters), times)
