"""Gradients of many networks at once, by the model's own way or by vmap, against those of one after the other."""

import pytest
import torch
from torch import Tensor

from speedlimits.dynamics.loss import FlatLoss, cross_entropy, half_squared_error, value_and_gradient
from speedlimits.dynamics.noise.ensemble import losses_and_gradients
from speedlimits.models.fcn import FCN


class Doubled(FCN):
    """An FCN with a forward pass of its own: what it inherits for many networks would be wrong."""

    def forward(self, x: Tensor) -> Tensor:
        """Twice the outputs."""
        return 2.0 * super().forward(x)


@pytest.mark.parametrize("kind", [FCN, Doubled])
@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("criterion", [half_squared_error, cross_entropy])
def test_many_networks_are_those_one_by_one(kind, depth, criterion):
    """Losses and gradients of 7 members, in pieces of 3, to 1e-12; images are flattened as the model does it."""
    generator = torch.Generator().manual_seed(depth)
    model = kind(6, 4, width=5, depth=depth, activation="gelu", generator=generator)
    inputs = torch.randn(9, 2, 3, generator=generator, dtype=torch.float64)
    targets = torch.randn(9, 4, generator=generator, dtype=torch.float64).softmax(-1)
    loss = FlatLoss(model, inputs, targets, criterion=criterion)
    thetas = torch.randn(7, loss.initial.numel(), generator=generator, dtype=torch.float64)
    losses, gradients = losses_and_gradients(loss, thetas, chunk=3)
    for theta, value, gradient in zip(thetas, losses, gradients, strict=True):
        expected = value_and_gradient(loss, theta)
        torch.testing.assert_close((value, gradient), expected, rtol=1e-12, atol=1e-12)
    assert not losses.requires_grad
    assert not gradients.requires_grad


def test_fixed_weights_stay_with_vmap():
    """A network of which one layer is not trained has rows of the other layers' weights alone."""
    model = FCN(6, 4, width=5, depth=1, generator=torch.Generator().manual_seed(0))
    model.layers[0].weight.requires_grad_(requires_grad=False)
    inputs, targets = torch.ones(3, 6, dtype=torch.float64), torch.ones(3, 4, dtype=torch.float64)
    loss = FlatLoss(model, inputs, targets)
    thetas = torch.randn(2, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = losses_and_gradients(loss, thetas)[1]
    torch.testing.assert_close(gradients[1], value_and_gradient(loss, thetas[1])[1])


def test_many_smoothed_networks_are_those_one_by_one():
    """With ReLU smoothed, as for one network: what runs many at once runs them in the same way."""
    generator = torch.Generator().manual_seed(0)
    model = FCN(4, 2, width=8, depth=2, activation="relu", generator=generator)
    inputs = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    loss = FlatLoss(model, inputs, torch.ones(6, 2, dtype=torch.float64), smooth=0.5)
    thetas = torch.randn(3, loss.initial.numel(), generator=generator, dtype=torch.float64)
    for theta, *found in zip(thetas, *losses_and_gradients(loss, thetas), strict=True):
        torch.testing.assert_close(tuple(found), value_and_gradient(loss, theta), rtol=1e-12, atol=1e-12)
