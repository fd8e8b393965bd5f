"""Convolutions by Winograd's products are convolutions: values, derivatives and rounding; narrow ones stay torch's."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

from speedlimits.kernel import factors
from speedlimits.kernel.empirical import empirical_kernel
from speedlimits.models import winograd
from speedlimits.models.myrtle import Myrtle5


def direct(x: Tensor, weight: Tensor) -> Tensor:
    """The sum over 3×3 pixels, as torch has it."""
    return nn.functional.conv2d(x, weight, padding=1)


def close(found: Tensor, expected: Tensor, rtol: float = 1e-13) -> None:
    """Equal in norm."""
    assert (found - expected).norm() <= rtol * expected.norm()


def normal(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    """Random numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", [(8, 8), (32, 16), (5, 7), (1, 1), (3, 2), (9, 4)])
def test_values_and_gradients_are_those_of_the_sum(shape):
    """On images of any size, whether or not their sides are multiples of 4."""
    x, weight, weights = normal(2, 6, *shape), normal(5, 6, 3, 3, seed=1), normal(2, 5, *shape, seed=2)
    x.requires_grad_(), weight.requires_grad_()
    found, expected = winograd.by_products(x, weight), direct(x, weight)
    close(found, expected)
    gradients = [torch.autograd.grad(result, (x, weight), weights) for result in (found, expected)]
    for of_found, of_expected in zip(*gradients, strict=True):
        close(of_found, of_expected)


def test_second_derivatives_and_vmap():
    """Curvature and Jacobians sample by sample go through it; what it keeps from one call serves any other."""
    with torch.inference_mode():
        winograd.by_products(normal(1, 2, 11, 11), normal(4, 2, 3, 3))
    winograd.by_products(normal(1, 2, 11, 11), normal(4, 2, 3, 3).requires_grad_()).sum().backward()
    x, weight = normal(3, 2, 6, 6), normal(4, 2, 3, 3, seed=1)

    def curved(convolution, weight: Tensor) -> Tensor:
        return convolution(x, weight).pow(3).sum()

    def outputs(convolution, weight: Tensor, image: Tensor) -> Tensor:
        return convolution(image[None], weight).square().sum((0, 2, 3))

    hessian = jacrev(jacrev(curved, argnums=1), argnums=1)
    close(*(hessian(way, weight) for way in (winograd.by_products, direct)))
    close(
        *(vmap(jacrev(outputs, argnums=1), (None, None, 0))(way, weight, x) for way in (winograd.by_products, direct))
    )


def test_rounding_in_float32(monkeypatch):
    """At the paper's width the error is 1e-6 of the norm, 2.5 times that of the direct sum at most.

    The points that are usual would give twice as much.
    """
    x, weight = normal(2, 128, 16, 16).relu(), normal(128, 128, 3, 3, seed=1)
    expected = direct(x, weight)

    def error(way) -> float:
        return float((way(x.float(), weight.float()) - expected).norm() / expected.norm())

    found = error(winograd.by_products)
    assert found < 1.2e-6
    assert found < 2.5 * error(direct)
    monkeypatch.setattr(winograd, "POINTS", (0.0, 1.0, -1.0, 2.0, -2.0))
    # Past their caches, which keep the points of everybody else.
    for name in ("_tiles", "_filters_and_results"):
        monkeypatch.setattr(winograd, name, getattr(winograd, name).__wrapped__)
    assert error(winograd.by_products) > 1.9 * found


def test_narrow_convolutions_are_torch_own():
    """Below 64 channels, in or out, not a bit changes."""
    for outputs, inputs in ((63, 64), (64, 63), (128, 3)):
        x, weight = normal(2, inputs, 8, 8), normal(outputs, inputs, 3, 3)
        assert torch.equal(winograd.convolution(x, weight), direct(x, weight))
    x, weight = normal(2, 64, 8, 8), normal(64, 64, 3, 3)
    assert torch.equal(winograd.convolution(x, weight), winograd.by_products(x, weight))


def test_kernel_of_a_wide_network_keeps_its_factors(monkeypatch):
    """The tangent kernel sees convolutions in a wide network, and no weight is differentiated sample by sample."""
    model = Myrtle5(3, 2, width=64, generator=torch.Generator().manual_seed(0))
    x = normal(3, 3, 8, 8)
    seen: list[torch.Size] = []
    unfold = factors.UNFOLDS[nn.functional.conv2d]

    def listening(x: Tensor, weight: Tensor, *args, **options):
        seen.append(weight.shape)
        return unfold(x, weight, *args, **options)

    monkeypatch.setitem(factors.UNFOLDS, nn.functional.conv2d, listening)
    kernel = empirical_kernel(model, x)
    assert (64, 64, 3, 3) in seen
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 10**6)
    close(torch.as_tensor(kernel), torch.as_tensor(empirical_kernel(model, x)), rtol=1e-12)
