"""Flows with exponential steps: as accurate as the others, cheaper where they are stiff, and refused where unfit."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from speedlimits.dynamics.descent import gradient_descent
from speedlimits.dynamics.flow.exponential import worth, worth_in_time
from speedlimits.dynamics.flow.gradient_flow import gradient_flow, init, integrate
from speedlimits.dynamics.loss import FlatLoss, cross_entropy
from speedlimits.dynamics.state import from_arrays, to_arrays
from speedlimits.measured import speed_limit
from speedlimits.models.fcn import FCN
from tests.dynamics.flow.test_gradient_flow import network, run


def overparametrised(activation: str = "tanh", *, dtype: torch.dtype = torch.float64) -> FlatLoss:
    """A network with many more weights than outputs of samples: its flow ends at zero loss."""
    return network(activation, samples=8, dtype=dtype)


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
@pytest.mark.parametrize("rtol", [1e-2, 1e-4, pytest.param(1e-6, marks=pytest.mark.slow)])
def test_promise_is_kept(activation, rtol):
    """|Δθ|², ΔL, ∫|v|²dt and arc length of stiff networks are within 10·rtol of `rock4` at every record."""
    loss = overparametrised(activation)
    exact = run(loss, 10.0, min(1e-5, rtol / 10), records=12, method="rock4")
    found = run(loss, 10.0, rtol, records=12, method="etd")
    for quantity in ("w2_squared", "loss_drop", "path_dissipation", "arc_lengths"):
        np.testing.assert_allclose(
            getattr(found, quantity)[1:], getattr(exact, quantity)[1:], rtol=10 * rtol, err_msg=quantity
        )
    certified = speed_limit(found, dissipation="loss_drop", tolerance=10 * rtol)
    assert np.all(np.asarray(certified.certified))


def test_stiffness_costs_next_to_nothing():
    """A hundred times the time at the same tolerance: `rkc2` takes five times the gradients, these a quarter more."""
    loss = overparametrised()
    costs = {
        method: [run(loss, time, 1e-3, records=2, method=method).gradient_evaluations[-1] for time in (30.0, 3000.0)]
        for method in ("rkc2", "etd")
    }
    assert costs["rkc2"][1] > 5 * costs["rkc2"][0]
    assert costs["etd"][1] < 1.25 * costs["etd"][0]
    assert costs["etd"][1] < costs["rkc2"][1] / 5


def test_jacobian_counts_as_its_outputs():
    """An exponential step of two outputs costs six gradients, with a Jacobian for two; four more if it is tried again.

    It is worth that from three stages on: steps of the Chebyshev method before, exponential ones after.
    """
    loss = overparametrised()
    assert worth(loss) == pytest.approx(6 / 2.5)
    before = init(loss, loss.initial, rtol=1e-3, method="etd")
    switched = False
    for state, _ in integrate(loss, loss.initial, before, [30.0], rtol=1e-3, method="etd"):
        if state.exponential > before.exponential:
            tries = 1 + state.rejections - before.rejections
            assert state.gradient_evaluations - before.gradient_evaluations == 2 + 4 * tries
            switched = True
        before = state
    assert switched


def test_cross_entropy_has_exponential_steps():
    """With the loss's own curvature in the outputs: the flow of `rock4`, for fewer gradients than `rkc2` takes."""
    network = overparametrised("gelu")
    classes = network.targets[:, 0].gt(0).long()
    loss = FlatLoss(network.model, network.inputs, classes, criterion=cross_entropy)
    exact = run(loss, 300.0, 1e-5, records=4, method="rock4")
    found = run(loss, 300.0, 1e-3, records=4, method="etd")
    for quantity in ("w2_squared", "loss_drop", "arc_lengths"):
        np.testing.assert_allclose(getattr(found, quantity)[1:], getattr(exact, quantity)[1:], rtol=1e-2)
    assert found.gradient_evaluations[-1] < run(loss, 300.0, 1e-3, records=4).gradient_evaluations[-1]


def test_records_change_nothing_and_keep_the_inequalities():
    """3 records or 101, the same end; between steps too T·∫|v|²dt ≥ l² ≥ |Δθ|², and the loss falls by ∫|v|²dt."""
    loss = overparametrised("gelu")
    few, many = (run(loss, 30.0, 1e-3, records=records, method="etd") for records in (3, 101))
    assert few.gradient_evaluations[-1] == many.gradient_evaluations[-1]
    np.testing.assert_array_equal(few.w2_squared[1:], many.w2_squared[1::50])
    limit = speed_limit(many)
    assert np.nanmin(limit.geometric) >= 1 - 1e-9
    assert np.nanmin(limit.pace) >= 1 - 1e-9
    assert np.all(np.diff(many.losses) <= 0)
    exact = run(loss, 30.0, 1e-4, records=101, method="rock4")
    np.testing.assert_allclose(many.loss_drop, exact.loss_drop, rtol=1e-2)


