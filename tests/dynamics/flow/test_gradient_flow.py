"""The stabilised integrator, against closed forms, its own order, and losses that break the rules."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from speedlimits.dynamics.descent import gradient_descent
from speedlimits.dynamics.flow.gradient_flow import gradient_flow, init, integrate, step
from speedlimits.dynamics.loss import FlatLoss
from speedlimits.dynamics.state import from_arrays, to_arrays
from speedlimits.errors import DivergenceError
from speedlimits.measured import speed_limit
from speedlimits.models.fcn import FCN
from speedlimits.theory.constant_kernel import ConstantKernel
from tests.cases import LinearProblem


def quadratic(decades: int, *, modes: int = 40) -> tuple[LinearProblem, float]:
    """A least-squares problem with eigenvalues over so many decades, and 1/λ_min, its longest time."""
    eigenvalues = np.logspace(0, -decades, modes) * 30
    return LinearProblem.draw(eigenvalues, np.random.default_rng(decades), parameters=modes), 1 / eigenvalues[-1]


def loss_of(problem: LinearProblem):
    jacobian, targets = torch.from_numpy(problem.jacobian), torch.from_numpy(problem.targets)
    return lambda theta: 0.5 * (jacobian @ theta - targets).square().sum()


def network(activation: str, *, samples: int = 24, dtype: torch.dtype = torch.float64) -> FlatLoss:
    """A small two-layer network on random data."""
    rng = torch.Generator().manual_seed(3)
    inputs, targets = torch.randn(samples, 5, generator=rng), torch.randn(samples, 2, generator=rng)
    model = FCN(5, 2, width=16, depth=2, activation=activation, generator=rng).to(dtype)
    return FlatLoss(model, inputs.to(dtype), targets.to(dtype))


def run(loss: FlatLoss, time: float, rtol: float, records: int = 20, method: str = "rkc2"):
    times = np.concatenate([[0.0], np.geomspace(1e-3 * time, time, records)])
    return gradient_flow(loss, loss.initial, times, rtol=rtol, method=method)


@pytest.mark.parametrize(
    ("decades", "method"),
    [
        (2, "rkc2"),
        (4, "rkc2"),
        (6, "rkc2"),
        (2, "rock4"),
        (4, "rock4"),
        pytest.param(6, "rock4", marks=pytest.mark.slow),
    ],
)
def test_quadratics_meet_their_closed_form(decades, method):
    """Eqs. (13), (49), (66) at λ_max·T = 1e2, 1e4, 1e6, at every record time, to 10·rtol."""
    problem, time = quadratic(decades)
    times = np.concatenate([[0.0], np.geomspace(1e-3 * time, time, 13)])
    theta0 = torch.zeros(problem.jacobian.shape[1], dtype=torch.float64)
    found = gradient_flow(loss_of(problem), theta0, times, rtol=1e-4, method=method)
    kernel = ConstantKernel(eigenvalues=problem.eigenvalues, residual=problem.residual)
    np.testing.assert_allclose(found.w2_squared[1:], kernel.w2_squared(times)[1:], rtol=1e-3)
    np.testing.assert_allclose(found.loss_drop[1:], kernel.dissipation(times)[1:], rtol=1e-3)
    np.testing.assert_allclose(found.path_dissipation[1:], kernel.dissipation(times)[1:], rtol=1e-3)
    np.testing.assert_allclose(found.arc_lengths[1:], kernel.arc_length(times)[1:], rtol=1e-3)


def test_gradients_grow_as_the_root_of_stiffness():
    """λ_max·T from 1e3 to 1e6: about √1000 times the gradients, not 1000 (fitted exponent 0.5 ± 0.1)."""
    products = np.array([1e3, 1e4, 1e5, 1e6])
    problem, _ = quadratic(2)
    theta0 = torch.zeros(problem.jacobian.shape[1], dtype=torch.float64)
    spent = [
        gradient_flow(loss_of(problem), theta0, [0.0, product / 30], rtol=1e-3).gradient_evaluations[-1]
        for product in products.tolist()
    ]
    # The problem is at rest after 1e2/λ_max: what is left is the cost of staying stable.
    assert np.polyfit(np.log(products), np.log(spent), 1)[0] < 0.6


def test_error_is_of_the_size_of_the_tolerance():
    """|Δθ|², ∫|v|²dt, length and loss of a nonlinear network: errors below 5·rtol, and falling with it."""
    loss = network("tanh")
    fine = run(loss, 3.0, 1e-8, records=2, method="rock4")
    rough = {rtol: run(loss, 3.0, rtol, records=2) for rtol in (1e-2, 1e-3, 1e-4, 1e-5)}
    for quantity in ("w2_squared", "arc_lengths", "path_dissipation", "losses"):
        errors = {
            rtol: abs(getattr(found, quantity)[-1] / getattr(fine, quantity)[-1] - 1) for rtol, found in rough.items()
        }
        assert all(error < 5 * rtol for rtol, error in errors.items()), quantity
        assert errors[1e-5] < errors[1e-2] / 20


def test_order_is_two():
    """Error of |Δθ|² against the number of steps on a nonlinear network: fitted slope 2 ± 0.2."""
    loss = network("tanh")
    exact = run(loss, 1.0, 1e-9, records=2, method="rock4").w2_squared[-1]
    steps, errors = [], []
    for rtol in (1e-3, 1e-4, 1e-5, 1e-6):
        state = init(loss, loss.initial, rtol=rtol)
        *_, (state, _) = integrate(loss, loss.initial, state, [1.0], rtol=rtol)
        steps.append(state.steps)
        errors.append(abs(float(state.displacement.dot(state.displacement)) / exact - 1))
    assert -np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(2.0, abs=0.2)


def test_order_is_four():
    """rock4: the error of every quantity against the number of steps on a nonlinear network, fitted slope 4 ± 0.3."""
    loss = network("tanh")
    quantities = ("w2_squared", "arc_length", "path_dissipation", "loss")
    steps, ends = [], []
    for rtol in (1e-4, 1e-5, 1e-6, 1e-9):
        state = init(loss, loss.initial, rtol=rtol, method="rock4")
        *_, (state, points) = integrate(loss, loss.initial, state, [0.3], rtol=rtol, method="rock4")
        steps.append(state.steps)
        ends.append([points[-1].record()[quantity] for quantity in quantities])
    errors = np.abs(np.array(ends[:-1]) / ends[-1] - 1)
    slopes = -np.polyfit(np.log(steps[:-1]), np.log(errors), 1)[0]
    np.testing.assert_allclose(slopes, 4.0, atol=0.3)


def test_methods_agree():
    """rkc2, rock4 and rk4 share nothing but their controller: one flow, to the accuracy of the roughest."""
    loss = network("tanh")
    ends = [run(loss, 1.0, 1e-6, records=2, method=method) for method in ("rkc2", "rock4", "rk4")]
    for quantity in ("w2_squared", "arc_lengths", "path_dissipation", "losses"):
        values = [getattr(end, quantity)[-1] for end in ends]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-5, err_msg=quantity)
        np.testing.assert_allclose(values[2], values[1], rtol=1e-5, err_msg=quantity)


def test_classical_method_takes_steps_up_to_its_reach():
    """rk4 takes steps of 1/λ_max, four gradients each, but at the start, where its first must meet the tolerance."""
    problem, _ = quadratic(2)
    theta0 = torch.zeros(problem.jacobian.shape[1], dtype=torch.float64)
    spent = [
        gradient_flow(loss_of(problem), theta0, [0.0, 10.0], rtol=rtol, method="rk4").gradient_evaluations[-1]
        for rtol in (1e-2, 1e-5)
    ]
    # Ten per cent for the estimates of λ_max.
    assert spent[0] == pytest.approx(4 * 30 * 10, rel=0.1)
    assert spent[1] == pytest.approx(spent[0], rel=0.1)


# One mode is what any method errs most at; the slow mode beside it makes the run stiff.
FLOWS = {
    "isotropic": np.ones(3),
    "two modes": np.array([1.0, 1e-2]),
    "two decades": np.logspace(0, -2, 30),
    "power law": np.arange(1.0, 61.0) ** -1.5,
}


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(
    ("method", "rtol"),
    [
        ("rkc2", 1e-2),
        ("rkc2", 1e-4),
        ("rkc2", 1e-5),
        ("rkc2", 1e-6),
        pytest.param("rkc2", 1e-7, marks=pytest.mark.slow),
        ("rock4", 1e-4),
        ("rock4", 1e-7),
        ("rk4", 1e-2),
        ("rk4", 1e-4),
        ("rk4", 1e-7),
    ],
)
def test_every_method_keeps_its_promise(name, method, rtol):
    """On exact linear flows every quantity at every record, the earliest at 1/100 of 1/λ_max, is within 10·rtol."""
    eigenvalues = FLOWS[name]
    residual = np.random.default_rng(0).standard_normal(eigenvalues.size)
    curvatures, theta0 = torch.from_numpy(eigenvalues), torch.from_numpy(residual / np.sqrt(eigenvalues))
    times = np.concatenate([[0.0], np.geomspace(1e-2, 1e2, 17)])
    found = gradient_flow(lambda x: 0.5 * (curvatures * x * x).sum(), theta0, times, rtol=rtol, method=method)
    exact = ConstantKernel(eigenvalues=eigenvalues, residual=residual).speed_limit(times[1:])
    for values, expected in (
        (found.w2_squared, exact.w2_squared),
        (found.loss_drop, exact.dissipation),
        (found.path_dissipation, exact.dissipation),
        (found.arc_lengths, exact.arc_length),
    ):
        np.testing.assert_allclose(values[1:], expected, rtol=10 * rtol)
    certified = speed_limit(found, dissipation="loss_drop", tolerance=10 * rtol)
    assert np.all(np.asarray(certified.certified))


@pytest.mark.parametrize("method", ["rkc2", "rock4", "rk4"])
def test_nonlinear_flows_keep_the_promise(method):
    """Rosenbrock's valley in two dimensions against SciPy's Radau method at 1e-11, a hundredfold stiffer than long."""

    def loss(theta):
        return 100 * (theta[1] - theta[0] ** 2) ** 2 + (1 - theta[0]) ** 2

    def downhill(_, state):
        x, y = state[:2]
        force = np.array([400 * x * (y - x * x) + 2 * (1 - x), -200 * (y - x * x)])
        return [*force, np.hypot(*force)]

    times, theta0 = np.array([0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0]), np.array([-1.2, 1.0])
    exact = solve_ivp(downhill, (0, 1), [*theta0, 0.0], method="Radau", t_eval=times, rtol=1e-11, atol=1e-14).y[:, 1:]
    for rtol in (1e-3, 1e-6):
        found = gradient_flow(loss, torch.from_numpy(theta0), times, rtol=rtol, method=method)
        moved = ((exact[:2] - theta0[:, None]) ** 2).sum(axis=0)
        losses = np.array([loss(point) for point in exact[:2].T])
        np.testing.assert_allclose(found.w2_squared[1:], moved, rtol=10 * rtol)
        np.testing.assert_allclose(found.loss_drop[1:], loss(theta0) - losses, rtol=10 * rtol)
        np.testing.assert_allclose(found.arc_lengths[1:], exact[2], rtol=10 * rtol)


@pytest.mark.parametrize(("method", "rtol"), [("rkc2", 1e-6), ("rock4", 1e-4), ("rock4", 1e-7), ("rk4", 1e-7)])
@pytest.mark.parametrize("least", [0.0, 1.0, 1e4])
def test_flows_go_on_past_convergence(method, rtol, least):
    """A minimum whose loss is not zero can be waited at: 300/λ_min, where nothing falls but rounding."""
    curvatures = torch.tensor([1.0, 3.0], dtype=torch.float64)
    theta0 = torch.ones(2, dtype=torch.float64)
    found = gradient_flow(
        lambda x: least + 0.5 * (curvatures * x * x).sum(), theta0, [0.0, 300.0], rtol=rtol, method=method
    )
    assert found.w2_squared[-1] == pytest.approx(2.0, rel=10 * rtol)
    assert found.loss_drop[-1] == pytest.approx(2.0, rel=10 * rtol, abs=1e-12 * least)


def test_certificate_tells_the_accuracy():
    """|ΔL − ∫|∇L|²dt|/ΔL lies within 10·rtol at every record, and between records too."""
    for rtol in (1e-2, 1e-3, 1e-4, 1e-5):
        found = run(network("tanh"), 3.0, rtol)
        assert np.abs(found.discretisation_share[1:]).max() < 10 * rtol
        assert np.nanmax(found.interval_certificates) < 20 * rtol
        assert speed_limit(found, dissipation="loss_drop", tolerance=10 * rtol).certified


def test_record_times_change_nothing_but_the_record():
    """Dense output: 3 records or 300, the same steps, the same end, and records in agreement."""
    loss = network("gelu")
    few, many = run(loss, 2.0, 1e-4, records=3), run(loss, 2.0, 1e-4, records=301)
    assert few.gradient_evaluations[-1] == many.gradient_evaluations[-1]
    assert few.w2_squared[-1] == many.w2_squared[-1]
    np.testing.assert_array_equal(few.w2_squared[1:], many.w2_squared[1::150])


def test_inequalities_hold_at_every_record():
    """T·∫|v|²dt ≥ l² ≥ |Δθ|² whatever the tolerance: the limit by path dissipation is never violated."""
    for activation in ("tanh", "relu"):
        limit = speed_limit(run(network(activation), 3.0, 1e-2, records=100))
        assert limit.certified
        assert np.nanmin(limit.geometric) >= 1 - 1e-9
        assert np.nanmin(limit.pace) >= 1 - 1e-9


def test_kinks_do_not_stop_it():
    """ReLU, sliding along kinks: whatever the tolerance, no more than three times gradient descent at 0.1/λ_max.

    They agree to 2 %, which is what the zigzag of both leaves; and the certificate says that this is no flow.
    """
    loss = network("relu")
    descent = gradient_descent(loss, loss.initial, [0.0, 3.0])
    for rtol in (1e-2, 1e-4):
        found = run(loss, 3.0, rtol)
        assert found.w2_squared[-1] == pytest.approx(descent.w2_squared[-1], rel=2e-2)
        assert found.gradient_evaluations[-1] < 3 * descent.gradient_evaluations[-1]
        assert not speed_limit(found, dissipation="loss_drop", tolerance=10 * rtol).certified


def test_float32_weights_keep_six_digits_of_the_distance():
    """The displacement is carried in float64: |Δθ|² of a float32 network is that of the float64 one."""
    single, double = network("tanh", dtype=torch.float32), network("tanh")
    start = single.initial.double()
    times = [0.0, 0.5]
    found = gradient_flow(single, single.initial, times, rtol=1e-3).w2_squared[-1]
    assert found == pytest.approx(gradient_flow(double, start, times, rtol=1e-3).w2_squared[-1], rel=1e-5)


def test_displacement_outlives_the_rounding_of_the_weights():
    """float32 weights that a step cannot move: |Δθ|² keeps 1e-6, against T²|∇L|², the weights standing still."""
    problem = LinearProblem.draw(np.array([1.0, 0.5]), np.random.default_rng(3))
    jacobian, targets = (torch.from_numpy(array).float() for array in (problem.jacobian, problem.targets))
    base = 1000 * torch.ones(problem.jacobian.shape[1])
    # 1000 + 4e-6 rounds to 1000.
    found = gradient_flow(
        lambda theta: 0.5 * (jacobian @ (theta - base) - targets).square().sum(), base, [0.0, 1e-6, 4e-6], rtol=1e-3
    )
    force = problem.jacobian.T @ problem.targets
    np.testing.assert_allclose(found.w2_squared[1:], np.array([1e-6, 4e-6]) ** 2 * (force @ force), rtol=1e-6)


def test_steps_too_large_are_rejected():
    """A step far too large is tried again, shorter; its gradients count, the state before it is untouched."""
    loss = network("tanh")
    before = init(loss, loss.initial, rtol=1e-4)
    bold = dataclasses.replace(before, size=100 * before.size, radius_age=5)
    after, segment = step(loss, loss.initial, bold, end=10.0, rtol=1e-4)
    assert after.rejections > 0
    assert after.last_error <= 1
    assert segment.size == after.time < bold.size
    # The curvature is the first suspect: it is estimated anew.
    assert after.radius_age == 1
    careful, _ = step(loss, loss.initial, before, end=10.0, rtol=1e-4)
    spent = [state.gradient_evaluations - before.gradient_evaluations for state in (after, careful)]
    assert spent[0] > spent[1]
    assert not bold.displacement.any()


def test_interrupted_flow_goes_on_to_the_same_bits():
    """State to arrays and back in the middle of a run: the rest is bit-identical, counters and all."""
    loss = network("relu")
    times = np.linspace(0.0, 2.0, 9).tolist()
    start = init(loss, loss.initial, rtol=1e-3)
    whole = [(to_arrays(state), points) for state, points in integrate(loss, loss.initial, start, times, rtol=1e-3)]
    middle = from_arrays(start, whole[len(whole) // 2][0])
    rest = [(to_arrays(state), points) for state, points in integrate(loss, loss.initial, middle, times, rtol=1e-3)]
    assert len(rest) == len(whole) - len(whole) // 2 - 1
    for (arrays, points), (expected, expected_points) in zip(rest, whole[-len(rest) :], strict=True):
        assert {name: array.tolist() for name, array in arrays.items()} == {
            name: array.tolist() for name, array in expected.items()
        }
        assert [point.record() for point in points] == [point.record() for point in expected_points]


def test_every_gradient_is_counted():
    """The trajectory's count is the number of times the loss was differentiated, power iterations included."""
    loss, calls = network("tanh"), 0

    def counted(theta):
        nonlocal calls
        calls += 1
        return loss(theta)

    found = gradient_flow(counted, loss.initial, [0.0, 1.0], rtol=1e-3)
    # And the exact product that confirms the first radius, worth two gradients beside the one of its graph.
    assert found.gradient_evaluations[-1] == calls + 2


