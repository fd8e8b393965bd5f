"""Fully connected networks in NTK parametrisation: their scale is that of the theory."""

import pytest
import torch

from speedlimits.models.fcn import FCN


def network(width: int, depth: int, seed: int = 0, **options) -> FCN:
    return FCN(16, 4, width=width, depth=depth, generator=torch.Generator().manual_seed(seed), **options)


def test_layer_keeps_the_variance():
    """For unit-variance inputs a linear layer's outputs have unit variance at any width: N(0,1) weights, 1/√fan_in."""
    inputs = torch.randn(50, 4000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    layer = FCN(4000, 2000, width=1, depth=0, generator=torch.Generator().manual_seed(2))
    # 50 × 2000 outputs, the rows' own norms divided out: 4 standard errors of a variance over 1e5 numbers.
    scaled = layer(inputs) / inputs.square().mean(dim=1, keepdim=True).sqrt()
    assert scaled.var().item() == pytest.approx(1.0, abs=4 * (2 / 1e5) ** 0.5)


def test_kernel_has_a_limit():
    """The kernel ΣJJᵀ has a limit for large widths: its relative spread over seeds falls as width^(−1/2)."""
    x = torch.randn(1, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def kernel(width: int, seed: int) -> float:
        model = network(width, 2, seed)
        gradients = torch.autograd.grad(model(x)[0, 0], list(model.parameters()))
        return sum(float(gradient.square().sum()) for gradient in gradients)

    spreads = []
    for width in (32, 512):
        values = torch.tensor([kernel(width, seed) for seed in range(40)])
        spreads.append(float(values.std() / values.mean()))
    # Expected ratio 4; 40 seeds know a standard deviation to 11 %.
    assert 2.5 < spreads[0] / spreads[1] < 6.5


def test_one_seed_is_one_network_in_every_precision():
    """float32 weights are the float64 ones, rounded."""
    double, single = network(8, 1), network(8, 1, dtype=torch.float32)
    for one, other in zip(double.parameters(), single.parameters(), strict=True):
        assert torch.equal(one.float(), other)


def test_depth_zero_is_linear():
    """Without hidden layers the network is linear in inputs and weights."""
    model = network(1, 0)
    x, y = torch.randn(2, 5, 16, dtype=torch.float64)
    torch.testing.assert_close(model(x + 2 * y), model(x) + 2 * model(y))
    assert len(list(model.parameters())) == 1


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0, "depth": 1}, "`width` must be an integer of at least 1; width = 0"),
        ({"width": 4, "depth": -1}, "`depth` must be an integer of at least 0; depth = -1"),
        ({"width": 4, "depth": 1, "activation": "step"}, "`activation` must be one of 'erf', 'gelu', .*'step'"),
        ({"width": 4, "depth": 1, "weight_std": 0.0}, "`weight_std` must be positive and finite; weight_std = 0"),
    ],
)
def test_bad_sizes_are_named(options, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        network(**options)