def test_float32_networks_have_exponential_steps():
    """The Jacobian is one of the float32 network, its eigenmodes are float64: the end is that of float64 to 1e-3."""
    single, double = overparametrised(dtype=torch.float32), overparametrised()
    found, exact = (run(loss, 300.0, 1e-3, records=2, method="etd") for loss in (single, double))
    assert found.w2_squared[-1] == pytest.approx(exact.w2_squared[-1], rel=1e-3)
    assert found.gradient_evaluations[-1] < 1.2 * exact.gradient_evaluations[-1]


@pytest.mark.parametrize("method", ["etd", "auto"])
def test_interrupted_flow_goes_on_to_the_same_bits(method):
    """From the state before the first exponential step, in arrays and back, the rest is bit-identical."""
    loss = overparametrised("gelu")
    times = np.linspace(0.0, 300.0, 9).tolist()
    start = init(loss, loss.initial, rtol=1e-3, method=method)
    whole = list(integrate(loss, loss.initial, start, times, rtol=1e-3, method=method))
    turn = next(place for place, (state, _) in enumerate(whole) if state.exponential) - 1
    for place in (turn, turn + 2):
        middle = from_arrays(start, to_arrays(whole[place][0]))
        rest = list(integrate(loss, loss.initial, middle, times, rtol=1e-3, method=method))
        assert len(rest) == len(whole) - place - 1
        for (state, points), (expected, expected_points) in zip(rest, whole[place + 1 :], strict=True):
            ours, theirs = to_arrays(state), to_arrays(expected)
            assert {name: array.tolist() for name, array in ours.items()} == {
                name: array.tolist() for name, array in theirs.items()
            }
            assert [point.record() for point in points] == [point.record() for point in expected_points]


def test_kinks_send_it_back():
    """ReLU, sliding along kinks: steps that fail are left to `rkc2`, and the end is that of descent to 2 %."""
    loss = network("relu")
    descent = gradient_descent(loss, loss.initial, [0.0, 3.0])
    found = run(loss, 3.0, 1e-2, method="etd")
    assert found.w2_squared[-1] == pytest.approx(descent.w2_squared[-1], rel=2e-2)
    assert found.gradient_evaluations[-1] < 3 * descent.gradient_evaluations[-1]


def test_auto_counts_what_a_step_takes():
    """Stages from which on a step is worth its time: more than by gradients alone, and far more for many outputs."""
    small, large = overparametrised(), network("tanh", samples=200)
    assert worth(small) < worth_in_time(small) < 10
    assert worth_in_time(large) > 20 * worth_in_time(small)


def test_auto_is_the_stabilised_method_where_no_exponential_step_is():
    """A plain function has no outputs, and 400 outputs of samples cost more than a short flow: the bits of `rkc2`."""
    small, large = overparametrised(), network("tanh", samples=200)
    for loss, theta0 in ((lambda theta: small(theta), small.initial), (large, large.initial)):
        ends = [gradient_flow(loss, theta0, [0.0, 1.0], rtol=1e-2, method=method) for method in ("auto", "rkc2")]
        assert ends[0].w2_squared[-1] == ends[1].w2_squared[-1]
    assert worth_in_time(lambda theta: small(theta)) == math.inf


class Mixing(nn.Module):
    """Each sample's outputs depend on all."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 2, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs."""
        return self.dense(x - x.mean(0))


def test_unfit_losses_are_refused_in_one_line():
    """A function without outputs, a mean over samples, a model that mixes them, and matrices larger than the memory."""
    loss = overparametrised()
    mean = FlatLoss(loss.model, loss.inputs, loss.targets, criterion=nn.functional.mse_loss)
    mixing = FlatLoss(Mixing(), loss.inputs, loss.targets)
    many = torch.randn(17_000, 5, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    model = FCN(5, 1, width=4, depth=1, activation="tanh", generator=generator).double()
    for unfit, words in (
        (lambda theta: theta.square().sum(), "`loss` must be a FlatLoss for the method 'etd'; it is a function."),
        (mean, "`loss` must be a sum over samples, each of its own outputs, for the method 'etd'; the gradient of"),
        (mixing, "`loss` must be a sum over samples, each of its own outputs, for the method 'etd'; the gradient of"),
        (
            FlatLoss(model, many, many[:, :1]),
            "`method` must not be 'etd' for 17,000 outputs of all samples and 24 weights: its matrices would take 2.2 "
            "GiB, more than 2.",
        ),
    ):
        theta0 = unfit.initial if isinstance(unfit, FlatLoss) else torch.ones(2, dtype=torch.float64)
        with pytest.raises(ValueError, match=re.escape(words)) as caught:
            gradient_flow(unfit, theta0, [0.0, 1.0], method="etd")
        assert "\n" not in str(caught.value)
