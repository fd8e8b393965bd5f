"""Each misprint on linear regression beside its correction and a brute-force number: how wrong the paper is."""

import numpy as np
import pytest

from speedlimits.misprints import regression as as_printed
from speedlimits.theory.linear_regression import LinearRegression
from speedlimits.theory.regression_limit import RegressionLimit
from tests.theory.regression_cases import brute_force, draw


def taught(dims: int, samples: int, rng: np.random.Generator, **parameters: float) -> LinearRegression:
    """Gaussian inputs and a teacher drawn from N(0, (α/d)1), without noise on the labels."""
    variance = parameters.pop("teacher_variance")
    inputs = rng.standard_normal((dims, samples))
    teacher = rng.standard_normal(dims) * np.sqrt(variance / dims)
    return LinearRegression(inputs=inputs, targets=teacher @ inputs, **parameters)


def test_drift_of_equation_74():
    """The printed sum over samples, written out; at the posterior mean the right drift vanishes, this one does not.

    It also proves Eq. (74).
    """
    problem = draw(3, 7)
    mean, _ = problem.law(np.inf)
    theta = np.array([[0.3, -0.2, 1.0], mean])
    for weights, printed in zip(theta, as_printed.drift(problem, theta), strict=True):
        total = sum((y - weights @ x) * x for x, y in zip(problem.inputs.T, problem.targets, strict=True))
        expected = -(total + 0.7 * 3 / 3.0 * weights) / 7
        np.testing.assert_allclose(printed, expected, rtol=1e-12)
    np.testing.assert_allclose(problem.drift(mean), 0.0, atol=1e-14)
    assert np.abs(as_printed.drift(problem, mean)).max() > 0.01


def test_drift_of_equation_74_runs_away():
    """Under the printed sign the loss grows along the drift, where it should fall."""
    problem = draw(3, 7)

    def loss(theta: np.ndarray) -> float:
        return np.sum((problem.targets - theta @ problem.inputs) ** 2)

    theta = np.array([0.3, -0.2, 1.0])
    assert loss(theta + 1e-3 * as_printed.drift(problem, theta)) > loss(theta)
    assert loss(theta + 1e-3 * problem.drift(theta)) < loss(theta)


def test_equation_77():
    """Its last line as printed, in whole matrices, against the partition functions: 1/d of one term is missing.

    It also proves Eq. (77).
    """
    dims, samples, decay, beta = 4, 6, 0.7, 3.0
    rng = np.random.default_rng(0)
    teacher = rng.standard_normal(dims)
    inputs = rng.standard_normal((dims, samples))
    problem = LinearRegression(
        inputs=inputs, targets=teacher @ inputs, weight_decay=decay, inverse_temperature=beta, learning_rate=0.3
    )
    gram, c = inputs @ inputs.T, decay / beta
    scaled = c * np.eye(dims) + gram / dims
    others = 0.5 * dims / samples / beta * np.log(c) - 0.5 / (samples * beta) * np.linalg.slogdet(scaled)[1]
    others += np.trace(gram) / (2 * decay * dims * samples)
    work = teacher @ np.linalg.solve(scaled, gram @ gram @ teacher)
    assert as_printed.data_dissipation(problem) == pytest.approx(others + work / (2 * dims**2 * samples), rel=1e-12)
    right = others + work / (2 * dims * samples)
    assert brute_force(problem)[1] / samples == pytest.approx(right, rel=1e-12)
    assert as_printed.data_dissipation(problem) < 0.9 * right


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_equation_79_on_drawn_data(ratio):
    """Brute force over 100 draws of data and teacher agrees with the correction within 4 errors, not with the print.

    It also proves Eq. (79).
    """
    point = {"weight_decay": 1.0, "inverse_temperature": 10.0, "teacher_variance": 2.0}
    rng = np.random.default_rng(4)
    dims, draws = 40, 100
    problems = [taught(dims, round(dims / ratio), rng, **point) for _ in range(draws)]
    moved, spent = np.array([brute_force(problem) for problem in problems]).T
    spent /= dims / ratio
    limits = moved / spent
    # The mean over draws is itself 1/d away from the limit, with a factor below 1.
    error = 4 * limits.std(ddof=1) / np.sqrt(draws) + 1 / dims
    system = RegressionLimit(**point, aspect_ratio=ratio)
    assert abs(limits.mean() - system.speed_limit().speed_limit) < error
    assert as_printed.speed_limit(system) - limits.mean() > 20 * error
    error = 4 * spent.std(ddof=1) / np.sqrt(draws) + 1 / dims
    assert abs(spent.mean() - system.dissipation()) < error
    assert spent.mean() - as_printed.dissipation(system) > 4 * error


