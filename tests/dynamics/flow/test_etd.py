"""Exponential steps: their functions, their order, and linear flows, which they solve exactly."""

import itertools

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn

from speedlimits.dynamics.flow import etd
from speedlimits.dynamics.flow.exponential_path import ExponentialPath
from speedlimits.dynamics.flow.force import Force
from speedlimits.dynamics.flow.gauss_newton import Modes, jacobian
from speedlimits.dynamics.flow.gradient_flow import gradient_flow
from speedlimits.dynamics.loss import FlatLoss, cross_entropy, value_and_gradient
from speedlimits.theory.constant_kernel import ConstantKernel
from tests.dynamics.flow.test_gradient_flow import network


@pytest.mark.parametrize("z", [0.0, -1e-6, -0.0999, -0.1001, -3.0, -1e3])
def test_functions_are_their_integrals(z):
    """φ_k(z) = ∫₀¹ e^{(1−s)z} s^{k−1}/(k−1)! ds, on both sides of where the series ends."""
    found = etd.phi(torch.tensor([z], dtype=torch.float64))
    for k, value in enumerate(found, start=1):
        # The first two have closed antiderivatives, but a quadrature knows nothing of them.
        expected = quad(lambda s, k=k: np.exp((1 - s) * z) * s ** (k - 1) / max(1, k - 1), 0, 1, points=[0.99])[0]
        assert float(value) == pytest.approx(expected, rel=1e-12)


