"""What the kernel predicts against training: exact where it cannot move, and the better the wider the network."""

import numpy as np
import pytest
import torch

from speedlimits import FlatLoss, gradient_descent
from speedlimits.dynamics.flow.gradient_flow import init, integrate
from speedlimits.kernel.empirical import eigenmodes, empirical_kernel, kernel_drift
from speedlimits.kernel.lanczos import residual_measure
from speedlimits.kernel.operator import KernelOperator
from speedlimits.models.fcn import FCN
from speedlimits.theory.constant_kernel import ConstantKernel
from speedlimits.theory.heavy_ball import HeavyBall
from tests.kernel.models import inputs


def spectrum(loss: FlatLoss) -> tuple[np.ndarray, np.ndarray]:
    eigenvalues, vectors = eigenmodes(empirical_kernel(loss.model, loss.inputs))
    residual = loss.outputs(loss.initial, loss.inputs) - loss.targets
    return eigenvalues, vectors.T @ residual.detach().numpy().ravel()


def problem(width: int, depth: int, seed: int = 0) -> FlatLoss:
    model = FCN(6, 2, width=width, depth=depth, generator=torch.Generator().manual_seed(seed))
    return FlatLoss(model, inputs(9, 6), inputs(9, 2, seed=2))


def value(loss: FlatLoss, theta: torch.Tensor) -> float:
    return 0.5 * float((loss.outputs(theta, loss.inputs) - loss.targets).detach().square().sum())


def test_linear_network_trains_as_predicted():
    """Gradient descent on a linear network: distance, path and length as the kernel's spectrum has them, to 1e-8."""
    loss = problem(width=1, depth=0)
    eigenvalues, residual = spectrum(loss)
    rate = 0.9 / eigenvalues[0]
    run = gradient_descent(loss, loss.initial, rate * np.array([0.0, 1.0, 10.0, 300.0]), learning_rate=rate)
    steps = HeavyBall(eigenvalues=eigenvalues, residual=residual, learning_rate=rate)
    expected = steps.speed_limit(np.array([0.0, 1.0, 10.0, 300.0]))
    np.testing.assert_allclose(run.w2_squared, expected.w2_squared, rtol=1e-8)
    np.testing.assert_allclose(run.path_dissipation, expected.dissipation, rtol=1e-8)
    np.testing.assert_allclose(run.arc_lengths, expected.arc_length, rtol=1e-8)


def test_matrix_free_prediction_of_a_linear_network_is_exact():
    """The same without forming the kernel, against the exact flow of the weights themselves, to 1e-8."""
    loss = problem(width=1, depth=0)
    operator = KernelOperator(loss.model, loss.inputs)
    times = np.array([0.01, 0.3, 5.0, 80.0])
    found = residual_measure(operator, operator.residual(loss.targets), times).speed_limit(times)
    features, targets = loss.inputs.numpy() / np.sqrt(6), loss.targets.numpy()
    start = loss.initial.numpy().reshape(2, 6).T
    rates, basis = np.linalg.eigh(features.T @ features)
    force = basis.T @ features.T @ (features @ start - targets)
    for k, time in enumerate(times):
        moved = basis @ (np.expm1(-rates * time) / rates * force.T).T
        drop = 0.5 * np.sum((features @ start - targets) ** 2 - (features @ (start + moved) - targets) ** 2)
        assert found.w2_squared[k] == pytest.approx(np.sum(moved**2), rel=1e-8, abs=0.0)
        assert found.dissipation[k] == pytest.approx(drop, rel=1e-8, abs=0.0)


def test_prediction_improves_with_width():
    """Errors of |Δθ|² and T/T_SL fall with a power of the width from −½ to −1, the kernel's drift with its square."""
    widths = np.array([16, 128, 1024])
    errors, drifts = np.zeros((2, 3, 4)), np.zeros((3, 4))
    for row, width in enumerate(widths):
        for seed in range(4):
            loss = problem(int(width), 1, seed)
            eigenvalues, residual = spectrum(loss)
            time = 30.0 / eigenvalues[0]
            *_, (end, _) = integrate(loss, loss.initial, init(loss, loss.initial, rtol=1e-4), [0.0, time], rtol=1e-4)
            moved = float(end.displacement.square().sum())
            kernel = ConstantKernel(eigenvalues=eigenvalues, residual=residual)
            predicted = kernel.speed_limit(np.array([time]))
            drop = value(loss, loss.initial) - value(loss, loss.initial + end.displacement)
            errors[0, row, seed] = moved / predicted.w2_squared[0] - 1
            errors[1, row, seed] = time * drop / moved / predicted.inefficiency[0] - 1
            later = empirical_kernel(loss.model, loss.inputs, weights=loss.named(loss.initial + end.displacement))
            drifts[row, seed] = kernel_drift(empirical_kernel(loss.model, loss.inputs), later)
    # Four seeds leave the slopes uncertain by about 0.2.
    for spread in np.sqrt(np.mean(errors**2, axis=2)):
        assert -1.2 < np.polyfit(np.log(widths), np.log(spread), 1)[0] < -0.4
    assert -2.2 < np.polyfit(np.log(widths), np.log(drifts.mean(axis=1)), 1)[0] < -0.8
