"""Any module as a function of a flat weight vector: several inputs, tokens, attention, recurrence, cross-entropy."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian

from speedlimits import gradient_flow
from speedlimits.dynamics.curvature import sharpness
from speedlimits.dynamics.loss import FlatLoss, cross_entropy, half_squared_error, value_and_gradient
from speedlimits.dynamics.noise.ensemble import laplacians, losses_and_gradients
from speedlimits.dynamics.noise.exact_steps import ExactSteps
from speedlimits.dynamics.noise.langevin import Langevin
from speedlimits.dynamics.passes import twice_differentiable
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


class Masked(nn.Module):
    """A stack of encoder layers that does not look at the last position; in evaluation mode torch has a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.5, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.zeros(x.shape[:2], dtype=torch.bool)
        hidden[:, -1] = True
        return self.layers(x, src_key_padding_mask=hidden)


class Weighed(nn.Module):
    """Attention that also gives its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        outputs, weights = self.attention(x, x, x)
        return torch.cat([outputs, weights], dim=-1)


class Tied(nn.Module):
    """One matrix in two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(x)))


MODELS = {
    "attention": (Attention, (4, 4)),
    "multi-head": (lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True), (4, 4)),
    "multi-head, eval": (lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.5, batch_first=True).eval(), (4, 4)),
    "layer norm": (lambda: nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2)), (4,)),
    "batch norm, eval": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).eval(), (4,)),
    "group norm": (lambda: nn.Sequential(nn.Conv1d(2, 4, 2), nn.GroupNorm(2, 4), nn.Flatten()), (2, 5)),
    "masked, eval": (lambda: Masked().eval(), (4, 4)),
    "weights asked for": (lambda: Weighed(), (4, 4)),
    "tied": (lambda: Tied(), (4,)),
    "rms norm": (lambda: nn.Sequential(nn.Linear(4, 3), nn.RMSNorm(3), nn.GELU(), nn.Linear(3, 2)), (4,)),
    "lstm": (lambda: Recurrent(nn.LSTM), (3, 4)),
    "gru": (lambda: Recurrent(nn.GRU), (3, 4)),
}


def flat(name: str) -> FlatLoss:
    """The squared loss of one of the models on five samples."""
    torch.manual_seed(0)
    build, shape = MODELS[name]
    model, inputs = build().double(), torch.randn(5, *shape, dtype=torch.float64)
    return FlatLoss(model, inputs, torch.randn_like(model(inputs).detach()))


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
    assert found.value == pytest.approx(_curvature(loss), rel=1e-3)


def _product(loss: FlatLoss, theta: Tensor, direction: Tensor) -> Tensor:
    """Hv by central differences of the gradient: no second derivative is asked for."""
    up, down = (value_and_gradient(loss, theta + step * direction)[1] for step in (1e-5, -1e-5))
    return (up - down) / 2e-5


def _curvature(loss: FlatLoss) -> float:
    """|λ|_max of the Hessian put together from such products."""
    theta = loss.initial
    whole = torch.stack([_product(loss, theta, direction) for direction in torch.eye(theta.numel(), dtype=theta.dtype)])
    return float(torch.linalg.eigvalsh(whole).abs().max())


@pytest.mark.parametrize("name", MODELS)
def test_ensembles_take_any_model(name):
    """Many weight vectors at once give each member's own loss, gradient, and zᵀHz by differences of the gradient."""
    loss = flat(name)
    generator = torch.Generator().manual_seed(1)
    thetas = loss.initial + 0.1 * torch.randn(3, loss.initial.numel(), generator=generator, dtype=torch.float64)
    losses, gradients = losses_and_gradients(loss, thetas)
    found = laplacians(loss, thetas, generator=torch.Generator().manual_seed(2))
    signs = torch.randint(0, 2, thetas.shape, generator=torch.Generator().manual_seed(2)) * 2.0 - 1.0
    for theta, sign, laplacian in zip(thetas, signs, found, strict=True):
        assert float(laplacian) == pytest.approx(
            float(_product(loss, theta, sign.double()).dot(sign.double())), rel=1e-5
        )
    for theta, value, gradient in zip(thetas, losses, gradients, strict=True):
        expected, slope = value_and_gradient(loss, theta)
        torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-10)


