"""A model as one function of a flat vector, and its sharpness."""

import numpy as np
import pytest
import torch
from torch import nn

from speedlimits.dynamics.curvature import sharpness
from speedlimits.dynamics.loss import FlatLoss, half_squared_error, value_and_gradient
from speedlimits.models.fcn import FCN


def problem(chunk: int | None = None, **options) -> FlatLoss:
    model = FCN(6, 3, width=5, depth=2, generator=torch.Generator().manual_seed(0), **options)
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(11, 6, generator=generator, dtype=torch.float64)
    return FlatLoss(model, inputs, torch.randn(11, 3, generator=generator, dtype=torch.float64), chunk=chunk)


def test_squared_error_has_its_half():
    """Eqs. (49), (56): L = ½Σ(f − y)², so that the outputs are driven by f − y, without a factor."""
    outputs = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[0.0, 1.0], [2.0, 3.5]], dtype=torch.float64)
    loss = half_squared_error(outputs, targets)
    assert loss.item() == 0.5 * (1.0 + 9.0 + 2.25 + 0.25)
    loss.backward()
    assert torch.equal(outputs.grad, (outputs - targets).detach())


def test_gradient_is_that_of_the_model():
    """The flat loss and gradient are those of the model's own backward pass."""
    loss = problem()
    expected = 0.5 * (loss.model(loss.inputs) - loss.targets).square().sum()
    expected.backward()
    value, gradient = value_and_gradient(loss, loss.initial)
    assert float(value) == float(expected.detach())
    torch.testing.assert_close(gradient, torch.cat([w.grad.reshape(-1) for w in loss.model.parameters()]))


@pytest.mark.parametrize("chunk", [1, 4, 11, 50])
def test_chunks_add_up_to_the_whole(chunk):
    """Loss, gradient and sharpness in chunks, the last one shorter, are those of all samples at once."""
    whole, parts = problem(), problem(chunk=chunk)
    assert len(parts.terms) == -(-11 // chunk)
    torch.testing.assert_close(parts(parts.initial), whole(whole.initial), rtol=1e-14, atol=0.0)
    for ours, expected in zip(
        value_and_gradient(parts, parts.initial), value_and_gradient(whole, whole.initial), strict=True
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-14)
    found, known = (
        sharpness(loss, loss.initial, generator=torch.Generator().manual_seed(0)) for loss in (parts, whole)
    )
    assert found.value == pytest.approx(known.value, rel=1e-12)


def test_chunk_must_be_positive():
    """A chunk of no samples would never end."""
    with pytest.raises(ValueError, match="`chunk` must be an integer of at least 1; chunk = 0"):
        problem(chunk=0)


def test_model_is_left_alone():
    """Evaluating elsewhere writes nothing to the model's own weights."""
    loss = problem()
    before = loss.initial.clone()
    value_and_gradient(loss, loss.initial + 1.0)
    assert torch.equal(torch.cat([w.detach().reshape(-1) for w in loss.model.parameters()]), before)


def test_model_is_left_alone_by_failures():
    """Even when its forward pass fails, the model has its own weights back."""
    loss = problem()
    before = list(loss.model.parameters())
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        loss.outputs(loss.initial + 1.0, torch.zeros(2, 7, dtype=torch.float64))
    assert all(now is then for now, then in zip(loss.model.parameters(), before, strict=True))


def test_tied_weights_move_together():
    """A weight used twice is one block of θ; its gradient is the sum over both uses, as the model's own is."""
    first, second = nn.Linear(3, 3, dtype=torch.float64), nn.Linear(3, 3, dtype=torch.float64)
    second.weight = first.weight
    model = nn.Sequential(first, nn.Tanh(), second)
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    loss = FlatLoss(model, inputs, torch.zeros(4, 3, dtype=torch.float64))
    assert loss.initial.numel() == 9 + 3 + 3
    theta = 2 * loss.initial
    _, gradient = value_and_gradient(loss, theta)
    with torch.no_grad():
        nn.utils.vector_to_parameters(theta, model.parameters())
    loss.criterion(model(inputs), loss.targets).backward()
    torch.testing.assert_close(gradient, torch.cat([w.grad.reshape(-1) for w in model.parameters()]))


def test_weight_multiplies_the_gradient():
    """The gradient is multiplied exactly, at no cost: the backward pass starts from the weight."""
    loss = problem()
    value, gradient = value_and_gradient(loss, loss.initial)
    same, downhill = value_and_gradient(loss, loss.initial, torch.tensor(-1.0, dtype=torch.float64))
    assert torch.equal(downhill, -gradient)
    assert value == same


def test_named_weights_are_views():
    """θ by names shares θ's memory, and concatenates to it."""
    loss = problem()
    named = loss.named(loss.initial)
    assert [tuple(w.shape) for w in named.values()] == [tuple(w.shape) for w in loss.model.parameters()]
    assert next(iter(named.values())).data_ptr() == loss.initial.data_ptr()


def test_frozen_weights_do_not_move():
    """Weights that ask for no gradient are no part of θ."""
    model = FCN(6, 3, width=5, depth=1, generator=torch.Generator().manual_seed(0))
    model.layers[0].weight.requires_grad_(False)
    assert FlatLoss(model, torch.zeros(1, 6), torch.zeros(1, 3)).initial.numel() == 15


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.ReLU(), "it has no trainable weights"),
        (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), "must have weights of one dtype on one device"),
        (nn.Sequential(nn.Linear(2, 2), nn.Dropout()), r"1 is a Dropout in training mode \(call model\.eval\(\)\)"),
        (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), "1 is a BatchNorm1d in training mode"),
    ],
)
def test_models_that_are_no_functions_are_named(model, message):
    """A model whose loss changes from call to call is refused: a flow needs one loss function."""
    with pytest.raises(ValueError, match=message):
        FlatLoss(model, torch.zeros(1, 2), torch.zeros(1, 2))


