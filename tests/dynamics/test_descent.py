"""Gradient descent, against the closed forms of a linear network: Eqs. (13), (66) and their discrete counterparts."""

import itertools

import numpy as np
import pytest
import torch

from speedlimits.dynamics.descent import (
    gradient_descent,
    init,
    integrate,
    record_steps,
    whole_steps,
)
from speedlimits.dynamics.state import from_arrays, to_arrays
from speedlimits.errors import DivergenceError
from speedlimits.measured import speed_limit
from speedlimits.theory.constant_kernel import ConstantKernel
from speedlimits.theory.heavy_ball import HeavyBall
from tests.cases import LinearProblem

EIGENVALUES = np.array([4.0, 1.5, 0.5, 0.1])
TIMES = np.array([0.0, 0.25, 1.0, 2.0])


@pytest.fixture
def problem() -> LinearProblem:
    return LinearProblem.draw(EIGENVALUES, np.random.default_rng(1))


def linear_loss(problem: LinearProblem):
    jacobian, targets = torch.from_numpy(problem.jacobian), torch.from_numpy(problem.targets)
    return lambda theta: 0.5 * (jacobian @ theta - targets).square().sum()


def start(problem: LinearProblem) -> torch.Tensor:
    return torch.zeros(problem.jacobian.shape[1], dtype=torch.float64)


def measured(problem: LinearProblem, steps: int) -> np.ndarray:
    """(W, ΔL, l) at every time, by gradient descent with so many steps in all."""
    trajectory = gradient_descent(linear_loss(problem), start(problem), TIMES, learning_rate=TIMES[-1] / steps)
    return np.array([trajectory.w2_squared, trajectory.loss_drop, trajectory.arc_lengths])


def exact(problem: LinearProblem) -> np.ndarray:
    kernel = ConstantKernel(eigenvalues=problem.eigenvalues, residual=problem.residual)
    return np.array([kernel.w2_squared(TIMES), kernel.dissipation(TIMES), kernel.arc_length(TIMES)])


def test_fine_integration_meets_the_closed_forms(problem):
    """Eqs. (13), with its ½, and (66) to 1e-8: four step sizes, their error powers η, η², η³ extrapolated away."""
    table = [measured(problem, steps) for steps in (400, 800, 1600, 3200)]
    for order in (1, 2, 3):
        table = [(2**order * fine - coarse) / (2**order - 1) for coarse, fine in itertools.pairwise(table)]
    np.testing.assert_allclose(table[0], exact(problem), rtol=1e-8, atol=0)


def test_error_falls_as_the_learning_rate(problem):
    """The distance to the flow shrinks as η¹ in W, ΔL and l alike (fitted slope)."""
    steps = np.array([200, 400, 800, 1600])
    errors = np.array([np.abs(measured(problem, n)[:, -1] / exact(problem)[:, -1] - 1) for n in steps])
    for quantity in errors.T:
        slope = np.polyfit(np.log(1 / steps), np.log(quantity), 1)[0]
        assert slope == pytest.approx(1.0, abs=0.15)


def test_discrete_sums_are_exact(problem):
    """Distance and path dissipation equal the closed forms of finite steps to rounding, at η·λ_max = 1.6."""
    learning_rate = 0.4
    times = learning_rate * np.array([0, 1, 5, 40])
    run = gradient_descent(linear_loss(problem), start(problem), times, learning_rate=learning_rate)
    forms = HeavyBall(eigenvalues=problem.eigenvalues, residual=problem.residual, learning_rate=learning_rate)
    steps = np.array([0.0, 1, 5, 40])
    np.testing.assert_allclose(run.w2_squared, forms.w2_squared(steps), rtol=1e-12)
    np.testing.assert_allclose(run.path_dissipation, forms.dissipation(steps), rtol=1e-12)


def test_discretisation_share_is_half_the_scaled_curvature():
    """Along one mode, 1 − ΔL/(Σ|δ|²/η) = ηλ/2 at every step: Σ|δ|²/η = Δ²(1−q^2N)/(2−ηλ)."""
    problem = LinearProblem.draw(np.array([3.0]), np.random.default_rng(2))
    run = gradient_descent(linear_loss(problem), start(problem), [0.0, 0.1, 0.2], learning_rate=0.1)
    assert run.discretisation_share[1:] == pytest.approx(0.1 * 3.0 / 2, rel=1e-12)


