"""Linear regression on given data, against direct integrals, other routes, simulation and its limit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import nquad

from speedlimits.theory.linear_regression import LinearRegression
from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck
from speedlimits.theory.regression_limit import RegressionLimit
from speedlimits.transport.gaussian import w2_squared
from tests.theory.regression_cases import brute_force, draw

TIMES = np.array([0.0, 1e-6, 0.3, 2.0, 50.0])
SHAPES = [(3, 7), (5, 5), (6, 2)]


@pytest.mark.parametrize(("dims", "samples"), SHAPES)
@pytest.mark.parametrize("rate", [None, 0.2])
def test_end_of_training_by_whole_matrices(dims, samples, rate):
    """Eqs. (77), (78): 𝒲₂ by the Bures formula and β⁻¹R by the partition functions of Eqs. (75), (76), at T = ∞."""
    problem = draw(dims, samples, learning_rate=rate)
    moved, spent = brute_force(problem)
    end = np.array([np.inf])
    assert problem.w2_squared(end) == pytest.approx(moved, rel=1e-12)
    assert problem.dissipation(end) == pytest.approx(problem.mobility * spent, rel=1e-12)
    assert problem.mobility == (rate or 1 / samples)


def test_partition_function_is_an_integral():
    """F(∞) = −β⁻¹ ln 𝒵_T, Eq. (75), with 𝒵_T by quadrature over the plane of two weights."""
    problem = draw(2, 3)

    def weight(*theta: float) -> float:
        misfit = problem.targets - np.array(theta) @ problem.inputs
        energy = 0.5 * problem.inverse_temperature * misfit @ misfit
        return np.exp(-energy - 0.5 * problem.weight_decay * 2 * np.dot(theta, theta))

    total = nquad(weight, [[-6, 6]] * 2, opts={"epsabs": 1e-9, "epsrel": 1e-9})[0]
    assert problem.free_energy(np.inf) == pytest.approx(-np.log(total) / problem.inverse_temperature, rel=1e-7)


@pytest.mark.parametrize(("dims", "samples"), SHAPES)
@pytest.mark.parametrize("rate", [None, 0.2])
def test_every_time_is_that_of_ornstein_uhlenbeck(dims, samples, rate):
    """Law, 𝒲₂, free energy and dissipation at all times, against the general quadratic potential ηV at β/η.

    It also proves Eqs. (26), (75), (76), (77), (78).
    """
    problem = draw(dims, samples, learning_rate=rate)
    eta = problem.mobility
    decay = problem.weight_decay * dims
    hessian = problem.inputs @ problem.inputs.T + decay / problem.inverse_temperature * np.eye(dims)
    process = OrnsteinUhlenbeck(
        stiffness=eta * hessian,
        force=eta * problem.inputs @ problem.targets,
        mean_start=np.zeros(dims),
        covariance_start=np.eye(dims) / decay,
        inverse_temperature=problem.inverse_temperature / eta,
    )
    start = process.law(0.0)
    # V of the general process has no constant |y|²/2.
    offset = 0.5 * problem.targets @ problem.targets
    for time in TIMES.tolist():
        mean, covariance = problem.law(time)
        expected = process.law(time)
        np.testing.assert_allclose(mean, expected[0], rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(covariance, expected[1], rtol=1e-10, atol=1e-14)
        assert problem.free_energy(time) == pytest.approx(process.free_energy(time) / eta + offset, rel=1e-12)
        # Between whole matrices, 1e-12 of motion is known to 1e-8.
        moved = w2_squared(*start, *expected)
        assert problem.w2_squared(np.array([time])) == pytest.approx(moved, rel=1e-9, abs=1e-19)
    np.testing.assert_allclose(problem.dissipation(TIMES), process.dissipation(TIMES), rtol=1e-9, atol=1e-12)
    late, limit = TIMES[2:], problem.speed_limit(TIMES[2:])
    np.testing.assert_array_equal(limit.time, late)
    np.testing.assert_allclose(limit.speed_limit, process.w2_squared(late) / process.dissipation(late), rtol=1e-9)
    np.testing.assert_allclose(limit.dissipation, process.dissipation(late), rtol=1e-9)


@pytest.mark.parametrize("rate", [None, 0.2])
def test_drift_is_minus_the_slope_of_the_potential(rate):
    """Eq. (74): −η∇(½Σ(θᵀx − y)² + ½(λd/β)|θ|²), by central differences, which are exact for squares."""
    problem = draw(3, 7, learning_rate=rate)
    thetas = np.random.default_rng(4).standard_normal((2, 3))

    def potential(theta: np.ndarray) -> float:
        errors = [theta @ x - y for x, y in zip(problem.inputs.T, problem.targets, strict=True)]
        decay = problem.weight_decay * 3 / problem.inverse_temperature
        return 0.5 * sum(error**2 for error in errors) + 0.5 * decay * sum(theta**2)

    eta = 1 / 7 if rate is None else rate
    for theta, drift in zip(thetas, problem.drift(thetas), strict=True):
        slopes = [(potential(theta + e) - potential(theta - e)) / 2 for e in np.eye(3)]
        assert drift == pytest.approx(-eta * np.array(slopes), rel=1e-12)


def test_simulation_follows_the_law():
    """Euler–Maruyama with the drift of Eq. (74): mean, covariance and ⟨V⟩ within 4 standard errors."""
    problem = draw(2, 3)
    eta, beta = problem.mobility, problem.inverse_temperature
    rng = np.random.default_rng(1)
    walkers, steps, time = 40_000, 400, 0.8
    # The error of the scheme, of order step × rate, stays below a tenth of the statistical one.
    step = time / steps
    theta = rng.standard_normal((walkers, 2)) / np.sqrt(problem.weight_decay * 2)
    for _ in range(steps):
        theta += problem.drift(theta) * step + np.sqrt(2 * eta / beta * step) * rng.standard_normal(theta.shape)
    mean, covariance = problem.law(time)
    error = np.sqrt(np.diag(covariance) / walkers)
    assert (np.abs(theta.mean(axis=0) - mean) < 4 * error).all()
    # The variance of a product of two Gaussians is C₁₁C₂₂ + C₁₂².
    diagonal = np.diag(covariance)
    error = np.sqrt((np.outer(diagonal, diagonal) + covariance**2) / walkers)
    assert (np.abs(np.cov(theta.T) - covariance) < 4 * error).all()

    potential = 0.5 * np.sum((problem.targets - theta @ problem.inputs) ** 2, axis=1)
    potential += 0.5 * problem.weight_decay * 2 / beta * np.sum(theta**2, axis=1)
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]
    expected = problem.free_energy(time) + entropy / beta
    assert abs(potential.mean() - expected) < 4 * potential.std() / np.sqrt(walkers)


def test_averages_over_the_teacher():
    """The root-mean-square teacher gives the mean over teachers drawn from N(0, (α/d)1), within 4 standard errors."""
    template = draw(4, 6)
    times = np.array([0.5, np.inf])
    averaged = LinearRegression.averaged(
        inputs=template.inputs, teacher_variance=2.0, weight_decay=0.7, inverse_temperature=3.0
    )
    teachers = np.random.default_rng(2).standard_normal((400, 4)) * np.sqrt(2.0 / 4)
    drawn = [draw(4, 6, targets=teacher @ template.inputs) for teacher in teachers]
    energies = np.array([[problem.free_energy(time) for time in times.tolist()] for problem in drawn])
    for samples, expected in (
        (np.array([problem.w2_squared(times) for problem in drawn]), averaged.w2_squared(times)),
        (np.array([problem.dissipation(times) for problem in drawn]), averaged.dissipation(times)),
        (energies, [averaged.free_energy(time) for time in times.tolist()]),
    ):
        error = samples.std(axis=0, ddof=1) / np.sqrt(len(drawn))
        assert (np.abs(samples.mean(axis=0) - expected) < 4 * error).all()


def test_average_over_the_teacher_is_a_trace():
    """Eq. (79): α/d Tr of the matrices in Eq. (77) and in the line before Eq. (78), on drawn data."""
    template = draw(5, 4)
    averaged = LinearRegression.averaged(
        inputs=template.inputs, teacher_variance=2.0, weight_decay=0.7, inverse_temperature=3.0
    )
    silent = draw(5, 4, targets=np.zeros(4))
    gram = template.inputs @ template.inputs.T
    resolvent = np.linalg.inv(gram + 0.7 * 5 / 3.0 * np.eye(5))
    end = np.array([np.inf])
    moved = 2.0 / 5 * np.trace(resolvent @ gram @ gram @ resolvent)
    assert averaged.w2_squared(end) - silent.w2_squared(end) == pytest.approx(moved, rel=1e-12)
    spent = 2.0 / 5 * np.trace(resolvent @ gram @ gram) / (2 * 4)
    assert averaged.dissipation(end) - silent.dissipation(end) == pytest.approx(spent, rel=1e-12)


@pytest.mark.parametrize("ratio", [1.0, *(pytest.param(ratio, marks=pytest.mark.slow) for ratio in (0.5, 2.0))])
def test_high_dimension_is_approached_like_one_over_d(ratio):
    """Means over drawn data approach the limit as 1/d at t = 3 and T = ∞: fitted exponents −1 ± 0.2.

    It also proves Eqs. (77), (79).
    """
    point = {"weight_decay": 1.0, "inverse_temperature": 4.0, "teacher_variance": 1.0}
    rng = np.random.default_rng(3)
    times = np.array([3.0, np.inf])
    quantities = ("w2_squared", "dissipation")
    limits = [getattr(RegressionLimit(**point, aspect_ratio=ratio), name)(times) for name in quantities]
    sizes, gaps = np.array([4, 8, 16, 32]), []
    for dims, draws in zip(sizes.tolist(), (800, 600, 400, 300), strict=True):
        inputs = rng.standard_normal((draws, dims, round(dims / ratio)))
        problems = [LinearRegression.averaged(inputs=drawn, **point) for drawn in inputs]
        values = np.array([[getattr(problem, name)(times) for name in quantities] for problem in problems])
        # Most of the scatter follows the mean square of the inputs, whose own mean is known to be 1: regress it out.
        power = np.mean(inputs**2, axis=(1, 2)) - 1.0
        gaps.append(np.polyfit(power, values.reshape(draws, 4), 1)[1] - np.ravel(limits))
    slopes = np.polyfit(np.log(sizes), np.log(np.abs(gaps)), 1)[0]
    np.testing.assert_allclose(slopes, -1.0, atol=0.2)


@given(
    st.sampled_from(SHAPES),
    st.floats(-3, 3),
    st.floats(-6, 12),
    st.floats(-3, 3),
    st.integers(0, 2**32 - 1),
)
def test_no_time_beats_the_limit(shape, decay, beta, rate, seed):
    """0 ≤ T_SL(t) ≤ t on any data, at any temperature and rate, certified at every time."""
    problem = draw(*shape, seed, weight_decay=10.0**decay, inverse_temperature=10.0**beta, learning_rate=10.0**rate)
    times = np.append(0.0, np.geomspace(1e-8, 1e8, 17))
    limit = problem.speed_limit(np.append(times, np.inf))
    assert (limit.speed_limit[:-1] <= times * (1 + 1e-11)).all()
    assert (limit.speed_limit[1:] > 0).all()
    assert limit.certified


def test_learning_rate_is_a_unit_of_time():
    """Eq. (78): twice the rate, half the time: laws agree at equal ηt, and T_SL halves."""
    slow, fast = draw(3, 7, learning_rate=0.1), draw(3, 7, learning_rate=0.2)
    assert slow.speed_limit(TIMES).speed_limit == pytest.approx(2 * fast.speed_limit(TIMES / 2).speed_limit, rel=1e-12)


def test_weak_decay_moves_only_where_there_are_data():
    """Eq. (78): at β = 1e12 directions without data stay, and rounding in XXᵀ moves none: 𝒲₂ → n of d shares."""
    problem = draw(40, 10, targets=np.zeros(10), weight_decay=1.0, inverse_temperature=1e12)
    # Directions with data narrow from 1/(λd) to nothing but 1e-6 of their width.
    assert problem.w2_squared(np.array([np.inf])) == pytest.approx(10 / 40, rel=1e-5)
    # 30 flat directions keep their variance.
    variances = np.linalg.eigvalsh(problem.law(np.inf)[1])
    assert variances[10:] == pytest.approx(1 / 40, rel=1e-12)
    assert variances[9] < 1e-10


def test_one_decomposition_serves_all(monkeypatch):
    """Averaging over the teacher, laws, and all times cost one singular value decomposition."""
    calls = []

    def counted(matrix, **options):
        calls.append(matrix.shape)
        return np.linalg.svd(matrix, **options)

    monkeypatch.setattr("speedlimits.theory.linear_regression.svd", counted)
    problem = LinearRegression.averaged(
        inputs=draw(4, 6).inputs, teacher_variance=2.0, weight_decay=0.7, inverse_temperature=3.0
    )
    problem.speed_limit(TIMES)
    problem.law(1.0)
    assert calls == [(4, 6)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": np.zeros((0, 4))}, r"`inputs` must not be empty; inputs\.shape = \(0, 4\)\."),
        ({"inputs": np.zeros(4)}, r"`inputs` must have shape \(any, any\); inputs\.shape = \(4,\)\."),
        ({"inputs": np.full((2, 3), np.nan)}, r"`inputs` must be finite; inputs\[0, 0\] = nan\."),
        ({"targets": np.zeros(4)}, r"`targets` must have shape \(3\); targets\.shape = \(4,\)\."),
        ({"targets": np.array([0.0, np.inf, 0.0])}, r"`targets` must be finite; targets\[1\] = inf\."),
        ({"weight_decay": 0.0}, r"`weight_decay` must be positive and finite; weight_decay = 0\."),
        ({"inverse_temperature": np.nan}, r"`inverse_temperature` must be positive and finite; .* = nan\."),
        ({"learning_rate": -0.1}, r"`learning_rate` must be positive and finite; learning_rate = -0\.1"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_data_are_named(change, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        draw(2, 3, **change)


@pytest.mark.usefixtures("as_user")
def test_bad_times_and_teachers_are_named():
    """Argument, rule and value stand in the errors of the methods too."""
    problem = draw(2, 3)
    rule = r"must be non-negative \(infinity for the end\)"
    for method in (problem.w2_squared, problem.dissipation, problem.speed_limit):
        with pytest.raises(ValueError, match=rf"`times` {rule}; times\[1\] = -1\."):
            method(np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match=rf"`time` {rule}; time = nan\."):
        problem.law(np.nan)
    with pytest.raises(ValueError, match=rf"`time` {rule}; time = -1\."):
        problem.free_energy(-1.0)
    with pytest.raises(
        ValueError, match=r"`teacher_variance` must be non-negative and finite; teacher_variance = -1\."
    ):
        LinearRegression.averaged(
            inputs=problem.inputs, teacher_variance=-1.0, weight_decay=1.0, inverse_temperature=1.0
        )