def test_sharpness_is_the_largest_eigenvalue():
    """Power iteration against the dense Hessian's eigenvalues, to its tolerance and from below."""
    loss = problem()
    hessian = torch.autograd.functional.hessian(loss, loss.initial)
    largest = float(torch.linalg.eigvalsh(hessian).abs().max())
    found = sharpness(loss, loss.initial, generator=torch.Generator().manual_seed(2), tolerance=1e-6)
    assert found.converged
    assert found.value == pytest.approx(largest, rel=1e-4)
    assert found.value <= largest * (1 + 1e-12)
    assert found.gradient_evaluations % 2 == 0


def test_sharpness_sees_negative_curvature():
    """|λ|_max counts: a saddle's steepest direction sets the stable step whatever its sign."""
    curvature = torch.tensor([1.0, -7.0, 3.0], dtype=torch.float64)
    found = sharpness(
        lambda theta: 0.5 * (curvature * theta.square()).sum(),
        torch.zeros(3, dtype=torch.float64),
        generator=torch.Generator().manual_seed(0),
        tolerance=1e-9,
    )
    assert found.value == pytest.approx(7.0, rel=1e-6)


def test_flat_losses_have_no_sharpness():
    """A loss without curvature has λ = 0, whether autograd knows its gradient to be constant or not."""
    theta = torch.zeros(3, dtype=torch.float64)
    for loss in (lambda t: t.sum(), lambda t: (t * 1.0).sum() + 0 * t.square().sum()):
        assert sharpness(loss, theta, generator=torch.Generator().manual_seed(0)).value == 0.0


def test_sharpness_that_has_not_converged_says_so():
    """Stopped at its maximum of products, the estimate is marked."""
    curvature = torch.from_numpy(np.linspace(0.99, 1.0, 50))
    found = sharpness(
        lambda theta: 0.5 * (curvature * theta.square()).sum(),
        torch.zeros(50, dtype=torch.float64),
        generator=torch.Generator().manual_seed(0),
        tolerance=1e-12,
        max_iterations=3,
    )
    assert not found.converged
    assert found.gradient_evaluations == 6
