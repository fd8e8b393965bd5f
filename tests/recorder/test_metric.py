"""The path by the optimizer's own ruler, beside sums by hand, a change of coordinates, and numpy's singular values."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn.functional import cross_entropy

from speedlimits.recorder import Recorder
from tests.recorder.loops import batches, mlp

pytestmark = pytest.mark.usefixtures("as_user")
Make = Callable[[Any], Any]


def train(
    recorder: Recorder,
    model: nn.Module,
    optimizers: list[Any],
    steps: int = 30,
    seen: Callable[[], None] = lambda: None,
) -> Recorder:
    """A loop that shows each state to `seen`."""
    recorder.attach(*optimizers)
    dtype = next(model.parameters()).dtype
    for inputs, labels in batches(steps, dtype):
        loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        seen()
        model.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    seen()
    return recorder.finish()


def numbers(weights: list[Tensor]) -> np.ndarray:
    return torch.cat([weight.detach().double().flatten() for weight in weights]).numpy().copy()


def by_hand(path: np.ndarray, clocks: np.ndarray) -> tuple[float, float]:
    """Dissipation and the least, from places and from each step's clocks."""
    spent = np.sum(np.diff(path, axis=0) ** 2 / clocks)
    return float(spent), float(np.sum((path[-1] - path[0]) ** 2 / clocks.sum(0)))


def adam(optimizer: Any, weight: Tensor, squares: Tensor, step: int) -> Tensor:
    """Adam's second moment from the gradient alone."""
    group = optimizer.param_groups[0]
    decay = group["betas"][1]
    squares.mul_(decay).add_((1 - decay) * weight.grad.double().square())  # type: ignore[union-attr]
    return group["lr"] / ((squares / (1 - decay**step)).sqrt() + group["eps"])


def amsgrad(optimizer: Any, weight: Tensor, squares: Tensor, step: int) -> Tensor:
    """The largest second moment so far; `squares` is what its mean over time was, the largest is kept beside it."""
    adam(optimizer, weight, squares, step)
    largest = vars(squares).setdefault("largest", torch.zeros_like(squares))
    largest.copy_(torch.maximum(largest, squares))
    group = optimizer.param_groups[0]
    return group["lr"] / ((largest / (1 - group["betas"][1] ** step)).sqrt() + group["eps"])


def centred(optimizer: Any, weight: Tensor, squares: Tensor, step: int) -> Tensor:
    """RMSprop by the variance of gradients; their mean is kept beside their squares."""
    rmsprop(optimizer, weight, squares, step)
    mean = vars(squares).setdefault("mean", torch.zeros_like(squares))
    mean.mul_(0.99).add_(0.01 * weight.grad.double())  # type: ignore[union-attr]
    return optimizer.param_groups[0]["lr"] / ((squares - mean.square()).sqrt() + 1e-8)


def adagrad(optimizer: Any, weight: Tensor, squares: Tensor, step: int) -> Tensor:
    squares.add_(weight.grad.double().square())  # type: ignore[union-attr]
    return optimizer.param_groups[0]["lr"] / (squares.sqrt() + 1e-10)


def rmsprop(optimizer: Any, weight: Tensor, squares: Tensor, step: int) -> Tensor:
    squares.mul_(0.99).add_(0.01 * weight.grad.double().square())  # type: ignore[union-attr]
    return optimizer.param_groups[0]["lr"] / (squares.sqrt() + 1e-8)


def adamax(optimizer: Any, weight: Tensor, squares: Tensor, step: int) -> Tensor:
    squares.copy_(torch.maximum(0.999 * squares, weight.grad.double().abs() + 1e-8))  # type: ignore[union-attr]
    return optimizer.param_groups[0]["lr"] / squares