def test_path_limit_holds_at_any_learning_rate(problem):
    """T_SL ≤ T by the path dissipation, even where the steps are nearly unstable."""
    for learning_rate in (1e-3, 0.1, 0.49):
        times = learning_rate * np.arange(60)
        run = gradient_descent(linear_loss(problem), start(problem), times, learning_rate=learning_rate)
        limit = speed_limit(run)
        assert limit.certified
        assert (limit.geometric[1:] >= 1 - 1e-12).all()
        assert (limit.pace[1:] >= 1 - 1e-12).all()


def test_limit_tends_to_time_at_the_start(problem):
    """T_SL → T as T → 0: a short enough path is straight and of constant speed."""
    run = gradient_descent(linear_loss(problem), start(problem), [0, 1e-6], learning_rate=1e-8)
    assert speed_limit(run, dissipation="loss_drop").inefficiency[-1] == pytest.approx(1.0, abs=1e-5)


def test_going_on_from_a_state_changes_no_bit(problem):
    """A path cut in two, its state stored as arrays and continued, is the same path."""
    loss, theta0 = linear_loss(problem), start(problem)
    begin = init(loss, theta0)
    whole = list(integrate(loss, theta0, begin, [0, 7, 20], learning_rate=0.01))
    middle = from_arrays(begin, to_arrays(whole[0][0]))
    resumed = list(integrate(loss, theta0, middle, [0, 7, 20], learning_rate=0.01))
    assert [state.step for state, _ in whole] == [7, 20]
    assert [state.step for state, _ in resumed] == [20]
    assert resumed[0][1][0].record() == whole[1][1][0].record()
    assert torch.equal(resumed[0][0].displacement, whole[1][0].displacement)


def test_single_precision_keeps_the_distance():
    """float32 weights, 4,000 steps far below their rounding: |Δθ|² keeps 1e-6, the displacement being float64."""
    problem = LinearProblem.draw(np.array([1.0, 0.5]), np.random.default_rng(3))
    jacobian, targets = (torch.from_numpy(array).float() for array in (problem.jacobian, problem.targets))
    base = 1000 * torch.ones(problem.jacobian.shape[1])

    def loss(theta: torch.Tensor) -> torch.Tensor:
        return 0.5 * (jacobian @ (theta - base) - targets).square().sum()

    run = gradient_descent(loss, base, [0.0, 4e-6], learning_rate=1e-9)
    # 1000 + 4e-6 rounds to 1000 in float32: the loss never changes, the displacement is T·∇L(θ_0).
    force = problem.jacobian.T @ problem.targets
    assert run.w2_squared[-1] == pytest.approx((4e-6) ** 2 * force @ force, rel=1e-6)


def brute_force(problem: LinearProblem, learning_rate: float, momentum: float, steps: int) -> list[np.ndarray]:
    """θ_0 … θ_N of heavy-ball descent, in plain NumPy."""
    points, change = [np.zeros(problem.jacobian.shape[1])], 0.0
    for _ in range(steps):
        gradient = problem.jacobian.T @ (problem.jacobian @ points[-1] - problem.targets)
        change = momentum * change - learning_rate * gradient
        points.append(points[-1] + change)
    return points


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_sums_are_those_of_the_polygons(problem, momentum):
    """Length, dissipation, and the dissipation of the polygon through the midpoints: brute force, with momentum too."""
    learning_rate, steps = 0.4, 25
    time_step = learning_rate / (1 - momentum)
    times = time_step * np.arange(steps + 1)
    run = gradient_descent(linear_loss(problem), start(problem), times, learning_rate=learning_rate, momentum=momentum)
    points = brute_force(problem, learning_rate, momentum, steps)
    np.testing.assert_allclose(run.w2_squared, [point @ point for point in points], rtol=1e-12)
    for step in range(1, steps + 1):
        middles = [points[0], *((a + b) / 2 for a, b in itertools.pairwise(points[: step + 1])), points[step]]
        durations = time_step * np.array([0.5, *np.ones(step - 1), 0.5])
        averaged = np.sum(np.sum(np.diff(middles, axis=0) ** 2, axis=1) / durations)
        assert run.averaged_dissipation[step] == pytest.approx(averaged, rel=1e-12)
    changes = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert run.arc_lengths[-1] == pytest.approx(changes.sum(), rel=1e-12)
    assert run.path_dissipation[-1] == pytest.approx((changes**2).sum() / time_step, rel=1e-12)