def test_encoders_give_at_masked_positions_what_they_give_in_training():
    """Without gradients torch would put zeros there, and the loss would not be the one whose gradient is followed."""
    loss = flat("masked, eval")
    with torch.no_grad():
        found = loss.outputs(loss.initial, loss.inputs)
    expected = loss.model(loss.inputs)
    assert expected.requires_grad
    assert expected[:, -1].abs().min() > 0
    torch.testing.assert_close(found, expected.detach(), rtol=1e-13, atol=1e-15)


def test_torch_has_its_settings_back():
    """The fast path of encoders is as it was, after a pass and after one that fails."""
    loss = flat("masked, eval")
    assert torch.backends.mha.get_fastpath_enabled()
    loss(loss.initial)
    assert torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(AssertionError, match="unbatched"):
        loss.outputs(loss.initial, torch.zeros(2, 3))
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
@pytest.mark.parametrize("name", own_problems.ALL)
def test_curvature_of_any_network_is_that_of_its_hessian(name):
    """λ_max by power iteration is that of differences, and of `torch.func.hessian` where torch has it right."""
    problem = own_problems.ALL[name](0).to(torch.float64, "cpu")
    loss = problem.flat_loss
    found = sharpness(
        loss, problem.theta0, generator=torch.Generator().manual_seed(0), tolerance=1e-8, max_iterations=3000
    )
    assert found.value == pytest.approx(_curvature(loss), rel=1e-4)
    # Behind layer normalisation torch's is not even symmetric.
    if not any(isinstance(module, nn.LayerNorm) for module in problem.model.modules()):
        with twice_differentiable():
            whole = torch.as_tensor(torch.func.hessian(loss)(problem.theta0))
        assert found.value == pytest.approx(float(torch.linalg.eigvalsh(whole).abs().max()), rel=1e-4)


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_missing_second_derivatives_are_named():
    """Torch has none for bags of embeddings: the error says so, and the first derivative is not refused."""
    bags = nn.Sequential(nn.EmbeddingBag(5, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    loss = FlatLoss(bags, torch.tensor([[0, 1], [2, 4]]), torch.ones(2, 1, dtype=torch.float64))
    assert torch.isfinite(value_and_gradient(loss, loss.initial)[1]).all()
    message = "`loss` must be twice differentiable by torch; .*_embedding_bag_backward"
    with pytest.raises(ValueError, match=message):
        sharpness(loss, loss.initial, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=message):
        laplacians(loss, loss.initial[None], generator=torch.Generator().manual_seed(0))


def test_exact_steps_pass_through_attention():
    """Exact Langevin steps of a model linear in its weights find its Hessian behind fused attention."""

    class Readout(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read = nn.Linear(4, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            x = x[:, None]
            return nn.functional.scaled_dot_product_attention(x, x, self.read(x).expand_as(x).contiguous())[:, 0, :, 0]

    inputs = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss = FlatLoss(Readout().double(), inputs, torch.ones(3, 4, dtype=torch.float64))
    dynamics = Langevin(loss=loss, inverse_temperature=1.0, prior_precision=0.5, time_step=0.1)
    weights = torch.softmax(inputs @ inputs.mT / 2.0, dim=-1) @ inputs
    features = weights.reshape(12, 4)
    expected = torch.linalg.eigvalsh(features.T @ features + torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(ExactSteps.of(dynamics, loss.initial[None]).rates, expected)


@pytest.mark.parametrize("name", own_problems.ALL)
def test_flow_of_any_network(name):
    """Four unlike problems: ∫|v|²dt, measured along the path, is the loss that was lost."""
    problem = own_problems.ALL[name](0)
    problem = problem.to(torch.float64, "cpu")
    run = gradient_flow(problem.flat_loss, problem.theta0, np.linspace(0.0, 0.05, 6), rtol=1e-5)
    assert run.losses[-1] < run.losses[0]
    assert run.path_dissipation[-1] == pytest.approx(run.losses[0] - run.losses[-1], rel=1e-4)


@pytest.mark.parametrize("name", own_problems.ALL)
def test_flow_in_single_precision(name):
    """Float32 weights with the tolerance that they allow give |Δθ|² of float64 within a per cent."""
    moved = {}
    for dtype, rtol in ((torch.float32, 1e-3), (torch.float64, 1e-5)):
        problem = own_problems.ALL[name](0).to(dtype, "cpu")
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


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8])
def test_classes_may_be_any_integers(kind):
    """Classes of every kind of integer give the loss of 64-bit ones, probabilities that of the outputs' precision."""
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    classes = torch.tensor([0, 2, 1, 0])
    assert cross_entropy(logits, classes.to(kind)) == cross_entropy(logits, classes)
    one_hot = nn.functional.one_hot(classes, 3)
    assert float(cross_entropy(logits, one_hot.float())) == pytest.approx(float(cross_entropy(logits, classes)))
    assert cross_entropy(logits.float(), one_hot.double()).dtype == torch.float32


def test_classes_stand_last_where_both_readings_fit():
    """Five classes at five positions: the last dimension is that of the classes."""
    logits = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    classes = torch.randint(0, 5, (2, 5), generator=torch.Generator().manual_seed(1))
    expected = -torch.log_softmax(logits, 2).gather(2, classes[..., None]).sum()
    torch.testing.assert_close(cross_entropy(logits, classes), expected)


@pytest.mark.parametrize(
    ("criterion", "shape", "targets", "message"),
    [
        (half_squared_error, (4, 1), torch.zeros(4), r"outputs' shape \(4, 1\); targets.shape = \(4,\)"),
        (
            cross_entropy,
            (4, 3),
            torch.zeros(4),
            r"of that shape; targets.shape = \(4,\), torch.float32",
        ),
        (cross_entropy, (4, 3), torch.zeros(4, 3).long(), r"a class for each position of the outputs \(4, 3\)"),
        (cross_entropy, (4, 2, 3), torch.zeros(4, 4).long(), r"a class for each position of the outputs \(4, 2, 3\)"),
        (cross_entropy, (4,), torch.zeros(4).long(), r"a class for each position of the outputs \(4,\)"),
    ],
)
def test_targets_of_another_shape_are_named(criterion, shape, targets, message):
    """Targets that would be stretched over the outputs, or fit no reading of them, are refused with both shapes."""
    with pytest.raises(ValueError, match=message):
        criterion(torch.zeros(shape), targets)


def test_curvature_of_cross_entropy_is_exact():
    """λ_max of multinomial regression is that of autograd's own Hessian."""
    torch.manual_seed(0)
    inputs, classes = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    loss = FlatLoss(nn.Linear(3, 3).double(), inputs, classes, criterion=cross_entropy)
    found = sharpness(loss, loss.initial, generator=torch.Generator().manual_seed(0), tolerance=1e-9)
    whole = torch.as_tensor(hessian(loss, loss.initial))
    assert found.value == pytest.approx(float(torch.linalg.eigvalsh(whole)[-1]), rel=1e-6)


class Calling(nn.Module):
    """A linear layer and something done to its outputs."""

    def __init__(self, then) -> None:
        super().__init__()
        self.layer, self.then = nn.Linear(3, 2), then
        self.register_buffer("calls", torch.tensor([float("nan"), 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self, self.layer(x))


def count_calls(model: nn.Module, y: Tensor) -> Tensor:
    model.calls = model.calls + 1
    return y


@pytest.mark.parametrize(
    ("then", "message"),
    [
        (lambda _, y: nn.functional.dropout(y, 0.5), "two passes differ, so something in forward is random"),
        (lambda _, y: y + 0.01 * torch.randn(2), r"random or remembers earlier calls \(call model.eval\(\)"),
        (count_calls, r"must stay as it is in a forward pass; its buffer calls changes \(call model.eval\(\)\)"),
        (lambda _, y: (y, y), "must return one tensor; it returns a tuple of 2"),
        (lambda _, y: {"logits": y}, "must return one tensor; it returns a dict"),
        (lambda _, y: y.argmax(1), "must return real numbers; it returns torch.int64"),
        (lambda _, y: y + 1j, "must return real numbers; it returns torch.complex64"),
        (lambda _, y: y.sum(), r"must return a row for each sample; for 4 samples it returns the shape \(\)"),
        (lambda _, y: y.flatten(), r"must return a row for each sample; for 4 samples it returns the shape \(8,\)"),
        (lambda _, y: y / 0, "must have finite outputs at its start"),
        (lambda _, y: y @ y, "must take the inputs; it fails: RuntimeError: mat1 and mat2"),
    ],
)
def test_what_is_no_function_of_weights_and_inputs_is_found(then, message):
    """Two passes on four samples find randomness, memory and outputs of another kind, and say which."""
    with pytest.raises(ValueError, match=message):
        check_deterministic(Calling(then), torch.ones(4, 3))


def test_looking_leaves_no_trace():
    """The check puts back the global generator and every buffer, and takes NaN in one for unchanged."""
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    assert check_deterministic(Calling(lambda _, y: y), torch.ones(4, 3)).shape == (4, 2)
    for then in (lambda _, y: nn.functional.dropout(y, 0.5), count_calls):
        model = Calling(then)
        torch.manual_seed(0)
        with pytest.raises(ValueError, match="must"):
            check_deterministic(model, torch.ones(4, 3))
        assert torch.equal(torch.rand(3), expected)
        assert float(model.calls[1]) == 0.0


def test_power_iterations_of_layers_are_memory():
    """Spectral normalisation changes its vectors in training mode, and is a function in evaluation mode."""
    torch.manual_seed(0)
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(30, 20))
    vectors = [buffer.clone() for buffer in normed.buffers()]
    with pytest.raises(ValueError, match=r"its buffer parametrizations\.weight.* changes \(call model.eval\(\)\)"):
        check_deterministic(normed, torch.ones(4, 30))
    assert all(torch.equal(now, then) for now, then in zip(normed.buffers(), vectors, strict=True))
    assert check_deterministic(normed.eval(), torch.ones(4, 30)).shape == (4, 20)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.MultiheadAttention(4, 2, dropout=0.1), "it is a MultiheadAttention with dropout 0.1 in training mode"),
        (nn.LSTM(4, 2, num_layers=2, dropout=0.2), "it is a LSTM with dropout 0.2 in training mode"),
        (nn.Sequential(nn.Linear(2, 2), nn.RReLU()), "1 is a RReLU in training mode"),
        (nn.Sequential(nn.FractionalMaxPool2d(2, output_size=2)).eval(), "draws its regions anew at every pass"),
        (nn.Embedding(4, 2, max_norm=1.0), "it is an Embedding with max_norm, which changes weights"),
        (nn.Embedding(4, 2, scale_grad_by_freq=True), "scale_grad_by_freq, whose gradient is not the loss's"),
        (nn.Linear(2, 2, dtype=torch.complex64), "must have real weights; they are torch.complex64"),
    ],
)
def test_layers_that_are_no_functions_are_named(model, message):
    """Layers are refused by what they are, before any pass."""
    with pytest.raises(ValueError, match=message):
        FlatLoss(model, torch.zeros(1, 2), torch.zeros(1, 2))


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_weights_need_a_shape():
    """A lazy layer has no weights before its first call."""
    with pytest.raises(ValueError, match=r"whose weights have no shape yet \(call the model once with its inputs\)"):
        FlatLoss(nn.LazyLinear(2), torch.zeros(1, 2), torch.zeros(1, 2))


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([torch.zeros(2, 3)], "`inputs` must be a tensor with a row for each sample, .*; it holds a list"),
        ((torch.zeros(2, 3), torch.tensor(1.0)), "it holds a number"),
        ((), "`inputs` must hold at least one tensor"),
        ((torch.zeros(2, 3), torch.zeros(3)), "must have the same number of samples, at least one; they have 2, 3, 2"),
    ],
)
def test_inputs_that_are_no_samples_are_named(inputs, message):
    """Inputs are one tensor or a tuple of tensors, with a row for each sample."""
    with pytest.raises(ValueError, match=message):
        FlatLoss(nn.Linear(3, 2), inputs, torch.zeros(2, 2))


def test_masks_and_tokens_go_together():
    """A model of tokens and a mask has the loss that it has without the masked positions."""

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(5, 3)

        def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
            return (self.embedding(tokens) * seen[..., None]).sum(1)

    torch.manual_seed(0)
    model, tokens = Mean().double(), torch.tensor([[0, 1, 4], [2, 3, 4], [1, 1, 4]])
    seen, targets = tokens != 4, torch.ones(3, 3, dtype=torch.float64)
    weight = model.embedding.weight.detach()
    by_hand = 0.5 * sum((weight[row[:2]].sum(0) - 1.0).square().sum() for row in tokens)
    loss = FlatLoss(model, (tokens, seen), targets, chunk=2)
    assert float(loss(loss.initial)) == pytest.approx(float(by_hand), rel=1e-14)
    assert float(value_and_gradient(loss, loss.initial)[1].view(5, 3)[4].abs().max()) == 0.0