@pytest.mark.parametrize(
    ("make", "clock", "ruler"),
    [
        (lambda weights: optim.Adam(weights, lr=1e-2), adam, "clocks η/(√v̂ + ε)"),
        (lambda weights: optim.AdamW(weights, lr=1e-2, foreach=True), adam, "clocks η/(√v̂ + ε)"),
        (lambda weights: optim.Adam(weights, lr=1e-2, fused=True), adam, "clocks η/(√v̂ + ε)"),
        (lambda weights: optim.Adam(weights, lr=1e-2, amsgrad=True), amsgrad, "clocks η/(√v̂ + ε)"),
        (lambda weights: optim.NAdam(weights, lr=1e-3), adam, "clocks η/(√v̂ + ε)"),
        (lambda weights: optim.Adagrad(weights, lr=1e-2), adagrad, "clocks η/(√Σg² + ε)"),
        (lambda weights: optim.RMSprop(weights, lr=1e-3), rmsprop, "clocks η/(√v + ε)"),
        (lambda weights: optim.RMSprop(weights, lr=1e-3, centered=True), centred, "clocks η/(√v + ε)"),
        (lambda weights: optim.Adamax(weights, lr=1e-3), adamax, "clocks η/max|g|"),
    ],
    ids=["Adam", "AdamW", "fused", "AMSGrad", "NAdam", "Adagrad", "RMSprop", "centred", "Adamax"],
)
def test_clocks_of_each_weight_are_the_optimizers(make: Make, clock: Callable[..., Tensor], ruler: str):
    """Clocks found again from the gradients, without the optimizer's state, give the same sums."""
    model = mlp(torch.float64)
    weights = list(model.parameters())
    optimizer = make(weights)
    path, clocks = [], []
    squares = [torch.zeros_like(weight) for weight in weights]

    def seen() -> None:
        path.append(numbers(weights))

    def after(*_: Any) -> None:
        step = len(clocks) + 1
        each = [clock(optimizer, weight, mean, step).detach() for weight, mean in zip(weights, squares, strict=True)]
        clocks.append(torch.cat([one.flatten() for one in each]).numpy())

    optimizer.register_step_post_hook(after)
    found = train(Recorder(own_metric=True), model, [optimizer], seen=seen).own_metric()
    spent, least = by_hand(np.array(path), np.array(clocks))
    assert found.ruler == ruler
    assert found.dissipation == pytest.approx(spent, rel=1e-10)
    assert found.least == pytest.approx(least, rel=1e-10)
    assert found.inefficiency > 1
    assert found.speed_limit == pytest.approx(found.time / found.inefficiency)


def test_one_rate_is_the_limit_itself():
    """With one clock for all weights the ruler is the usual one."""
    model = mlp()
    recorder = train(Recorder(own_metric=True), model, [optim.SGD(model.parameters(), lr=0.1, momentum=0.5)])
    limit, found = recorder.speed_limit().final, recorder.own_metric()
    assert found.inefficiency == pytest.approx(float(limit.inefficiency), rel=1e-12)
    assert found.speed_limit == pytest.approx(float(limit.speed_limit), rel=1e-12)
    assert str(found) in recorder.verdict()


def test_fixed_clocks_are_a_change_of_coordinates():
    """Rates that differ from weight to weight: in coordinates θ/√rate it is the usual limit of plain descent."""
    model = mlp(torch.float64)
    weights = list(model.parameters())
    rates = [0.02 * (place + 1) for place in range(len(weights))]
    scaled = Recorder(snapshot_growth=None)
    groups = [{"params": [weight], "lr": rate} for weight, rate in zip(weights, rates, strict=True)]
    steps = 0

    def seen() -> None:
        nonlocal steps
        place = torch.cat(
            [weight.detach().flatten() / math.sqrt(rate) for weight, rate in zip(weights, rates, strict=True)]
        )
        scaled.record(time=float(steps), loss=math.nan, model=place)
        steps += 1

    found = train(Recorder(own_metric=True), model, [optim.SGD(groups)], seen=seen).own_metric()
    assert found.ruler == "each group's own rate"
    assert found.inefficiency == pytest.approx(float(scaled.speed_limit().final.inefficiency), rel=1e-12)


