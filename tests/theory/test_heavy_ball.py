"""Finite steps with and without momentum: closed forms against the iteration, in many digits where needed."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speedlimits.theory.constant_kernel import ConstantKernel
from speedlimits.theory.heavy_ball import HeavyBall
from tests.cases import LinearProblem

EIGENVALUES = np.array([5.0, 1.0, 0.3, 0.01, 0.0])
FORMS = (HeavyBall.w2_squared, HeavyBall.dissipation, HeavyBall.arc_length)


@pytest.fixture
def problem() -> LinearProblem:
    return LinearProblem.draw(EIGENVALUES, np.random.default_rng(0))


def steps_of(problem: LinearProblem, learning_rate: float, momentum: float = 0.0) -> HeavyBall:
    return HeavyBall(
        eigenvalues=problem.eigenvalues, residual=problem.residual, learning_rate=learning_rate, momentum=momentum
    )


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("learning_rate", [0.01, 0.35, 0.45])
def test_forms_are_those_of_the_iteration(problem, learning_rate, momentum):
    """Distance, path dissipation and length of weights that take the steps, below and above the stability limit.

    It also proves Eqs. (12), (54), (55), (66).
    """
    theta, step = np.zeros((2, problem.jacobian.shape[1]))
    # More than a hundred steps: a hundredth of them more is a step more.
    steps = np.arange(131.0)
    expected = np.zeros((3, steps.size))
    for n in range(1, steps.size):
        step = momentum * step - learning_rate * problem.jacobian.T @ (problem.jacobian @ theta - problem.targets)
        theta = theta + step
        expected[0, n] = theta @ theta
        expected[1, n] = expected[1, n - 1] + step @ step * (1 - momentum) / learning_rate
        expected[2, n] = expected[2, n - 1] + np.sqrt(step @ step)
    for form, values in zip(FORMS, expected, strict=True):
        got = form(steps_of(problem, learning_rate, momentum), steps)
        np.testing.assert_allclose(got, values, rtol=1e-11, atol=0)
    limit = steps_of(problem, learning_rate, momentum).speed_limit(steps)
    np.testing.assert_allclose(limit.time, steps * learning_rate / (1 - momentum), rtol=1e-14)
    for got, values in zip((limit.w2_squared, limit.dissipation, limit.arc_length), expected, strict=True):
        np.testing.assert_allclose(got, values, rtol=1e-11, atol=0)


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["creeping", "overdamped", "double root", "oscillating", "edge of stability"])
def test_every_kind_of_mode_to_ten_digits(momentum, kind):
    """One mode, 1 to 1,000 steps, against the iteration in 40 digits: no digits lost at x → 0 or at double roots.

    It also proves Eqs. (54), (55).
    """
    root = mpmath.sqrt(momentum)
    scaled = {
        "creeping": 1e-11,
        "overdamped": float(0.4 * (1 - root) ** 2),
        "double root": float((1 - root) ** 2) if momentum else 1.0,
        "oscillating": 0.7 * (1 + momentum),
        "edge of stability": 2.0 * (1 + momentum),
    }[kind]
    counts = [1, 2, 37, 1000]
    with mpmath.workdps(40):
        away, step, path, expected = mpmath.mpf(1), mpmath.mpf(0), mpmath.mpf(0), []
        for n in range(1, 1001):
            step = momentum * step - scaled * away
            away += step
            path += step**2
            if n in counts:
                expected.append((float((away - 1) ** 2), float(path * (1 - mpmath.mpf(momentum)))))
    # With λ = x, η = 1 and Δ = √x the mode starts at distance 1 and Δt = 1/(1 − μ).
    mode = HeavyBall(eigenvalues=np.array([scaled]), residual=np.sqrt([scaled]), learning_rate=1.0, momentum=momentum)
    steps = np.array(counts, dtype=float)
    moved, spent = np.array(expected).T
    # Where nothing decays the rounding of x alone turns the phase by Nε.
    np.testing.assert_allclose(mode.dissipation(steps), spent, rtol=1e-10, atol=0)
    np.testing.assert_allclose(mode.w2_squared(steps), moved, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("learning_rate", [0.01, 0.3, 0.39])
def test_plain_steps_have_the_geometric_sums(problem, learning_rate):
    """Eqs. (54), (55) at μ = 0: ΣΔ²λ⁻¹(1−q^N)² and ΣΔ²(1−q^2N)/(2−ηλ) with q = 1 − ηλ, the flow's as η → 0."""
    steps = np.array([1.0, 4.0, 1000.0])
    rates, squares = EIGENVALUES[:4], problem.residual[:4] ** 2
    powers = (1 - learning_rate * rates) ** steps[:, None]
    plain = steps_of(problem, learning_rate)
    np.testing.assert_allclose(plain.w2_squared(steps), (1 - powers) ** 2 @ (squares / rates), rtol=1e-12)
    spent = (1 - powers**2) @ (squares / (2 - learning_rate * rates))
    np.testing.assert_allclose(plain.dissipation(steps), spent, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_small_steps_are_the_flow(problem, momentum):
    """Eq. (12): η → 0 at fixed T = Nη/(1 − μ): every quantity approaches the flow's, with an error of order η."""
    time = 2.0
    errors = []
    for count in (400, 800, 1600):
        steps = steps_of(problem, time * (1 - momentum) / count, momentum)
        limit = steps.speed_limit(np.array([float(count)]))
        flow = ConstantKernel(eigenvalues=problem.eigenvalues, residual=problem.residual).speed_limit(limit.time)
        assert limit.time[0] == pytest.approx(time, rel=1e-14)
        errors.append(
            [getattr(limit, n)[0] / getattr(flow, n)[0] - 1 for n in ("w2_squared", "dissipation", "arc_length")]
        )
    slopes = np.polyfit(np.log([4, 2, 1]), np.log(np.abs(errors)), 1)[0]
    np.testing.assert_allclose(slopes, 1.0, atol=0.1)


@pytest.mark.parametrize("momentum", [0.0, 0.4, 0.9])
def test_energy_balance_of_momentum(problem, momentum):
    """(1−μ)Σ|δ'|² = η(E₀−E_N) − (μ/2)Σ|δ'−δ|² + (η/2)Σδ'ᵀHδ' with E = L + (μ/2η)|δ|²."""
    learning_rate, count = 0.2, 25
    hessian = problem.jacobian.T @ problem.jacobian
    theta, step = np.zeros((2, hessian.shape[0]))

    def loss() -> float:
        return 0.5 * np.sum((problem.jacobian @ theta - problem.targets) ** 2)

    energy, jerk, curvature = loss(), 0.0, 0.0
    for _ in range(count):
        before = step
        step = momentum * step - learning_rate * problem.jacobian.T @ (problem.jacobian @ theta - problem.targets)
        theta = theta + step
        jerk += np.sum((step - before) ** 2)
        curvature += step @ hessian @ step
    energy -= loss() + momentum / (2 * learning_rate) * step @ step
    spent = steps_of(problem, learning_rate, momentum).dissipation(np.array([float(count)]))
    assert spent[0] == pytest.approx(energy - momentum * jerk / (2 * learning_rate) + curvature / 2, rel=1e-12)


@given(
    largest=st.floats(1e-3, 1.99),
    momentum=st.floats(0.0, 0.99),
    count=st.integers(1, 300),
    seed=st.integers(0, 99),
)
def test_no_steps_beat_the_limit(largest, momentum, count, seed):
    """T_SL ≤ T with both factors at least 1, for any stable step size and momentum."""
    rng = np.random.default_rng(seed)
    steps = HeavyBall(
        eigenvalues=np.append(rng.random(4), 1.0),
        residual=rng.standard_normal(5),
        learning_rate=largest * (1 + momentum),
        momentum=momentum,
    )
    limit = steps.speed_limit(np.array([float(count)]))
    assert limit.certified
    assert limit.geometric[0] >= 1 - 1e-9
    assert limit.pace[0] >= 1 - 1e-9


def test_divergence_is_infinite():
    """Past the largest number the answers are infinite, not undefined.

    It also proves Eqs. (54), (55), (66).
    """
    steps = HeavyBall(eigenvalues=np.array([1.0]), residual=np.array([1.0]), learning_rate=5.0, momentum=0.5)
    for form in FORMS:
        assert form(steps, np.array([1e4]))[0] == np.inf


@pytest.mark.parametrize(
    ("steps", "learning_rate", "momentum", "message"),
    [
        ([1.0, 2.5], 0.1, 0.0, r"`steps` must be whole numbers; steps\[1\] = 2.5"),
        ([-1.0], 0.1, 0.0, r"`steps` must be non-negative and finite; steps\[0\] = -1"),
        ([1.0], 0.0, 0.0, r"`learning_rate` must be positive and finite; learning_rate = 0"),
        ([1.0], 0.1, 1.0, r"`momentum` must be at least 0 and below 1; momentum = 1.0"),
        ([1.0], 0.1, np.nan, r"`momentum` must be at least 0 and below 1; momentum = nan"),
    ],
)
def test_bad_input_is_named(steps, learning_rate, momentum, message):
    """Argument, rule and value stand in the error."""
    one = np.array([1.0])
    for form in (*FORMS, HeavyBall.speed_limit):
        with pytest.raises(ValueError, match=message):
            form(
                HeavyBall(eigenvalues=one, residual=one, learning_rate=learning_rate, momentum=momentum),
                np.array(steps),
            )
