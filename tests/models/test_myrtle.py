"""Myrtle-5: the network of the paper, layer for layer, and its scale that of the theory."""

import math

import pytest
import torch
from torch import nn

from speedlimits.dynamics.loss import FlatLoss, value_and_gradient
from speedlimits.models.myrtle import Myrtle5


def network(width: int, seed: int = 0, channels: int = 3, **options) -> Myrtle5:
    return Myrtle5(channels, 10, width=width, generator=torch.Generator().manual_seed(seed), **options)


def images(samples: int, side: int = 32, channels: int = 3, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, channels, side, side, generator=generator, dtype=torch.float64)


def plain(model: Myrtle5) -> nn.Sequential:
    """The same function in PyTorch's own layers, every pooling written out, the scales inside the weights."""
    width = model.dense.weight.shape[1]
    sizes = [3, width, width, width]
    convolutions = [nn.Conv2d(size, width, 3, padding=1, bias=False, dtype=torch.float64) for size in sizes]
    dense = nn.Linear(width, 10, bias=False, dtype=torch.float64)
    for layer, ours, fan_in in zip(
        [*convolutions, dense], model.parameters(), [27, 9 * width, 9 * width, 9 * width, width], strict=True
    ):
        layer.weight = nn.Parameter(ours.detach() * math.sqrt(2 / fan_in))
    one, two, three, four = convolutions
    return nn.Sequential(
        *(one, nn.ReLU(), two, nn.ReLU(), nn.AvgPool2d(2)),
        *(three, nn.ReLU(), nn.AvgPool2d(2)),
        *(four, nn.ReLU(), nn.AvgPool2d(2), nn.AvgPool2d(2), nn.AvgPool2d(2)),
        *(nn.Flatten(), dense),
    )


def test_outputs_and_gradients_are_those_of_the_plain_network():
    """Same outputs as five poolings and PyTorch's layers; gradients differ by each layer's σ_w/√fan_in alone."""
    model, x = network(6), images(3)
    other = plain(model)
    torch.testing.assert_close(model(x), other(x), rtol=1e-12, atol=1e-12)
    ours, theirs = ([*torch.autograd.grad(f(x).square().sum(), list(f.parameters()))] for f in (model, other))
    for gradient, reference, fan_in in zip(ours, theirs, [27, 54, 54, 54, 6], strict=True):
        torch.testing.assert_close(gradient, reference * math.sqrt(2 / fan_in), rtol=1e-10, atol=1e-10)


def test_gradient_is_that_of_finite_differences():
    """∇L along a random direction is the central difference of L; the activation is smooth, kinks have none."""
    model, x = network(4, activation="gelu"), images(2, side=8)
    loss = FlatLoss(model, x, torch.zeros(2, 10, dtype=torch.float64))
    generator = torch.Generator().manual_seed(5)
    direction = torch.randn(loss.initial.numel(), generator=generator, dtype=torch.float64)
    _, gradient = value_and_gradient(loss, loss.initial)
    step = 1e-5
    with torch.no_grad():
        difference = (loss(loss.initial + step * direction) - loss(loss.initial - step * direction)) / (2 * step)
    # Truncation ~step², rounding ~1e-16/step: both below 1e-9 of the value.
    assert float(gradient @ direction) == pytest.approx(float(difference), rel=1e-8)


@pytest.mark.parametrize(("width", "parameters"), [(16, 27 * 16 + 3 * 9 * 16**2 + 160), (128, 447_104)])
def test_parameter_count(width, parameters):
    """Five trainable tensors: 27 w + 3·9 w² + 10 w weights, 447,104 at the paper's width."""
    model = network(width)
    assert len(list(model.parameters())) == 5
    assert sum(weight.numel() for weight in model.parameters()) == parameters


def test_width_drops_out():
    """NTK parametrisation: the mean square output over seeds is the same at widths 8 and 64."""
    x = images(4, side=8)
    squares = [
        torch.stack([network(width, seed)(x).detach().square().mean() for seed in range(200)]) for width in (8, 64)
    ]
    errors = [float(values.std()) / math.sqrt(200) for values in squares]
    assert abs(float(squares[0].mean() - squares[1].mean())) < 4 * math.hypot(*errors)


def test_small_images_do_as_well():
    """One-channel 8×8 images pass: 8→4→2 and the average of what is left."""
    assert network(4, channels=1)(images(2, side=8, channels=1)).shape == (2, 10)


def test_one_seed_is_one_network_in_every_precision():
    """float32 weights are the float64 ones, rounded."""
    for one, other in zip(network(8).parameters(), network(8, dtype=torch.float32).parameters(), strict=True):
        assert torch.equal(one.float(), other)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "`width` must be an integer of at least 1; width = 0"),
        ({"width": 4, "activation": "step"}, "`activation` must be one of 'erf', 'gelu', .*'step'"),
        ({"width": 4, "weight_std": 0.0}, "`weight_std` must be positive and finite; weight_std = 0"),
    ],
)
def test_bad_sizes_are_named(options, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        network(**options)