def test_muon_and_adam_each_by_its_own():
    """Matrices by spectral and nuclear norms (numpy's singular values), the rest by Adam's clocks; the sums are one."""
    model = mlp(torch.float64)
    matrices = [weight for weight in model.parameters() if weight.ndim == 2]
    rest = [weight for weight in model.parameters() if weight.ndim < 2]
    places: list[list[np.ndarray]] = []
    gradients: list[list[np.ndarray]] = []

    def seen() -> None:
        places.append([weight.detach().numpy().copy() for weight in matrices])
        # Those of the step before.
        gradients.append([weight.grad.numpy().copy() for weight in matrices if weight.grad is not None])

    recorder = train(
        Recorder(own_metric=True), model, [optim.Muon(matrices, lr=1e-2), optim.AdamW(rest, lr=2e-3)], seen=seen
    )
    # The rest moves the same, measured alone.
    alone = Recorder(own_metric=True)
    model = mlp(torch.float64)
    others = optim.Muon([weight for weight in model.parameters() if weight.ndim == 2], lr=1e-2)
    model_rest = optim.AdamW([weight for weight in model.parameters() if weight.ndim < 2], lr=2e-3)
    model_rest.register_step_post_hook(lambda *_: others.step())
    alone = train(alone, model, [model_rest]).own_metric()
    spent, least = alone.dissipation, alone.least
    for place in range(len(matrices)):
        path = np.array([each[place] for each in places])
        norms = np.linalg.svd(np.diff(path, axis=0), compute_uv=False)[:, 0]
        found = np.array([each[place] for each in gradients[1:]])
        clocks = 1e-2 / np.linalg.svd(found, compute_uv=False).sum(1)
        spent += np.sum(norms**2 / clocks)
        least += np.linalg.svd(path[-1] - path[0], compute_uv=False)[0] ** 2 / clocks.sum()
    found = recorder.own_metric()
    assert found.ruler == "clocks η/(√v̂ + ε), spectral norm of each matrix"
    assert found.dissipation == pytest.approx(spent, rel=1e-10)
    assert found.least == pytest.approx(least, rel=1e-10)


def test_another_optimizer_takes_over():
    """Adam first, then Muon for the same matrices: each part has its own least, and both add up."""

    def loop(first: bool, second: bool) -> Recorder:
        model = mlp(torch.float64)
        matrices = [weight for weight in model.parameters() if weight.ndim == 2]
        recorder = Recorder(own_metric=True)
        optimizer: Any = optim.Adam(matrices, lr=1e-2)
        if first:
            recorder.attach(optimizer)
        for number, (inputs, labels) in enumerate(batches(30, torch.float64)):
            if number == 15:
                if first and not second:
                    break
                optimizer = optim.Muon(matrices, lr=1e-2)
                recorder.attach(optimizer)
            loss = cross_entropy(model(inputs), labels)
            if first or number >= 15:
                recorder.record(loss=loss)
            model.zero_grad()
            loss.backward()
            optimizer.step()
        return recorder.finish()

    whole, one, two = (loop(*parts).own_metric() for parts in ((True, True), (True, False), (False, True)))
    assert whole.ruler == "clocks η/(√v̂ + ε), spectral norm of each matrix"
    assert whole.dissipation == pytest.approx(one.dissipation + two.dissipation, rel=1e-12)
    assert whole.least == pytest.approx(one.least + two.least, rel=1e-12)


