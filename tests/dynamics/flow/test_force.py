"""The spectral radius by differences and, at kinks, by exact products."""

import pytest
import torch
from torch.nn.functional import relu

from speedlimits.data.digits import digits
from speedlimits.dynamics.curvature import HessianProducts, sharpness
from speedlimits.dynamics.flow.force import Force, spectral_radius
from speedlimits.dynamics.loss import FlatLoss
from speedlimits.models.myrtle import Myrtle5


def on_a_kink(seed: int, dtype: torch.dtype):
    """A loss of a ReLU network, and weights where a unit's input is zero for one sample."""
    rng = torch.Generator().manual_seed(seed)
    inputs, targets = torch.randn(12, 6, generator=rng), torch.randn(12, generator=rng)
    inner, outer = torch.randn(8, 6, generator=rng), torch.randn(8, generator=rng)
    inner[0] -= (inner[0] @ inputs[0]) / (inputs[0] @ inputs[0]) * inputs[0]
    inputs, targets = inputs.to(dtype), targets.to(dtype)

    def loss(theta: torch.Tensor) -> torch.Tensor:
        hidden = relu(inputs @ theta[:48].view(8, 6).T)
        return 0.5 * (hidden @ theta[48:] - targets).square().sum()

    return loss, torch.cat([inner.flatten(), outer]).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("seed", range(4))
def test_a_jump_of_the_force_is_no_curvature(seed, dtype):
    """On a kink the radius is the Hessian's beside it, with or without a last value; differences alone read 10⁷."""
    loss, theta = on_a_kink(seed, dtype)
    exact = sharpness(loss, theta, generator=torch.Generator().manual_seed(0), max_iterations=500).value
    force, origin = Force(loss, theta), theta.double()
    start = force(origin)
    for last in (0.0, exact / 5, exact):
        found, _ = spectral_radius(force, origin, start, start, last)
        # Close eigenvalues settle slowly; in float32 a value within a factor of 2 is let pass.
        assert found == pytest.approx(exact, rel=0.15 if dtype == torch.float64 else 0.5)


def test_each_side_of_many_kinks_settles_by_itself():
    """Myrtle-5 in float32: by turns a tenth apart on the two sides of θ, for ever; a handful of products, not fifty.

    The radius is the steeper side's: that of the force's difference along the Hessian's own eigenvector, either way.
    """
    data = digits(40)
    model = Myrtle5(1, 10, width=8, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    loss = FlatLoss(model, torch.from_numpy(data.inputs).float(), torch.from_numpy(data.targets).float())
    force, origin = Force(loss, loss.initial), loss.initial.double()
    start = force(origin)
    found, direction = spectral_radius(force, origin, start, start)
    assert force.evaluations <= 1 + 6 + 3
    before = force.evaluations
    again, _ = spectral_radius(force, origin, start, direction, found)
    assert force.evaluations - before <= 3
    hessian, eigenvector = HessianProducts([loss], loss.initial.clone().requires_grad_()), start.float()
    for _ in range(30):
        eigenvector = hessian.product(eigenvector / eigenvector.norm())
    reach = torch.finfo(torch.float32).eps ** 0.5 * origin.norm()
    sides = [
        float((force(origin + sign * reach * eigenvector / eigenvector.norm()) - start).norm() / reach)
        for sign in (1, -1)
    ]
    assert max(sides) > 1.05 * min(sides)
    assert found == pytest.approx(max(sides), rel=0.05)
    assert again == pytest.approx(max(sides), rel=0.05)


def test_smooth_radii_stay_with_differences():
    """A radius far from the last one costs one graph and one product, three gradients, to confirm, not more."""
    curvatures = torch.tensor([50.0, 1.0, 0.1], dtype=torch.float64)
    theta = torch.ones(3, dtype=torch.float64)
    costs = []
    for last in (50.0, 10.0):
        force = Force(lambda theta: 0.5 * (curvatures * theta * theta).sum(), theta)
        found, _ = spectral_radius(force, theta, force(theta), -curvatures * theta, last)
        assert found == pytest.approx(50.0, rel=1e-2)
        costs.append(force.evaluations)
    assert costs[1] == costs[0] + 3


class Cube(torch.autograd.Function):
    """x³, with a backward pass that says it has no derivative."""

    @staticmethod
    def forward(ctx, x):  # pyright: ignore
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):  # pyright: ignore
        (x,) = ctx.saved_tensors
        return (3 * grad * x**2).detach()


def test_wrong_second_derivatives_are_not_believed():
    """Where a backward pass hides its derivative, exact products see too little: differences stay."""
    theta = torch.ones(3, dtype=torch.float64)
    force = Force(lambda theta: Cube.apply(theta).sum() + 0.01 * theta.square().sum(), theta)  # pyright: ignore
    found, _ = spectral_radius(force, theta, force(theta), torch.ones_like(theta))
    assert found == pytest.approx(6.02, rel=1e-2)
