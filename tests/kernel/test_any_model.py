"""Kernels of networks as users write them, against dense Jacobians of autograd."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from speedlimits.dynamics.samples import Inputs, as_tuple, take
from speedlimits.kernel.empirical import empirical_kernel
from speedlimits.kernel.operator import KernelOperator
from tests import own_problems


class Encoder(nn.Module):
    """An encoder layer in evaluation mode, where torch has a shortcut without derivatives."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).mean(1)


class Recurrent(nn.Module):
    """The last state of an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0][:, -1]


def case(name: str) -> tuple[nn.Module, Inputs]:
    """A network in float64 and its samples."""
    if name in own_problems.ALL:
        problem = own_problems.ALL[name](0).to(torch.float64, "cpu")
        return problem.model, problem.inputs
    torch.manual_seed(0)
    model = {"encoder": Encoder, "recurrent": Recurrent}[name]().double().eval()
    return model, torch.randn(5, 3, 4, dtype=torch.float64)


def jacobian(model: nn.Module, inputs: Inputs) -> np.ndarray:
    """Rows of J over (sample, output), by autograd's own dense Jacobian."""
    weights = dict(model.named_parameters())

    def outputs(*values: Tensor) -> Tensor:
        return functional_call(model, dict(zip(weights, values, strict=True)), as_tuple(inputs)).reshape(-1)

    pieces = torch.autograd.functional.jacobian(outputs, tuple(w.detach() for w in weights.values()))
    return torch.cat([piece.flatten(1) for piece in pieces], dim=1).numpy()


@pytest.mark.parametrize("name", [*own_problems.ALL, "encoder", "recurrent"])
def test_kernel_of_any_network_is_that_of_the_dense_jacobian(name):
    """Θ = JJᵀ to 1e-10 for tokens, sequences, several inputs, 1-D convolutions: formed, in parts, and by products."""
    model, inputs = case(name)
    few = take(inputs, slice(1, 4))
    rows, others = jacobian(model, inputs), jacobian(model, few)
    whole = rows @ rows.T
    np.testing.assert_allclose(empirical_kernel(model, inputs), whole, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(empirical_kernel(model, inputs, few), rows @ others.T, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(empirical_kernel(model, inputs, memory=1.0), whole, rtol=1e-10, atol=1e-11)
    operator = KernelOperator(model, inputs, chunk=2)
    vector = np.random.default_rng(0).standard_normal(operator.size)
    np.testing.assert_allclose(operator(vector), whole @ vector, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["encoder", "recurrent", "transformer"])
def test_attention_and_recurrence_are_differentiated_forwards(name):
    """The operator needs no second backward pass, in evaluation mode either."""
    assert KernelOperator(*case(name))._forward_mode


def test_tokens_stay_integers_and_numbers_become_double():
    """Inputs in float32 beside tokens give the kernel of the same numbers in float64."""
    model, (numbers, category) = case("two_inputs")
    found = empirical_kernel(model.float(), (numbers.float(), category))
    model.double()
    np.testing.assert_array_equal(found, empirical_kernel(model, (numbers.float().double(), category)))


class Sequences(nn.Module):
    """An encoder layer that takes positions first, where samples come first."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Ending(nn.Module):
    """A linear layer and something done to its outputs."""

    def __init__(self, then) -> None:
        super().__init__()
        self.layer, self.then = nn.Linear(4, 2), then

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self.layer(x))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Sequences(), "outputs that depend on that sample alone; those of sample 0 depend on others"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3, track_running_stats=False)),
            "depend on others",
        ),
        (Ending(lambda y: (y, y)), "must return one tensor; it returns a tuple of 2"),
        (Ending(lambda y: y.flatten()), r"must return a row for each sample; for \d samples"),
        (nn.Linear(4, 2, dtype=torch.complex128), "must have real weights; weight is torch.complex128"),
    ],
)
def test_networks_without_a_kernel_are_named(model, message):
    """A kernel between samples needs outputs that are real, in rows, and each sample's own."""
    inputs = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for kernel in (empirical_kernel, KernelOperator):
        with pytest.raises(ValueError, match=message):
            kernel(model.eval(), inputs)


def test_products_without_second_derivatives_are_named():
    """A bag of embeddings can be differentiated neither forwards nor twice: the operator says so."""
    bags = nn.Sequential(nn.EmbeddingBag(5, 3), nn.Linear(3, 1))
    operator = KernelOperator(bags, torch.tensor([[0, 1], [2, 4]]))
    with pytest.raises(ValueError, match=r"`model` must be twice differentiable by torch; .*_embedding_bag_backward"):
        operator(np.ones(2))