def test_growing_sharpness_is_followed():
    """L = (1 − ab²)²/2 sharpens tenfold and more on its way: stable, and right against a fine run."""

    def loss(theta):
        return 0.5 * (10 - theta[0] * theta[1] ** 2).square()

    theta0 = torch.tensor([0.5, 0.5], dtype=torch.float64)
    rough, fine = (gradient_flow(loss, theta0, [0.0, 1.0, 10.0], rtol=rtol) for rtol in (1e-3, 1e-8))
    assert rough.w2_squared[-1] == pytest.approx(fine.w2_squared[-1], rel=1e-2)
    assert np.abs(rough.discretisation_share[1:]).max() < 1e-2


def norm_squared(theta):
    return theta.square().sum()


class Inconsistent(torch.autograd.Function):
    """|θ|²/2 with the sign of its gradient turned."""

    @staticmethod
    def forward(ctx, theta):
        ctx.save_for_backward(theta)
        return 0.5 * theta.square().sum()

    @staticmethod
    def backward(ctx, grad):
        (theta,) = ctx.saved_tensors
        return -grad * theta


@pytest.mark.parametrize(
    ("loss", "theta0", "error", "message"),
    [
        (
            lambda theta: (theta - theta).sum() / 0 * theta.sum(),
            [1.0],
            DivergenceError,
            "`loss` and its gradient must be",
        ),
        (norm_squared, [0.0, 0.0], ValueError, "`theta0` must not be a stationary point of the loss"),
        (
            lambda theta: theta[0] ** 2 - theta[1] ** 2,
            [0.0, 0.0],
            ValueError,
            "`theta0` must not be a stationary point",
        ),
        (Inconsistent.apply, [1.0, 2.0], DivergenceError, "no step, down to .*`loss` must be finite and have its own"),
        (lambda theta: torch.log(theta).sum(), [1.0], DivergenceError, "no step, down to .*at time 0.[345]"),
    ],
    ids=["nan", "minimum", "saddle", "wrong gradient", "falls off the edge"],
)
def test_losses_against_the_rules_are_named(loss, theta0, error, message):
    """NaN, a stationary start, a gradient of something else, a loss that ends: an error that says so."""
    with pytest.raises(error, match=message):
        gradient_flow(loss, torch.tensor(theta0, dtype=torch.float64), [0.0, 1.0], rtol=1e-3)