def test_energy_balance_of_momentum(problem):
    """(1−μ)Σ|δ'|² = η(E_0−E_N) − (μ/2)Σ|δ'−δ|² + (η/2)Σδ'ᵀHδ', E = L + (μ/2η)|δ|²: exact for a quadratic."""
    learning_rate, momentum, steps = 0.3, 0.8, 17
    time_step = learning_rate / (1 - momentum)
    times = np.array([0.0, steps * time_step])
    run = gradient_descent(linear_loss(problem), start(problem), times, learning_rate=learning_rate, momentum=momentum)
    changes = np.diff(brute_force(problem, learning_rate, momentum, steps), axis=0)
    hessian = problem.jacobian.T @ problem.jacobian
    jumps = np.diff(np.vstack([np.zeros(changes.shape[1]), changes]), axis=0)
    kinetic = momentum / (2 * learning_rate) * changes[-1] @ changes[-1]
    expected = (
        learning_rate * (run.loss_drop[-1] - kinetic)
        - momentum / 2 * np.sum(jumps**2)
        + learning_rate / 2 * np.sum((changes @ hessian) * changes)
    )
    assert (1 - momentum) * run.path_dissipation[-1] * time_step == pytest.approx(expected, rel=1e-12)


def test_momentum_follows_the_flow_in_its_own_time(problem):
    """With Δt = η/(1−μ) heavy ball is the flow up to O(Δt): halving η halves the distance."""
    errors = []
    for learning_rate in (2e-4, 1e-4, 5e-5):
        run = gradient_descent(
            linear_loss(problem), start(problem), [0.0, 2.0], learning_rate=learning_rate, momentum=0.9
        )
        errors.append(abs(run.w2_squared[-1] / exact(problem)[0, -1] - 1))
    assert np.polyfit(np.log([4, 2, 1]), np.log(errors), 1)[0] == pytest.approx(1.0, abs=0.1)


def test_averaging_filters_the_edge_of_stability(problem):
    """At ηλ_max = 1.98 half of the dissipation is oscillation; the limit through the midpoints holds, and is closer."""
    learning_rate = 1.98 / 4.0
    run = gradient_descent(
        linear_loss(problem), start(problem), [0.0, 100 * learning_rate], learning_rate=learning_rate
    )
    path, averaged = (speed_limit(run, dissipation=kind).final for kind in ("path", "averaged"))
    assert path.certified
    assert averaged.certified
    assert path.speed_limit < averaged.speed_limit < path.time
    assert averaged.inefficiency < 0.5 * path.inefficiency


def test_divergence_is_named(problem):
    """Above 2/λ_max the loss leaves the finite numbers; the error names the argument, the rule and the value."""
    with pytest.raises(DivergenceError, match=r"`learning_rate` must be smaller.*learning_rate = 5\."):
        gradient_descent(linear_loss(problem), start(problem), [0, 5000], learning_rate=5.0)


def test_automatic_learning_rate_follows_the_curvature(problem):
    """`auto` is 0.1/λ_max, shortened to divide the last time; what λ_max cost is counted."""
    run = gradient_descent(linear_loss(problem), start(problem), [0.0, 0.05, 1.0])
    # λ_max = 4, estimated from below: 40 steps of 0.025, or one fewer.
    assert run.times[1] == pytest.approx(0.05, rel=0.3)
    assert 39 <= 1.0 / (run.times[1] / 2) <= 41
    assert run.gradient_evaluations[0] > 1
    assert run.discretisation_share[-1] < 0.05


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_momentum_out_of_range_is_named(problem, momentum):
    """μ lies in [0, 1)."""
    with pytest.raises(ValueError, match=rf"`momentum` must be .*momentum(\[0\])? = {momentum:g}"):
        gradient_descent(linear_loss(problem), start(problem), [0.0, 1.0], learning_rate=0.1, momentum=momentum)


@pytest.mark.parametrize(
    ("times", "learning_rate", "message"),
    [
        ([0, -1.0], 0.1, r"`times` must be non-negative"),
        ([0.1, 1.0], 0.1, r"`times` must start at zero"),
        ([0, 1.0, 1.0], 0.1, r"`times` must be strictly increasing"),
        ([0, 1.0], 0.0, r"`learning_rate` must be positive and finite; learning_rate = 0"),
    ],
)
def test_bad_input_is_named(problem, times, learning_rate, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        gradient_descent(linear_loss(problem), start(problem), times, learning_rate=learning_rate)


def test_time_is_a_whole_number_of_steps():
    """η shrinks, never grows, until the final time is hit exactly; a whole number of steps stays as it is."""
    assert whole_steps(1.0, 0.3) == 0.25
    assert whole_steps(1.0, 0.001) == 0.001
    assert whole_steps(0.1, 5.0) == 0.1
    assert record_steps([0, 0.001, 0.5, 1.0], 0.25) == [0, 2, 4]
