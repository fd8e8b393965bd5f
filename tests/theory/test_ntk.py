"""Closed forms under a constant kernel, against the matrix exponential and direct iteration."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm

from speedlimits.theory import ntk
from tests.cases import LinearProblem

EIGENVALUES = np.array([5.0, 1.0, 0.3, 0.01, 0.0])
TIMES = np.array([0.0, 1e-3, 0.4, 3.0, 200.0])


@pytest.fixture
def problem() -> LinearProblem:
    return LinearProblem.draw(EIGENVALUES, np.random.default_rng(0))


def flow(problem: LinearProblem, time: float) -> np.ndarray:
    """θ(t) of dθ/dt = −Jᵀ(Jθ − y) from θ = 0, by one matrix exponential of the affine system."""
    hessian = problem.jacobian.T @ problem.jacobian
    force = problem.jacobian.T @ problem.targets
    size = force.size
    affine = np.zeros((size + 1, size + 1))
    affine[:size, :size] = -hessian
    affine[:size, size] = force
    return expm(affine * time)[:size, size]


def loss(problem: LinearProblem, theta: np.ndarray) -> float:
    return 0.5 * np.sum((problem.jacobian @ theta - problem.targets) ** 2)


def test_distance_and_dissipation_are_those_of_the_flow(problem):
    """Eqs. (13), (54) with the ½ restored, against the matrix exponential of the weights' own equation."""
    w2 = ntk.w2_squared(problem.eigenvalues, problem.residual, TIMES)
    spent = ntk.dissipation(problem.eigenvalues, problem.residual, TIMES)
    for k, time in enumerate(TIMES):
        theta = flow(problem, time)
        assert w2[k] == pytest.approx(theta @ theta, rel=1e-9, abs=1e-14)
        assert spent[k] == pytest.approx(loss(problem, 0 * theta) - loss(problem, theta), rel=1e-9, abs=1e-14)


def test_arc_length_is_the_integrated_speed(problem):
    """Eq. (66) against adaptive quadrature in plain time, and in an order other than increasing."""

    def speed(time: float) -> float:
        return np.sqrt(np.sum(EIGENVALUES * problem.residual**2 * np.exp(-2 * EIGENVALUES * time)))

    expected = [quad(speed, 0, time, epsabs=0, epsrel=1e-12, limit=500)[0] if time else 0.0 for time in TIMES]
    assert ntk.arc_length(EIGENVALUES, problem.residual, TIMES) == pytest.approx(expected, rel=1e-10)
    backwards = ntk.arc_length(EIGENVALUES, problem.residual, TIMES[::-1])
    assert backwards == pytest.approx(expected[::-1], rel=1e-10)


def test_one_mode_runs_straight():
    """With one mode the path is a straight line: l² = W at every time."""
    arguments = np.array([2.0]), np.array([3.0]), TIMES
    assert ntk.arc_length(*arguments) ** 2 == pytest.approx(ntk.w2_squared(*arguments), rel=1e-12)


def test_inefficiency_starts_at_one(problem):
    """T/T_SL → 1 as T → 0: the ½ that the paper's Eq. (13) lacks, which would make it 2."""
    time = np.array([1e-9])
    spent = ntk.dissipation(problem.eigenvalues, problem.residual, time)
    moved = ntk.w2_squared(problem.eigenvalues, problem.residual, time)
    assert time * spent / moved == pytest.approx(1.0, rel=1e-7)


def test_discrete_forms_are_those_of_gradient_descent(problem):
    """Finite steps: closed forms against the iteration itself, below and above the stability limit of a mode."""
    for learning_rate in (0.01, 0.35, 0.45):
        theta = np.zeros(problem.jacobian.shape[1])
        path = 0.0
        for step in range(1, 31):
            change = -learning_rate * problem.jacobian.T @ (problem.jacobian @ theta - problem.targets)
            theta = theta + change
            path += change @ change / learning_rate
            arguments = problem.eigenvalues, problem.residual, np.array([float(step)]), learning_rate
            assert ntk.discrete_w2_squared(*arguments)[0] == pytest.approx(theta @ theta, rel=1e-10)
            assert ntk.discrete_path_dissipation(*arguments)[0] == pytest.approx(path, rel=1e-10)


@pytest.mark.parametrize(
    ("eigenvalues", "residual", "times", "message"),
    [
        (
            [1.0, -0.12],
            [1.0, 1.0],
            [1.0],
            r"`eigenvalues` must be non-negative and finite; eigenvalues\[1\] = -0.12",
        ),
        ([1.0], [1.0, 1.0], [1.0], r"`residual` must have shape \(1\)"),
        ([1.0], [1.0], [-1.0], r"`times` must be non-negative and finite; times\[0\] = -1"),
        ([np.nan], [1.0], [1.0], r"`eigenvalues` must be non-negative and finite; eigenvalues\[0\] = nan"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(eigenvalues, residual, times, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        ntk.w2_squared(np.array(eigenvalues), np.array(residual), np.array(times))