class SignSGD(optim.Optimizer):
    """Steps of one size."""

    def __init__(self, weights: Any, lr: float) -> None:
        super().__init__(weights, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for weight in group["params"]:
                weight -= group["lr"] * weight.grad.sign()


def test_signs_by_the_largest_weight():
    """Small steps by signs spend the loss drop, Ση|g|₁; on the diagonal of a quadratic T/T_SL is that of e^−t."""
    model = mlp(torch.float64)
    found = train(Recorder(own_metric=True), model, [SignSGD(model.parameters(), 1e-3)]).own_metric()
    assert found.ruler == "largest weight of each tensor"
    assert found.inefficiency >= 1
    weight = nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = SignSGD([weight], 1e-4)
    recorder = Recorder(own_metric=True, sketch=None).attach(optimizer)
    recorder.record(loss=0.0)
    for _ in range(5000):
        weight.grad = weight.detach().clone()
        optimizer.step()
    found = recorder.finish().own_metric()
    # From 1 to ½: ΔL = 2·(1 − ¼)/2, T = ½ln 2 by the norm's flow, ‖Δθ‖ = ½.
    assert found.dissipation == pytest.approx(0.75, rel=1e-3)
    assert found.least == pytest.approx(0.25 / (0.5 * math.log(2.0)), rel=1e-3)


@pytest.mark.parametrize("name", ["Adadelta", "Adafactor", "ASGD", "NAdam", "RAdam", "Rprop"])
def test_limit_holds_for_any_optimizer(name: str):
    """Whatever the clocks are, no path is faster than its limit."""
    model = mlp()
    assert (
        train(Recorder(own_metric=True), model, [getattr(optim, name)(model.parameters())]).own_metric().inefficiency
        >= 1
    )


def test_weights_that_join_and_rest():
    """A layer unfrozen half-way has its clock from then on; one that never moves spends nothing."""
    model = mlp(torch.float64)
    model[0].requires_grad_(False)
    model[2].requires_grad_(False)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    path: list[np.ndarray] = []

    def seen() -> None:
        path.append(numbers(list(model[2].parameters())))
        # The forward pass of the coming step is over: the first gradient comes with the 16th.
        model[2].requires_grad_(len(path) >= 15)

    found = train(Recorder(own_metric=True), model, [optimizer], seen=seen).own_metric()
    alone = mlp(torch.float64)
    alone[0].requires_grad_(False)
    head = alone[-1]
    assert isinstance(head, nn.Module)
    body = optim.SGD(head.parameters(), lr=0.1)
    other = optim.SGD(alone[2].parameters(), lr=0.1)
    taken = 0

    def step(*_: Any) -> None:
        nonlocal taken
        taken += 1
        if taken > 15:
            other.step()

    body.register_step_post_hook(step)
    rest = train(Recorder(own_metric=True), alone, [body]).own_metric()
    late = np.array(path)[15:]
    spent, least = by_hand(late, np.full((len(late) - 1, late.shape[1]), 0.1))
    assert found.dissipation == pytest.approx(rest.dissipation + spent, rel=1e-10)
    assert found.least == pytest.approx(rest.least + least, rel=1e-10)


def test_resumed_metric_has_the_same_bits(tmp_path):
    """Saved after ten steps and read by another recorder, it goes on to the same numbers."""

    def loop(cut: int | None) -> Recorder:
        model = mlp()
        optimizer = optim.Adam(model.parameters(), lr=1e-2)
        recorder = Recorder(own_metric=True).attach(optimizer)
        for number, (inputs, labels) in enumerate(batches(20)):
            if number == cut:
                torch.save(recorder.state_dict(), tmp_path / "state.pt")
                recorder.detach()
                recorder = Recorder().attach(optimizer)
                recorder.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
            loss = cross_entropy(model(inputs), labels)
            recorder.record(loss=loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return recorder.finish()

    whole = loop(None)
    assert loop(10).own_metric() == whole.own_metric()
    read = Recorder()
    read.load_state_dict(whole.state_dict())
    assert read.own_metric() == whole.own_metric()


def test_refusals_are_one_line():
    """Argument, rule and value."""
    with pytest.raises(
        ValueError, match=r"^`every` must be 1 with `own_metric`, whose clocks change in each step; every"
    ):
        Recorder(own_metric=True, every=4)
    with pytest.raises(
        ValueError, match=r"^`own_metric` must be True when the recorder is made; own_metric = False\.$"
    ):
        Recorder().own_metric()
    with pytest.raises(ValueError, match=r"^`own_metric` needs steps that were measured; there are none\.$"):
        Recorder(own_metric=True).own_metric()


def test_no_number_where_weights_stop_being_finite():
    """The verdict says so, and no NaN."""
    weights = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weights], lr=0.1)
    recorder = Recorder(own_metric=True).attach(optimizer)
    for step in range(4):
        recorder.record(loss=1.0)
        weights.grad = torch.full((3,), math.inf if step == 2 else 1.0)
        optimizer.step()
    recorder.finish()
    said = recorder.verdict()
    assert (
        "By the optimizer's own ruler (each group's own rate) there is no number: weights stopped being finite." in said
    )
    assert "nan" not in said
