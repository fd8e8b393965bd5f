"""Schedules on power laws with noise: against the recursion step by step, a numerical optimiser, and fitted slopes."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import zeta

from speedlimits.theory.schedule_phases import schedule_exponents
from speedlimits.theory.schedules import NoisyPowerLaw, polynomial_decay, stable_decay

MODES = np.arange(1.0, 3001.0)


def law(alpha: float = 2.0, delta: float = 3.0, noise: float = 0.01, rate: float = 1.0) -> NoisyPowerLaw:
    return NoisyPowerLaw(spectrum_exponent=alpha, residual_exponent=delta, noise=noise, largest_rate=rate)


def stepped(each: NoisyPowerLaw, rates: np.ndarray) -> float:
    """The mean loss after these steps, mode by mode."""
    eigenvalues, squares = MODES**-each.spectrum_exponent, MODES**-each.residual_exponent
    for rate in rates:
        squares = (1.0 - rate * eigenvalues) ** 2 * squares + rate**2 * eigenvalues**2 * each.noise
    return 0.5 * float(np.sum(squares))


@pytest.mark.parametrize(
    "rates",
    [polynomial_decay(3.0), stable_decay(0.1, 0.3), stable_decay(0.0, 0.0), lambda shares: 0.5 + 0.0 * shares],
    ids=["polynomial", "stable", "constant", "half"],
)
def test_losses_are_those_of_the_steps(rates):
    """Small rates: what is left is the recursion of the second moments, within the size of the steps."""
    each = law(noise=3.0, rate=0.02)
    taken = 0.02 * rates((np.arange(600) + 0.5) / 600)
    found = each.followed(rates, 600)
    assert found.loss == pytest.approx(stepped(each, taken), rel=0.02)
    assert found.time == pytest.approx(taken.sum(), rel=1e-3)
    assert found.noise > 0.1 * found.signal


@pytest.mark.parametrize(
    ("alpha", "delta", "steps"), [(2.0, 1.4, 10), (2.0, 1.4, 1000), (2.0, 3.0, 1000), (1.5, 2.2, 1_000_000)]
)
def test_best_schedule_leaves_what_it_says(alpha, delta, steps):
    """Its rates followed share by share afford its flow time and leave its loss, Eq. (120)."""
    each = law(alpha, delta, noise=1.0 if steps == 10 else 0.01, rate=0.5)
    best = each.best(steps)
    again = each.followed(lambda shares: np.interp(shares, best.shares, best.rates) / 0.5, steps)
    np.testing.assert_allclose(again, best.found, rtol=1e-3)
    assert best.rates.max() <= 0.5 * (1 + 1e-12)
    assert (np.diff(best.rates) <= 1e-12).all()
    assert best.shares[0] == 0.0
    assert best.shares.min() > -1e-12
    assert best.shares[-1] == 1.0
    assert best.decay == pytest.approx(1.0 - best.shares[1], rel=1e-9)


@pytest.mark.parametrize(
    ("alpha", "delta", "steps"), [(2.0, 1.4, 10), (2.0, 1.4, 1000), (2.0, 3.0, 1000), (1.5, 2.2, 1_000_000)]
)
def test_more_flow_time_costs_what_it_gains(alpha, delta, steps):
    """Eq. (120): at its end the signal falls as fast as noise rises, and η√K is the same all through the decay."""
    each = law(alpha, delta, noise=1.0 if steps == 10 else 0.01, rate=0.5)
    best = each.best(steps)
    time = best.found.time
    falls = (each.signal(np.array([0.999 * time])) - each.signal(np.array([1.001 * time])))[0] / (0.002 * time)
    left = np.concatenate([[0.0], np.cumsum(0.5 * (best.rates[1:] + best.rates[:-1]) * np.diff(best.shares))])
    ages = steps * (left[-1] - left)
    decay = best.rates < best.rates[0] * (1 - 1e-9)
    scales = best.rates[decay] * np.sqrt(each.memory(ages[decay]))
    np.testing.assert_allclose(scales, scales[-1], rtol=3e-3)
    first = best.rates[0]
    scale = best.rates[-1] * np.sqrt(each.memory(np.zeros(1))[0])
    rises = each.noise * (each.memory(np.array([time]))[0] * first + scale**2 / first)
    assert falls / rises == pytest.approx(1.0, rel=1e-4)


def test_weak_noise_needs_no_decay():
    """Where noise costs less than flow time gains even at the end, the largest rate is kept, Eq. (120)."""
    best = law(2.0, 1.4, noise=1e-9, rate=0.5).best(100)
    assert best.found.time == 50.0
    assert best.decay == 0.0
    np.testing.assert_array_equal(best.rates, 0.5)


@pytest.mark.parametrize(("delta", "noise"), [(1.4, 0.3), (3.0, 0.3), (3.0, 30.0)])
def test_an_optimiser_over_all_steps_finds_no_better(delta, noise):
    """Eq. (120): forty rates found by L-BFGS on the recursion itself leave no less, within the size of the steps."""
    each = law(2.0, delta, noise, rate=0.1)
    best = each.best(40)
    places = (np.arange(40) + 0.5) / 40
    ours = np.interp(places, best.shares, best.rates)

    def loss(rates: np.ndarray) -> tuple[float, np.ndarray]:
        # Backwards through the recursion: what each Δ² adds to the loss is known after the step.
        eigenvalues, squares = MODES[:300] ** -2.0, [MODES[:300] ** -delta]
        for rate in rates:
            squares.append((1.0 - rate * eigenvalues) ** 2 * squares[-1] + rate**2 * eigenvalues**2 * noise)
        later, slopes = np.full(300, 0.5), np.zeros_like(rates)
        for k in range(rates.size - 1, -1, -1):
            slope = -2 * eigenvalues * (1 - rates[k] * eigenvalues) * squares[k] + 2 * rates[k] * eigenvalues**2 * noise
            slopes[k] = later @ slope
            later = later * (1.0 - rates[k] * eigenvalues) ** 2
        return 0.5 * float(squares[-1].sum()), slopes

    found = minimize(loss, np.full(40, 0.05), jac=True, bounds=[(0.0, 0.1)] * 40, method="L-BFGS-B")
    assert loss(ours)[0] < 1.002 * found.fun
    np.testing.assert_allclose(ours.sum(), found.x.sum(), rtol=0.05)


@pytest.mark.parametrize(("alpha", "delta"), [(2.0, 1.4), (3.0, 1.5), (2.0, 3.0), (1.5, 2.2)])
def test_losses_fall_with_their_exponents(alpha, delta):
    """Eq. (121): fitted slopes of the best loss, of the flow's, and of the flow's over its speed limit."""
    each = law(alpha, delta)
    steps = np.array([10**5, 10**6, 10**7])
    losses = np.array([each.best(int(count)).found.loss for count in steps])
    times = steps.astype(float)
    limits = each.limit(times).speed_limit
    expected = each.exponents
    assert -np.polyfit(np.log(steps), np.log(losses), 1)[0] == pytest.approx(expected.schedule, abs=0.01)
    assert -np.polyfit(np.log(steps), np.log(each.signal(times)), 1)[0] == pytest.approx(expected.flow, abs=0.01)
    if delta < alpha:
        found = -np.polyfit(np.log(limits), np.log(each.signal(times)), 1)[0]
        assert found == pytest.approx(expected.limit, abs=0.01)
        assert each.regime == "stable"
    else:
        assert each.regime == "decay"


def test_power_decay_is_best_where_noise_decides():
    """For δ > α it comes within 3 % once its peak is tuned; below, it wastes (2α)^s of the loss, s the exponent."""
    peaks = np.geomspace(1e-3, 1.0, 25)
    noisy, calm = law(2.0, 3.0), law(2.0, 1.4)
    found = noisy.tuned([polynomial_decay(3.0)], peaks, 10**6)
    assert 1.0 < found.loss / noisy.best(10**6).found.loss < 1.03
    found = calm.tuned([polynomial_decay(3.0)], peaks, 10**6)
    assert found.loss / calm.best(10**6).found.loss == pytest.approx(4.0**0.2, rel=0.01)
    stable = calm.tuned([stable_decay(0.0, share) for share in (0.003, 0.01, 0.03)], [1.0], 10**6)
    assert 1.0 < stable.loss / calm.best(10**6).found.loss < 1.002


def test_phases_meet_at_their_borders():
    """Eq. (121): at δ = α both forms of the exponent agree; from δ = 1 + α on the limit has none."""
    exponents = schedule_exponents(np.array([2.0, 2.0, 2.0]), np.array([2.0, 2.5, 3.0]))
    np.testing.assert_allclose(exponents.flow, [0.5, 0.75, 1.0])
    np.testing.assert_allclose(exponents.schedule, [0.5, 0.6, 2 / 3])
    np.testing.assert_allclose(exponents.limit, [1.0, 3.0, np.inf])
    for alpha, delta in itertools.product((1.1, 2.0, 5.0), (1.1, 2.0, 5.0)):
        found = schedule_exponents(alpha, delta)
        assert found.schedule <= found.flow <= found.limit


def test_sums_run_over_all_modes():
    """The sums of Eq. (120): zeta functions at time 0, slow convergence included; later, sums mode by mode."""
    each = law(1.2, 1.1)
    assert each.signal(np.zeros(1))[0] == pytest.approx(0.5 * zeta(1.1), rel=1e-6)
    assert each.memory(np.zeros(1))[0] == pytest.approx(0.5 * zeta(2.4), rel=1e-9)
    each, times = law(), np.array([0.3, 40.0])
    indices = np.arange(1.0, 200_001.0)
    decayed = 0.5 * np.exp(-2.0 * np.outer(times, indices**-2.0))
    np.testing.assert_allclose(each.signal(times), decayed @ indices**-3.0, rtol=1e-7)
    np.testing.assert_allclose(each.memory(times), decayed @ indices**-4.0, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: law(alpha=1.0),
            "`spectrum_exponent` must be above 1, or the loss is not finite; spectrum_exponent = 1",
        ),
        (
            lambda: law(delta=0.5),
            "`residual_exponent` must be above 1, or the loss is not finite; residual_exponent = 0.5",
        ),
        (lambda: law(alpha=11.0), "`spectrum_exponent` must be at most 10; spectrum_exponent = 11"),
        (lambda: law(noise=0.0), "`noise` must be positive and finite; noise = 0"),
        (lambda: law(rate=-1.0), "`largest_rate` must be positive and finite; largest_rate = -1"),
        (lambda: law().best(0), "`steps` must be an integer of at least 1; steps = 0"),
        (lambda: law().best(10**10), r"`steps` × `largest_rate` must be at most 1e\+09, units of 1/λ_1; it is 1e\+10"),
        (
            lambda: law().followed(lambda s: 2.0 - s, 10),
            r"`rates` must lie in 0…1, units of the largest; they reach 1…2",
        ),
        (lambda: law().tuned([], [1.0], 10), "`families` and `peaks` must hold at least one each"),
        (lambda: polynomial_decay(-1.0), "`power` must be non-negative and finite; power = -1"),
        (lambda: stable_decay(-0.1, 0.2), "`warm_up` must be non-negative and finite; warm_up = -0.1"),
        (lambda: stable_decay(0.6, 0.5), "`warm_up` and `decay` must be shares of the steps, at most 1; they are 1.1"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(call, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        call()