def test_how_wrong_equation_79_is():
    """Eq. (79): as printed T_SL is too large by 1 + αλ at β → ∞ and by 1 + 2αλ at β → 0, and right only at α = 0."""
    signals = np.array([0.0, 1.0, 6.0])
    for beta, factors in ((1e12, 1 + signals), (1e-9, 1 + 2 * signals)):
        system = RegressionLimit(
            weight_decay=2.0, inverse_temperature=beta, aspect_ratio=0.5, teacher_variance=signals / 2.0
        )
        excess = as_printed.speed_limit(system) / system.speed_limit().speed_limit
        np.testing.assert_allclose(excess, factors, rtol=1e-5)


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_equations_8_and_80_on_drawn_data(ratio):
    """Eqs. (8), (80): at β = 1e10 averages of 20 draws give 2 min(1, 1/γ) within 4 standard errors, not 2(1 + αλ)."""
    rng = np.random.default_rng(5)
    dims, end = 40, np.array([np.inf])
    problems = [
        LinearRegression.averaged(
            inputs=rng.standard_normal((dims, round(dims / ratio))),
            teacher_variance=2.0,
            weight_decay=1.0,
            inverse_temperature=1e10,
        )
        for _ in range(20)
    ]
    limits = np.array([problem.speed_limit(end).speed_limit[0] for problem in problems])
    error = 4 * limits.std(ddof=1) / np.sqrt(20) + 1e-3
    system = RegressionLimit(weight_decay=1.0, inverse_temperature=1e10, aspect_ratio=ratio, teacher_variance=2.0)
    assert abs(limits.mean() - system.limit_zero_temperature()) < error
    printed = as_printed.limit_zero_temperature(system)
    assert printed == 6.0
    assert printed - limits.mean() > 20 * error


def test_equations_10_and_83_on_drawn_data():
    """Eqs. (10), (83): 4,000 samples of 4 weights, λ = 1, α = 3: T_SL is 2 to 5 %, not 2λα = 6 or 2(1 + αλ) = 8."""
    problem = LinearRegression.averaged(
        inputs=np.random.default_rng(6).standard_normal((4, 4000)),
        teacher_variance=3.0,
        weight_decay=1.0,
        inverse_temperature=5.0,
    )
    limit = problem.speed_limit(np.array([np.inf])).speed_limit[0]
    system = RegressionLimit(weight_decay=1.0, inverse_temperature=5.0, aspect_ratio=1e-8, teacher_variance=3.0)
    assert limit == pytest.approx(system.limit_many_samples(), rel=0.05)
    assert as_printed.limit_many_samples(system) == 6.0
    # The two prints contradict each other: Eq. (79) as printed tends to 2(1 + αλ).
    assert as_printed.speed_limit(system) == pytest.approx(8.0, rel=1e-3)


def test_limits_that_are_said_not_to_commute():
    """Below Eq. (80): 2(1 + αλ) stays, while T_SL at β = 1e12 falls to 2/γ."""
    ratios = np.array([1e2, 1e4])
    system = RegressionLimit(weight_decay=1.0, inverse_temperature=1e12, aspect_ratio=ratios, teacher_variance=2.0)
    np.testing.assert_array_equal(as_printed.limit_zero_temperature_then_wide(system), 6.0)
    np.testing.assert_allclose(system.speed_limit().speed_limit, 2.0 / ratios, rtol=1e-5)


def test_parameters_broadcast():
    """Eqs. (8), (10), (79), (80), (83): a table of parameters gives a table of printed limits."""
    system = RegressionLimit(
        weight_decay=np.array([[1.0], [2.0]]), inverse_temperature=1.0, aspect_ratio=np.ones(3), teacher_variance=2.0
    )
    np.testing.assert_array_equal(as_printed.limit_many_samples(system), [[4.0] * 3, [8.0] * 3])
    np.testing.assert_array_equal(as_printed.limit_zero_temperature(system), [[6.0] * 3, [10.0] * 3])
    assert as_printed.speed_limit(system).shape == as_printed.dissipation(system).shape == (2, 3)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher_variance": -1.0}, r"`teacher_variance` must be non-negative and finite; teacher_variance = -1\."),
        ({"aspect_ratio": 0.0}, r"`aspect_ratio` must be positive and finite; aspect_ratio = 0\."),
        ({"weight_decay": 0.0}, r"`weight_decay` must be positive and finite; weight_decay = 0\."),
    ],
)
def test_bad_input_is_named(change, message):
    """Misprints take the system of their corrections, and so its checks."""
    parameters = {"weight_decay": 1.0, "inverse_temperature": 1.0, "aspect_ratio": 1.0, "teacher_variance": 1.0}
    with pytest.raises(ValueError, match=message):
        as_printed.speed_limit(RegressionLimit(**parameters | change))
