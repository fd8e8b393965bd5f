"""The kernel in blocks and by layers, against dense Jacobians of autograd and finite differences."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from speedlimits.kernel.empirical import eigenmodes, empirical_kernel, kernel_drift
from speedlimits.kernel.factors import Jacobian
from speedlimits.kernel.function import WeightFunction
from speedlimits.models.fcn import FCN
from tests.kernel.models import CASES, Waves, inputs, kinked, seeded


def jacobian(model: nn.Module, x: torch.Tensor) -> np.ndarray:
    """Rows of J over (sample, output), by autograd's own dense Jacobian."""
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}

    def outputs(*values: torch.Tensor) -> torch.Tensor:
        return functional_call(model, dict(zip(weights, values, strict=True)), (x,)).reshape(-1)

    pieces = torch.autograd.functional.jacobian(outputs, tuple(w.detach() for w in weights.values()))
    return torch.cat([piece.flatten(1) for piece in pieces], dim=1).numpy()


@pytest.mark.parametrize("case", CASES)
def test_kernel_is_that_of_the_dense_jacobian(case):
    """Θ = JJᵀ to 1e-10 for weights of every kind, between training samples and with others."""
    build, shape = CASES[case]
    model, x, others = seeded(build()), inputs(*shape), inputs(3, *shape[1:], seed=2)
    rows = jacobian(model, x)
    np.testing.assert_allclose(empirical_kernel(model, x), rows @ rows.T, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        empirical_kernel(model, x, others), rows @ jacobian(model, others).T, rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("case", ["dense with bias", "convolutional", "few positions", "sequence"])
def test_pairings_are_parts_of_the_whole(case):
    """Per-output kernels are diagonal blocks of the full one, the traced kernel their sum; memory changes nothing."""
    build, shape = CASES[case]
    model, x = seeded(build()), inputs(*shape)
    n = len(x)
    whole = empirical_kernel(model, x)
    full = whole.reshape(n, len(whole) // n, n, -1)
    each = empirical_kernel(model, x, outputs="each", memory=1.0)
    np.testing.assert_allclose(each, np.einsum("iojo->oij", full), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(empirical_kernel(model, x, outputs="trace"), each.sum(axis=0), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(empirical_kernel(model, x, memory=1.0), whole, rtol=1e-12, atol=1e-14)
    assert (whole == whole.T).all()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("outputs", ["all", "each", "trace"])
def test_kernel_by_float32_passes_is_off_by_their_rounding(case, outputs):
    """Weights of every kind, in one block and in many: within 1e-6 in norm, symmetric to the last bit, in float64."""
    build, shape = CASES[case]
    model, x, others = seeded(build()), inputs(*shape), inputs(3, *shape[1:], seed=2)
    for columns, memory in ((None, None), (None, 1.0), (others, None)):
        exact = empirical_kernel(model, x, columns, outputs=outputs)
        found = empirical_kernel(model, x, columns, outputs=outputs, memory=memory, dtype=torch.float32)
        assert found.dtype == np.float64
        assert 0 < np.linalg.norm(found - exact) < 1e-6 * np.linalg.norm(exact)
        assert columns is not None or (found == np.matrix_transpose(found)).all()


def test_memory_stays_within_what_is_given():
    """Fifty images whose layers' factors have 0.3 GB: beside the kernel, no more than twice the 64 MB it was given."""
    code = """
import resource, torch
from speedlimits.kernel.empirical import empirical_kernel
from speedlimits.models.myrtle import Myrtle5
model = Myrtle5(3, 10, width=16, generator=torch.Generator().manual_seed(0))
x = torch.ones(50, 3, 32, 32, dtype=torch.float64)
empirical_kernel(model, x[:2])
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
kernel = empirical_kernel(model, x, memory=6.4e7)
print(peak() - before - kernel.nbytes)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(process.stdout) < 2 * 6.4e7


def test_layers_are_taken_apart_only_where_that_is_right():
    """Shared and scaled layers have factors; transposed uses, grouped convolutions and norms go sample by sample."""
    found = {}
    for case in ("shared", "convolutional", "samples second", "myrtle", "scaled"):
        build, shape = CASES[case]
        jacobian = Jacobian(WeightFunction(seeded(build())), inputs(*shape))
        found[case] = [(f.inputs is None, f.gradients.shape[2]) for f in jacobian.factors(inputs(*shape))]
    # (sample by sample?, positions)
    assert found["shared"] == [(False, 2), (True, 1)]
    assert found["convolutional"] == [(False, 64), (False, 1), (False, 1), (True, 1)]
    assert found["samples second"] == [(False, 1), (True, 1)]
    assert found["myrtle"] == [(False, 64), (False, 64), (False, 16), (False, 4), (False, 1)]
    assert found["scaled"] == [(False, 5), (False, 4), (False, 2)]


def test_kernel_is_that_of_finite_differences():
    """Θu by moving the weights along Jᵀu, a central difference of second order, on the convolutional network."""
    build, shape = CASES["convolutional"]
    model, x = seeded(build()), inputs(*shape)
    direction = inputs(len(x), 3, seed=3)
    weights = dict(model.named_parameters())
    gradients = torch.autograd.grad((direction * model(x)).sum(), list(weights.values()))

    def moved(step: float) -> torch.Tensor:
        return functional_call(
            model, {name: w + step * g for (name, w), g in zip(weights.items(), gradients, strict=True)}, (x,)
        ).detach()

    step = 1e-6
    difference = (moved(step) - moved(-step)).flatten().numpy() / (2 * step)
    # Rounding over the step bounds what the difference can show.
    np.testing.assert_allclose(empirical_kernel(model, x) @ direction.flatten().numpy(), difference, rtol=1e-7)


def test_frozen_weights_are_no_part_of_the_kernel():
    """Only trainable weights move: the kernel of a net with one layer frozen is that of the other."""
    model = seeded(CASES["dense with bias"][0]())
    whole, x = empirical_kernel(model, inputs(7, 6)), inputs(7, 6)
    model[0].weight.requires_grad_(False)
    model[0].bias.requires_grad_(False)
    rows = jacobian(model, x)
    np.testing.assert_allclose(empirical_kernel(model, x), rows @ rows.T, rtol=1e-10, atol=1e-12)
    assert np.trace(rows @ rows.T) < np.trace(whole)


def test_snapshot_weights_take_the_place_of_the_models_own():
    """A kernel at other weights is the kernel of a model that has them; the model itself is left alone."""
    build, shape = CASES["dense with bias"]
    model, later, x = seeded(build()), seeded(build(), seed=5), inputs(*shape)
    snapshot = {name: weight.detach().float().numpy() for name, weight in later.named_parameters()}
    later.float().double()
    found = empirical_kernel(model, x, weights=snapshot)
    np.testing.assert_allclose(found, empirical_kernel(later, x), rtol=1e-13)
    assert not np.allclose(found, empirical_kernel(model, x))


def test_single_precision_models_have_double_precision_kernels():
    """A float32 network's kernel is exactly that of the same weights in float64."""
    build, shape = CASES["convolutional"]
    model, x = seeded(build()).float(), inputs(*shape).float()
    found = empirical_kernel(model, x)
    np.testing.assert_array_equal(found, empirical_kernel(model.double(), x.double()))


def test_eigenmodes_put_the_kernel_together_again():
    """Θ = Σ λ u uᵀ with the largest first; a kernel of too few weights has its zero eigenvalues at zero, not below."""
    model = nn.Linear(3, 2, dtype=torch.float64)
    kernel = empirical_kernel(model, inputs(6, 3))
    eigenvalues, vectors = eigenmodes(kernel)
    np.testing.assert_allclose((vectors * eigenvalues) @ vectors.T, kernel, atol=1e-13)
    assert (np.diff(eigenvalues) <= 0).all()
    # 8 weights against 12 pairs.
    assert eigenvalues[7] > 1e-3
    assert eigenvalues[8:].max() < 1e-13


def test_drift_is_one_less_the_cosine():
    """0 for a rescaled kernel, 1 for kernels with nothing in common, and small drifts to full precision."""
    kernel = np.diag([3.0, 4.0, 0.0])
    assert kernel_drift(kernel, 7 * kernel) < 1e-15
    assert kernel_drift(kernel, np.diag([0.0, 0.0, 2.0])) == pytest.approx(1.0, rel=1e-12)
    angle = 1e-6
    turned = 5 * np.diag([0.6 * np.cos(angle) - 0.8 * np.sin(angle), 0.8 * np.cos(angle) + 0.6 * np.sin(angle), 0.0])
    assert kernel_drift(kernel, turned) == pytest.approx(angle**2 / 2, rel=1e-8, abs=0.0)


def exploding() -> nn.Module:
    model = seeded(nn.Sequential(nn.Linear(6, 2)))
    model[0].bias.data[1] = torch.inf
    return model


@pytest.mark.parametrize(
    ("model", "x", "options", "message"),
    [
        (nn.Sequential(nn.Linear(6, 2), nn.BatchNorm1d(2)), inputs(3, 6), {}, "1 is a BatchNorm1d in training mode"),
        (nn.Linear(6, 2), inputs(0, 6), {}, r"`inputs` must hold at least one sample; inputs.shape = \(0, 6\)"),
        (exploding(), inputs(3, 6), {}, "`model` must have finite outputs; output 1 of sample 0 is inf"),
        (
            kinked(),
            torch.zeros(3, 2, dtype=torch.float64),
            {},
            "`model` must have finite derivatives; for sample 0 they are not",
        ),
        (nn.ReLU(), inputs(3, 6), {}, "`model` must have trainable weights; it has none"),
        (nn.Linear(6, 2), inputs(3, 6), {"outputs": "some"}, "`outputs` must be one of 'all', 'each', 'trace'"),
        (nn.Linear(6, 2), inputs(3, 6), {"memory": 0.0}, "`memory` must be positive and finite; memory = 0"),
        (
            nn.Linear(6, 2),
            inputs(3, 6),
            {"weights": {"wieght": np.zeros(2)}},
            "`weights` must be one of 'weight', 'bias'",
        ),
        (nn.Linear(6, 2), inputs(3, 6), {"weights": {"bias": np.zeros(3)}}, r"bias has \(3,\), the model \(2,\)"),
        (
            nn.Linear(6, 2),
            inputs(3, 6),
            {"dtype": torch.float16},
            "`dtype` must be one of torch.float64, torch.float32",
        ),
        (
            nn.Sequential(nn.Linear(6, 2), Waves()),
            inputs(3, 6),
            {"dtype": torch.float32},
            "`dtype` must be torch.float64 for this model: the kernel of four samples in float32 is off by ",
        ),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(model, x, options, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        empirical_kernel(model, x, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: eigenmodes(np.diag([1.0, -0.5])), r"`kernel` must have no negative eigenvalue; its smallest is -0.5"),
        (lambda: eigenmodes(np.array([[1.0, 2.0], [0.0, 1.0]])), r"`kernel` must be symmetric; kernel\[0, 1\] = 2"),
        (lambda: eigenmodes(np.ones((2, 3))), r"`kernel` must have shape \(2, 2\)"),
        (lambda: kernel_drift(np.eye(2), np.eye(3)), r"`later` must have shape \(2, 2\)"),
        (lambda: kernel_drift(np.eye(2), 0 * np.eye(2)), "`later` must not be zero everywhere"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_matrices_are_named(call, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        call()


def test_fcn_in_ntk_parametrisation_has_the_infinite_width_kernel():
    """One hidden ReLU layer: Θ tends to the arc-cosine kernels κ₁ + uᵀv κ₀ (Cho and Saul 2009), errors ∝ width^−½."""
    x = inputs(6, 8, seed=4)
    x /= torch.linalg.vector_norm(x, dim=1, keepdim=True)
    cosine = (x @ x.T).numpy().clip(-1, 1)
    angle = np.arccos(cosine)
    half = (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi)
    expected = (half + cosine * (np.pi - angle) / (2 * np.pi)) / 8
    widths, errors = np.array([64, 256, 1024, 4096]), []
    for width in widths:
        kernels = [
            empirical_kernel(
                FCN(8, 1, width=int(width), depth=1, activation="relu", generator=torch.Generator().manual_seed(seed)),
                x,
            )
            for seed in range(8)
        ]
        errors.append(np.sqrt(np.mean([np.sum((kernel - expected) ** 2) for kernel in kernels])))
    rate = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert rate == pytest.approx(-0.5, abs=0.15)