def linear(eigenvalues: np.ndarray) -> tuple[FlatLoss, ConstantKernel]:
    """A linear model of as many samples as modes, and its exact flow."""
    rng = np.random.default_rng(0)
    count = eigenvalues.size
    left, right = (np.linalg.qr(rng.standard_normal((size, count)))[0] for size in (count, count + 5))
    inputs = torch.from_numpy((left * np.sqrt(eigenvalues)) @ right.T)
    model = nn.Linear(count + 5, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(model.weight)
    residual = rng.standard_normal(count)
    loss = FlatLoss(model, inputs, torch.from_numpy(-left @ residual)[:, None])
    return loss, ConstantKernel(eigenvalues=eigenvalues, residual=residual)


@pytest.mark.parametrize("rtol", [1e-2, 1e-6])
def test_linear_networks_are_solved_exactly(rtol):
    """Eq. (13) over six decades of eigenvalues to 1e-9 at every record, whatever the tolerance, in under 100 gradients.

    With one output an exponential step costs five gradients, and the first one is already worth it.
    """
    loss, kernel = linear(np.logspace(0, -6, 20) * 30)
    times = np.concatenate([[0.0], np.geomspace(1e-4, 1e5, 19)])
    found = gradient_flow(loss, loss.initial, times, rtol=rtol, method="etd")
    exact = kernel.speed_limit(times[1:])
    for values, expected in (
        (found.w2_squared, exact.w2_squared),
        (found.loss_drop, exact.dissipation),
        (found.path_dissipation, exact.dissipation),
        (found.arc_lengths, exact.arc_length),
    ):
        np.testing.assert_allclose(values[1:], expected, rtol=1e-9)
    assert found.gradient_evaluations[-1] < 100


def ends(loss: FlatLoss, time: float, steps: int) -> np.ndarray:
    """|Δθ|², loss, length and dissipation after so many equal steps."""
    force, origin, walked = Force(loss, loss.initial), loss.initial, np.zeros(2)
    start = force(origin)
    for _ in range(steps):
        modes = Modes.of(jacobian(loss, origin))
        tried = etd.step(force, origin, start, modes, time / steps)
        walked += ExponentialPath(0.0, time / steps, origin, start, tried, modes).travelled()
        origin, start = origin + tried.change, tried.final
    change = origin - loss.initial
    return np.array([float(change.dot(change)), float(force.value), *walked])


def test_order_is_four():
    """The errors of |Δθ|², loss, length and dissipation all fall as h⁴, on a network that bends."""
    loss = network("tanh")
    exact = gradient_flow(loss, loss.initial, [0.0, 0.3], rtol=1e-9, method="rock4")
    expected = [exact.w2_squared[-1], exact.losses[-1], exact.arc_lengths[-1], exact.path_dissipation[-1]]
    counts = [6, 8, 12]
    errors = np.abs(np.array([ends(loss, 0.3, count) for count in counts]) / expected - 1)
    slopes = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    np.testing.assert_allclose(slopes, 4.0, atol=0.2)


def test_estimate_is_that_of_order_three():
    """The estimated error falls as h⁴, and is larger than the true one."""
    loss = network("gelu")
    force = Force(loss, loss.initial)
    start, modes, sizes = force(loss.initial), Modes.of(jacobian(loss, loss.initial)), [0.02, 0.01, 0.005]
    tried = [etd.step(force, loss.initial, start, modes, size) for size in sizes]
    estimates = [float(step.estimate.norm()) for step in tried]
    assert np.polyfit(np.log(sizes), np.log(estimates), 1)[0] == pytest.approx(4.0, abs=0.4)
    fine = gradient_flow(loss, loss.initial, [0.0, sizes[0]], rtol=1e-9, method="rock4")
    assert abs(float(tried[0].change.norm()) - np.sqrt(fine.w2_squared[-1])) < estimates[0]


def test_path_ends_where_the_step_does():
    """Dense output: y at the fraction 1 is y_{n+1}; |v| is the slope of y; pieces of the length add up."""
    loss = network("tanh")
    force, origin = Force(loss, loss.initial), loss.initial
    start, modes, size = force(origin), Modes.of(jacobian(loss, origin)), 0.1
    tried = etd.step(force, origin, start, modes, size)
    path = ExponentialPath(0.0, size, torch.zeros_like(start), start, tried, modes)
    torch.testing.assert_close(path.position(1.0), tried.change, rtol=1e-11, atol=1e-13)
    for u in (0.0, 0.01, 0.3, 0.99):
        slope = (path.position(u + 1e-6) - path.position(u)).norm() / (1e-6 * size)
        assert path.speed_squared(u) == pytest.approx(float(slope) ** 2, rel=1e-4)
    places = [path.position(u) for u in np.linspace(0, 1, 2001) ** 2]
    chords = sum(float((after - before).norm()) for before, after in itertools.pairwise(places))
    assert path.travelled()[0] == pytest.approx(chords, rel=1e-6)
    assert path.travelled()[0] >= float(tried.change.norm())


@pytest.mark.parametrize("criterion", ["squared", "cross_entropy"])
def test_modes_are_those_of_gauss_newton(criterion):
    """A x = Σ_s Jᵀ_s H_s J_s x, with J by central differences of the outputs and H by the formula of each loss."""
    loss = network("tanh", samples=5)
    if criterion == "cross_entropy":
        loss = FlatLoss(loss.model, loss.inputs, torch.tensor([0, 1, 1, 0, 1]), criterion=cross_entropy)
    x = torch.randn(loss.initial.numel(), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    modes = Modes.of(jacobian(loss, loss.initial))
    before, after = (loss.outputs(loss.initial + sign * 1e-5 * x, loss.inputs) for sign in (-1, 1))
    moved, outputs = (after - before) / 2e-5, loss.outputs(loss.initial, loss.inputs)
    if criterion == "cross_entropy":
        p = outputs.softmax(-1)
        moved = p * moved - p * (p * moved).sum(-1, keepdim=True)
    theta = loss.initial.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss.outputs(theta, loss.inputs), theta, moved)
    torch.testing.assert_close(modes.product(x), expected, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(modes.apply(modes.eigenvalues, 0.0, x), expected, rtol=1e-7, atol=1e-7)
    if criterion == "squared":
        gradient = value_and_gradient(loss, loss.initial)[1]
        residual = (outputs - loss.targets).flatten()
        torch.testing.assert_close(modes.jacobian.T @ residual, gradient)
