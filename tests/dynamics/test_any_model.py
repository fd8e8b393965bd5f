"""Any module as a function of a flat weight vector: several inputs, tokens, attention, recurrence, cross-entropy."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian

from speedlimits import gradient_flow
from speedlimits.dynamics.curvature import sharpness
from speedlimits.dynamics.loss import FlatLoss, cross_entropy, half_squared_error, value_and_gradient
from speedlimits.dynamics.noise.ensemble import losses_and_gradients
from speedlimits.dynamics.purity import check_deterministic
from speedlimits.training.problem import LOSSES
from tests import own_problems


class Attention(nn.Module):
    """Fused attention, called directly, over four positions of four numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x).chunk(3, dim=-1)
        return nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0].mean(1)


class Recurrent(nn.Module):
    """The last state of a recurrent layer, which keeps a second list of its weights."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.layer = kind(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0][:, -1]


MODELS = {
    "attention": (Attention, (4, 4)),
    "multi-head": (lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True), (4, 4)),
    "multi-head, eval": (lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.5, batch_first=True).eval(), (4, 4)),
    "layer norm": (lambda: nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2)), (4,)),
    "batch norm, eval": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).eval(), (4,)),
    "group norm": (lambda: nn.Sequential(nn.Conv1d(2, 4, 2), nn.GroupNorm(2, 4), nn.Flatten()), (2, 5)),
    "lstm": (lambda: Recurrent(nn.LSTM), (3, 4)),
    "gru": (lambda: Recurrent(nn.GRU), (3, 4)),
}


def flat(name: str) -> FlatLoss:
    """The squared loss of one of the models on five samples."""
    torch.manual_seed(0)
    build, shape = MODELS[name]
    model, inputs = build().double(), torch.randn(5, *shape, dtype=torch.float64)
    with torch.no_grad():
        targets = torch.randn_like(model(inputs))
    return FlatLoss(model, inputs, targets)


@pytest.mark.parametrize("name", MODELS)
def test_gradient_and_curvature_are_those_of_autograd(name):
    """The gradient is that of the module's own backward pass, λ_max that of the Hessian by differences."""
    loss = flat(name)
    expected = half_squared_error(loss.model(loss.inputs), loss.targets)
    expected.backward()
    value, gradient = value_and_gradient(loss, loss.initial)
    assert float(value) == pytest.approx(float(expected.detach()), rel=1e-12)
    torch.testing.assert_close(gradient, torch.cat([w.grad.reshape(-1) for w in loss.model.parameters()]))
    found = sharpness(
        loss, loss.initial, generator=torch.Generator().manual_seed(0), tolerance=1e-8, max_iterations=3000
    )
    curvature = torch.stack([_column(loss, k) for k in range(loss.initial.numel())])
    assert found.value == pytest.approx(float(torch.linalg.eigvalsh(curvature).abs().max()), rel=1e-3)


def _column(loss: FlatLoss, k: int) -> Tensor:
    """A row of the Hessian by central differences of the gradient: no second derivative is asked for."""
    step = torch.zeros_like(loss.initial)
    step[k] = 1e-5
    up, down = (value_and_gradient(loss, loss.initial + sign * step)[1] for sign in (1, -1))
    return (up - down) / 2e-5


@pytest.mark.parametrize("name", [name for name in MODELS if name not in {"lstm", "gru"}])
def test_ensembles_take_any_model(name):
    """Many weight vectors at once give each member's own loss and gradient."""
    loss = flat(name)
    generator = torch.Generator().manual_seed(1)
    thetas = loss.initial + 0.1 * torch.randn(3, loss.initial.numel(), generator=generator, dtype=torch.float64)
    losses, gradients = losses_and_gradients(loss, thetas)
    for theta, value, gradient in zip(thetas, losses, gradients, strict=True):
        expected, slope = value_and_gradient(loss, theta)
        torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", own_problems.ALL)