@pytest.mark.parametrize(
    ("times", "rtol", "dtype", "message"),
    [
        ([0.0, 1.0], 0.0, torch.float64, r"`rtol` must be positive"),
        ([0.0, 1.0], 1e-4, torch.float32, r"`rtol` must lie in \[0.001, 1\) for torch.float32 weights; rtol = 0.0001"),
        ([0.0, 1.0], 1e-12, torch.float64, r"`rtol` must lie in \[1e-10, 1\) for torch.float64 weights"),
        ([0.5, 1.0], 1e-3, torch.float64, r"`times` must start at zero"),
        ([0.0, 1.0, 1.0], 1e-3, torch.float64, r"`times` must be strictly increasing"),
    ],
)
def test_bad_arguments_are_named(times, rtol, dtype, message):
    """Times that do not start at zero or increase, tolerances that the precision cannot keep."""
    with pytest.raises(ValueError, match=message):
        gradient_flow(norm_squared, torch.ones(2, dtype=dtype), times, rtol=rtol)


def test_unknown_methods_are_named():
    """The error lists what there is."""
    with pytest.raises(
        ValueError, match=r"`method` must be one of 'rkc2', 'rock4', 'rk4', 'etd', 'auto'; method = 'euler'"
    ):
        gradient_flow(norm_squared, torch.ones(2, dtype=torch.float64), [0.0, 1.0], method="euler")
