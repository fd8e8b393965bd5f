"""Smoothed ReLU: its form, where it stands in, and the flow along a kink that it follows."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor, nn

from speedlimits.dynamics.flow.gradient_flow import gradient_flow
from speedlimits.dynamics.flow.smoothing import smoothing_error
from speedlimits.dynamics.kinks import smooth_relu
from speedlimits.dynamics.loss import FlatLoss


class Valley(nn.Module):
    """2 or −1 times w₀, beside ½w₁²: the flow falls into the kink w₀ = 0 and slides along it."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([0.5, 1.0], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """One output a sample."""
        across, along = self.weights
        return x * (2 * torch.relu(across) + torch.relu(-across) + along.square() / 2)


def valley(smooth: float) -> FlatLoss:
    """The valley as a loss."""
    one = torch.ones(1, dtype=torch.float64)
    return FlatLoss(Valley(), one, one, criterion=lambda outputs, _: outputs.sum(), smooth=smooth)


def test_derivative_is_a_ramp():
    """φ_ε' is 0, (x + ε)/2ε and 1; φ_ε is ReLU outside ±ε, and ε/4 at zero."""
    x = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    found = smooth_relu(x, 1.0)
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert found.tolist() == [0.0, 0.0, 1 / 16, 1 / 4, 9 / 16, 1.0, 3.0]
    assert slope.tolist() == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize(
    "relu",
    [torch.relu, Tensor.relu, nn.functional.relu, nn.ReLU(), nn.ReLU(inplace=True)],
    ids=["torch", "method", "functional", "module", "in place"],
)
def test_every_relu_is_smoothed(relu):
    """However a model calls ReLU, φ_ε stands in its place in values and gradients, chunk by chunk, and nowhere else."""

    class Layer(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return relu(super().forward(x))

    torch.manual_seed(0)
    model, inputs, targets = Layer(3, 2).double(), *(torch.randn(5, k, dtype=torch.float64) for k in (3, 2))
    loss = FlatLoss(model, inputs, targets, chunk=2).smoothed(0.7)
    theta = loss.initial.clone().requires_grad_()
    found = torch.autograd.grad(loss(theta), theta)[0]
    weight, bias = theta[:6].view(2, 3), theta[6:]
    plain = 0.5 * (smooth_relu(inputs @ weight.T + bias, 0.7) - targets).square().sum()
    torch.testing.assert_close(loss(theta), plain, rtol=1e-14, atol=0)
    torch.testing.assert_close(found, torch.autograd.grad(plain, theta)[0], rtol=1e-13, atol=0)
    assert relu(torch.tensor([-0.1])).item() == 0


def test_relu_that_writes_is_refused():
    """A model that calls relu_ by itself may use the tensor again: one line says what to do."""

    class Writes(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).relu_()

    loss = FlatLoss(Writes(1, 1), torch.ones(1, 1), torch.ones(1, 1), smooth=0.1)
    with pytest.raises(ValueError, match="`smooth` must be 0 for a model that calls ReLU in place by itself"):
        loss(loss.initial)


@pytest.mark.parametrize("smooth", [-1e-3, float("nan")])
def test_width_is_no_less_than_zero(smooth):
    """ε below zero, or none at all, is an error."""
    with pytest.raises(ValueError, match="`smooth` must be"):
        valley(smooth)


def test_flow_slides_along_a_kink():
    """w₀ falls at speed 2 to t = ¼, then w₁ = e⁻ᵗ goes on alone: distance, length and certificate within ε."""
    width, end = 1e-3, 1.0
    loss = valley(width)
    path = gradient_flow(loss, loss.initial, [0.0, end], rtol=1e-3)
    length = quad(lambda t: np.sqrt(4 + np.exp(-2 * t)), 0, 0.25)[0] + np.exp(-0.25) - np.exp(-end)
    assert path.w2_squared[-1] == pytest.approx(0.25 + (1 - np.exp(-end)) ** 2, rel=2 * width)
    assert path.arc_lengths[-1] == pytest.approx(length, rel=2 * width)
    assert path.path_dissipation[-1] == pytest.approx(path.loss_drop[-1], rel=2 * width)
    # λ_max is 3/2ε along the bend: descent that keeps below 2/λ_max takes 3/4ε steps for each unit of time.
    assert path.gradient_evaluations[-1] < 0.5 * 0.75 * end / width


def test_error_falls_with_the_width():
    """The flow rests at −ε/3 across the kink, so halving ε moves |Δθ|² in proportion to ε; no ε cannot be halved."""
    times, width = [0.0, 0.5], 0.04
    ends = [(0.5 + share * width / 3) ** 2 + (1 - np.exp(-0.5)) ** 2 for share in (1, 0.5)]
    found = smoothing_error(valley(width), times, rtol=1e-4)
    assert found["w2_squared"] == pytest.approx(ends[0] / ends[1] - 1, rel=0.02)
    with pytest.raises(ValueError, match="`smooth` must be"):
        smoothing_error(valley(0.0), times)