def test_flow_of_any_network(name):
    """Four unlike problems: ∫|v|²dt, measured along the path, is the loss that was lost."""
    problem = own_problems.ALL[name](0)
    problem = problem.to(torch.float64, "cpu")
    run = gradient_flow(problem.flat_loss, problem.theta0, np.linspace(0.0, 0.05, 6), rtol=1e-5)
    assert run.losses[-1] < run.losses[0]
    assert run.path_dissipation[-1] == pytest.approx(run.losses[0] - run.losses[-1], rel=1e-4)


def test_flow_in_single_precision():
    """Float32 weights with the tolerance that they allow give |Δθ|² of float64 within a per cent."""
    moved = {}
    for dtype, rtol in ((torch.float32, 1e-3), (torch.float64, 1e-5)):
        problem = own_problems.transformer(0).to(dtype, "cpu")
        moved[dtype] = gradient_flow(problem.flat_loss, problem.theta0, [0.0, 0.05], rtol=rtol).w2_squared[-1]
    assert moved[torch.float32] == pytest.approx(moved[torch.float64], rel=1e-2)


def test_chunks_split_every_input():
    """Two inputs and targets in chunks give the loss of all at once; different lengths are named."""
    problem = own_problems.two_inputs(0)
    whole = problem.flat_loss
    parts = FlatLoss(problem.model, problem.inputs, problem.targets, criterion=own_problems.log_cosh, chunk=3)
    assert len(parts.terms) == 4
    torch.testing.assert_close(parts(parts.initial), whole(whole.initial), rtol=1e-13, atol=0.0)
    short = (problem.inputs[0][:4], problem.inputs[1])
    with pytest.raises(ValueError, match="`inputs` and `targets` must have the same number of samples"):
        FlatLoss(problem.model, short, problem.targets)


def test_cross_entropy_in_every_shape():
    """Classes last or second, positions, ignored targets, probabilities: torch's own loss, and a sum by hand."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 5, 3, generator=generator, dtype=torch.float64)
    classes = torch.randint(0, 3, (4, 5), generator=generator)
    by_hand = -sum(torch.log_softmax(logits[n, p], 0)[classes[n, p]] for n in range(4) for p in range(5))
    assert float(cross_entropy(logits, classes)) == pytest.approx(float(by_hand), rel=1e-13)
    assert float(cross_entropy(logits.mT, classes)) == pytest.approx(float(by_hand), rel=1e-13)
    one_hot = nn.functional.one_hot(classes, 3).double()
    assert float(cross_entropy(logits, one_hot)) == pytest.approx(float(by_hand), rel=1e-13)
    ignoring = classes.clone()
    ignoring[0] = -100
    assert float(cross_entropy(logits, ignoring)) == pytest.approx(
        float(cross_entropy(logits[1:], classes[1:])), rel=1e-13
    )
    expected = nn.functional.cross_entropy(logits[:, 0], classes[:, 0], reduction="sum")
    assert float(cross_entropy(logits[:, 0], classes[:, 0])) == pytest.approx(float(expected), rel=1e-13)
    assert LOSSES["cross_entropy"] is cross_entropy


def test_curvature_of_cross_entropy_is_exact():
    """λ_max of multinomial regression is that of autograd's own Hessian."""
    torch.manual_seed(0)
    inputs, classes = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    loss = FlatLoss(nn.Linear(3, 3).double(), inputs, classes, criterion=cross_entropy)
    found = sharpness(loss, loss.initial, generator=torch.Generator().manual_seed(0), tolerance=1e-9)
    whole = torch.as_tensor(hessian(loss, loss.initial))
    assert found.value == pytest.approx(float(torch.linalg.eigvalsh(whole)[-1]), rel=1e-6)


def test_randomness_and_memory_are_found():
    """Dropout by hand and spectral normalisation in training mode are named; what is left unchanged passes."""

    class Dropping(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(super().forward(x), 0.5)

    x = torch.randn(4, 3)
    with pytest.raises(ValueError, match="two passes differ, so something in forward is random"):
        check_deterministic(Dropping(3, 2), x)
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2))
    with pytest.raises(ValueError, match=r"its buffer parametrizations\.weight.* changes \(call model.eval\(\)\)"):
        check_deterministic(normed, x)
    assert check_deterministic(normed.eval(), x).shape == (4, 2)
