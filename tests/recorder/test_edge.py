"""The edge clock: the curvature that an optimizer feels, and how many steps any stable schedule needs."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn, optim
from torch.nn.functional import cross_entropy

from speedlimits.bound import SpeedLimit
from speedlimits.recorder import Edge, EdgeReading, Recorder
from speedlimits.recorder.optimizers import stable_rate
from speedlimits.recorder.ritz import largest
from tests.recorder.loops import batches, mlp

pytestmark = pytest.mark.usefixtures("as_user")

OPTIMIZERS = {
    "SGD": lambda weights: optim.SGD(weights, lr=0.05, weight_decay=0.1),
    "momentum": lambda weights: optim.SGD(weights, lr=0.05, momentum=0.9, dampening=0.5),
    "groups": lambda weights: optim.SGD([{"params": weights[:2], "lr": 0.2}, {"params": weights[2:]}], lr=0.05),
    "Adam": lambda weights: optim.Adam(weights, lr=1e-3, weight_decay=0.1),
    "AdamW": lambda weights: optim.AdamW(weights, lr=1e-3, weight_decay=0.1, amsgrad=True),
    "RMSprop": lambda weights: optim.RMSprop(weights, lr=1e-3, momentum=0.5, centered=True),
    "Adagrad": lambda weights: optim.Adagrad(weights, lr=1e-2),
}


def batch(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """One batch, in the model's precision."""
    (inputs, labels), *_ = batches(1)
    return inputs.to(next(model.parameters()).dtype), labels


def train(model: nn.Module, optimizer: optim.Optimizer, steps: int, **options) -> Recorder:
    """Full-batch steps; the curvature is that of the same batch."""
    inputs, labels = batch(model)
    recorder = Recorder(**options).attach(optimizer)
    for _ in range(steps):
        loss = cross_entropy(model(inputs), labels)
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return recorder.finish()


def descend(curvatures: list[float], optimizer_of, steps: int, **options) -> tuple[Recorder, torch.Tensor]:
    """Descent on ½Σλθ² from θ = 1."""
    weights, factors = nn.Parameter(torch.ones(len(curvatures), dtype=torch.float64)), torch.tensor(curvatures).double()

    def loss() -> torch.Tensor:
        return 0.5 * (factors * weights.square()).sum()

    optimizer = optimizer_of([weights])
    recorder = Recorder(edge=Edge(loss, share=options.pop("share", 10.0)), **options).attach(optimizer)
    for _ in range(steps):
        value = loss()
        recorder.record(loss=value)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return recorder.finish(), weights.detach()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_curvature_is_that_of_the_optimizers_ruler(name):
    """λ_max of P⁻¹(H + decay), from torch's own Hessian and state: from below, to 2 %."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    weights = list(model.parameters())
    optimizer = OPTIMIZERS[name](weights)
    inputs, labels = batch(model)
    recorder = train(model, optimizer, 12, edge=Edge(lambda: cross_entropy(model(inputs), labels), share=100.0))
    shapes, names = [weight.shape for weight in weights], [name for name, _ in model.named_parameters()]

    def loss(vector: torch.Tensor) -> torch.Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        values = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return cross_entropy(torch.func.functional_call(model, values, (inputs,)), labels)

    here = torch.cat([weight.detach().reshape(-1) for weight in weights])
    hessian = torch.autograd.functional.hessian(loss, here, vectorize=True)
    rates = []
    for group in optimizer.param_groups:
        for weight in group["params"]:
            state = optimizer.state[weight]
            rate = torch.full_like(weight, group["lr"])
            if "exp_avg_sq" in state:
                mean = state.get("max_exp_avg_sq", state["exp_avg_sq"]) / (1 - 0.999**12)
                rate /= mean.sqrt() + 1e-8
            elif "square_avg" in state:
                rate /= (state["square_avg"] - state["grad_avg"] ** 2).sqrt() + 1e-8
            elif "sum" in state:
                rate /= state["sum"].sqrt() + 1e-10
            rates.append(rate.reshape(-1))
    if name in {"SGD", "Adam"}:
        hessian += 0.1 * torch.eye(len(here))
    root = torch.cat(rates).detach().sqrt()
    expected = float(torch.linalg.eigvalsh(root[:, None] * hessian * root)[-1])
    clock = max(group["lr"] for group in optimizer.param_groups)
    found = recorder.edge()
    assert found.times.size == 12
    assert 0.98 * expected <= found.curvatures[-1] * clock <= expected * (1 + 1e-9)


def test_at_the_edge_of_a_quadratic_no_step_is_left():
    """At η = 2/λ each step counts as one, N = N_edge; at a quarter of it four of them do."""
    for share, room in ((1.0, 1.0), (0.25, 4.0)):
        recorder, _ = descend([2.0], lambda weights, share=share: optim.SGD(weights, lr=share), 8)
        run = recorder.trajectory()
        np.testing.assert_allclose(run.edge_steps, run.steps / room, rtol=1e-12)
        np.testing.assert_allclose(run.headroom[1:], room, rtol=1e-12)
    # One mode goes straight to its end; by geometric moves (1 − ηλ)^k the pace is known.
    moves = 0.5 ** np.arange(8)
    limit = recorder.speed_limit(clock="edge").final
    assert limit.pace == pytest.approx(8 * np.sum(moves**2) / moves.sum() ** 2, rel=1e-12)
    assert str(limit).startswith("T = 2 steps, T_SL = ")


def test_a_straight_even_walk_meets_the_limit_by_its_edge():
    """Equal moves in a constant slope of a curved valley: N_edge = T_SL."""
    weights = nn.Parameter(torch.tensor([0.0, 0.0], dtype=torch.float64))

    def loss() -> torch.Tensor:
        return weights[0] + 1.5 * weights[1] ** 2

    optimizer = optim.SGD([weights], lr=0.1)
    recorder = Recorder(edge=Edge(loss, share=10.0)).attach(optimizer)
    for _ in range(20):
        value = loss()
        recorder.record(loss=value)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    limit = recorder.finish().speed_limit(clock="edge").final
    assert limit.time == pytest.approx(20 * 0.1 * 3.0 / 2, rel=1e-9)
    assert limit.inefficiency == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(
    "optimizer_of",
    [
        lambda weights, share: optim.SGD(weights, lr=share * 2.0),
        lambda weights, share: optim.SGD(weights, lr=share * 2 * 1.9, momentum=0.9),
        lambda weights, share: optim.SGD(weights, lr=share * 4 * 1.9, momentum=0.9, dampening=0.5),
        lambda weights, share: optim.SGD(weights, lr=share * 3.8 / 2.8, momentum=0.9, nesterov=True),
        lambda weights, share: optim.Adam(weights, lr=share * 38e100, eps=1e100),
        lambda weights, share: optim.RMSprop(weights, lr=share * 3e100, eps=1e100, momentum=0.5),
    ],
    ids=["plain", "momentum", "dampening", "Nesterov", "Adam", "RMSprop"],
)
def test_beyond_the_edge_steps_grow(optimizer_of):
    """A hair below the largest stable ηλ weights of curvature 1 decay, a hair above they grow."""
    for share, stable in ((0.99, True), (1.01, False)):
        weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimizer = optimizer_of([weight], share)
        scale = optimizer.param_groups[0].get("eps") or 1.0
        assert optimizer.param_groups[0]["lr"] / scale == pytest.approx(share * stable_rate([optimizer]), rel=1e-12)
        sizes = []
        for _ in range(1000):
            weight.grad = weight.detach().clone()
            optimizer.step()
            sizes.append(abs(float(weight.detach())))
        # Adam's first steps grow in any case, by its correction of the mean.
        assert (sizes[-1] < sizes[499]) == stable


@given(
    curvatures=arrays(float, 4, elements=st.floats(0.05, 50)),
    moves=arrays(float, (12, 2), elements=st.floats(-3, 3)),
    stability=arrays(float, 12, elements=st.floats(0.01, 1.0)),
)
def test_no_stable_schedule_takes_fewer_steps(curvatures, moves, stability):
    """With ηλ ≤ 2 in each step N ≥ N_edge; and T ≥ T_SL by that clock, whatever the path."""
    looks = np.array([0.0, 0.3, 0.7, 1.0])
    # A hundredth of the time a step, at most at the edge of the largest curvature.
    rates = stability * 2 / curvatures.max()
    times = np.concatenate([[0.0], rates.cumsum()])
    reading = EdgeReading(looks * times[-1], curvatures, np.full(4, 2.0), 0.0)
    lengths = np.linalg.norm(moves, axis=1)
    found = reading.columns(times, np.concatenate([[0.0], np.cumsum(lengths**2 / rates)]))
    assert found["edge_steps"][-1] <= 12 * (1 + 1e-9)
    limit = SpeedLimit(
        time=found["edge_steps"],
        w2_squared=np.concatenate([[0.0], np.sum(moves.cumsum(0) ** 2, 1)]),
        dissipation=found["edge_dissipation"],
        arc_length=np.concatenate([[0.0], lengths.cumsum()]),
    )
    assert limit.certified


def test_a_schedule_changes_the_steps_and_not_their_least_number():
    """One flow by two schedules: N_edge is that of the flow, ½∫λdt, to the steps' own error."""
    found = []
    for rates in (np.full(400, 0.005), np.linspace(0.009, 0.001, 400)):
        weights = nn.Parameter(torch.ones(2, dtype=torch.float64))
        factors = torch.tensor([3.0, 1.0], dtype=torch.float64)
        optimizer = optim.SGD([weights], lr=1.0)
        recorder = Recorder(edge=Edge(lambda: 0.5 * (factors * weights**2).sum(), share=1.0)).attach(optimizer)  # noqa: B023
        for rate in rates:
            optimizer.param_groups[0]["lr"] = float(rate)
            recorder.record(loss=0.0)
            weights.grad = factors * weights.detach()
            optimizer.step()
        found.append(recorder.finish().trajectory().edge_steps[-1])
    assert found == pytest.approx([3.0, 3.0], rel=1e-3)


def test_largest_not_largest_in_size():
    """Of −5, 1 and 2 it is 2; a product each for 40 other directions is not needed."""
    values = torch.cat([torch.tensor([-5.0, 2.0]), torch.linspace(0.0, 1.0, 40)]).double()
    start = torch.randn(42, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = largest(lambda vector: values * vector, start, tolerance=1e-10, products=30)
    assert found.value == pytest.approx(2.0, rel=1e-6)
    assert abs(float(found.vector[1])) == pytest.approx(1.0, rel=1e-4)
    assert found.products <= 30


def test_training_is_left_alone():
    """Dropout draws the same numbers, gradients stay, and weights have the same bits."""
    ends = []
    for looks in (False, True):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(10, 16), nn.Dropout(0.5), nn.Linear(16, 3))
        (inputs, labels), *_ = batches(1)
        edge = Edge(lambda: cross_entropy(model(inputs), labels), share=1.0) if looks else None  # noqa: B023
        train(model, optim.Adam(model.parameters(), lr=1e-2), 20, edge=edge)
        ends.append([weight.detach().clone() for weight in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_looks_are_paid_for():
    """After the first look each next one waits until all of them are 5 % of the gradients, at a quarter batch."""
    model = mlp()
    (inputs, labels), *_ = batches(1)
    part = inputs[:8], labels[:8]
    edge = Edge(lambda: cross_entropy(model(part[0]), part[1]), cost=0.25)
    recorder = train(model, optim.SGD(model.parameters(), lr=0.05), 400, edge=edge)
    found = recorder.edge()
    assert found.times[0] == pytest.approx(10 * 0.05, rel=1e-12)
    assert found.times.size >= 4
    # The last look may have come just now: at most 9 gradients of a quarter batch.
    assert found.share <= 0.05 + 9 * 0.25 / 400
    assert "looks took" in str(found)


def test_the_end_is_looked_at():
    """One look by default in forty steps, and one at the end, where the valley is narrower; none without a loss."""
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = optim.SGD([weight], lr=0.01)
    # The curvature 12θ² − 3 grows with θ.
    recorder = Recorder(edge=lambda: (weight**4 - 1.5 * weight**2 - 6.0 * weight).sum()).attach(optimizer)
    for _ in range(40):
        value = (weight**4 - 1.5 * weight**2 - 6.0 * weight).sum()
        recorder.record(loss=value)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    recorder.finish()
    np.testing.assert_allclose(recorder.edge().times, [0.1, 0.4], rtol=1e-12)
    end = float(weight.detach())
    assert recorder.edge().curvatures[-1] == pytest.approx(12 * end**2 - 3, rel=1e-9)
    assert recorder.trajectory().least_headroom == pytest.approx(2 / (0.01 * (12 * end**2 - 3)), rel=0.05)
    assert train(mlp(), optim.SGD(mlp().parameters(), lr=0.1), 12).edge().times.size == 0


def test_resumed_looks_are_the_uninterrupted_ones():
    """Stopped, written, read and gone on with, the same bits; without the function, what was seen stays."""
    options = {"edge": None}

    def start() -> tuple[nn.Module, optim.Optimizer, Recorder]:
        torch.manual_seed(0)
        model = mlp()
        optimizer = optim.Adam(model.parameters(), lr=1e-2)
        (inputs, labels), *_ = batches(1)
        options["edge"] = Edge(lambda: cross_entropy(model(inputs), labels), share=0.5)
        return model, optimizer, Recorder(**options).attach(optimizer)

    def go_on(model, optimizer, recorder, steps) -> None:
        for inputs, labels in batches(steps):
            loss = cross_entropy(model(inputs), labels)
            recorder.record(loss=loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    whole, first, second = start(), start(), start()
    go_on(*whole, 60)
    go_on(*whole, 60)
    go_on(*first, 60)
    file = io.BytesIO()
    torch.save([each.state_dict() for each in first], file)
    file.seek(0)
    for each, state in zip(second, torch.load(file, weights_only=True), strict=True):
        each.load_state_dict(state)
    go_on(*second, 60)
    ends = [each[-1].finish() for each in (whole, second)]
    assert ends[0].edge().times.size > 3
    for name in ("edge_steps", "edge_dissipation"):
        np.testing.assert_array_equal(*(getattr(each.trajectory(), name) for each in ends))
    read = Recorder()
    read.load_state_dict(ends[1].state_dict())
    np.testing.assert_array_equal(read.edge().curvatures, ends[0].edge().curvatures)


def test_a_later_start_has_the_clock_too():
    """N_edge from there on."""
    recorder, _ = descend([2.0], lambda weights: optim.SGD(weights, lr=0.25), 16, snapshot_growth=1.5)
    run = recorder.trajectory()
    record = int(run.snapshot_records[3])
    assert run.from_start(float(run.times[record])).edge_steps[-1] == pytest.approx((16 - record) / 4, rel=1e-12)


def test_without_curvature_there_is_no_clock():
    """Downhill on a saddle all rates are stable: no steps are needed, and what they spend by that clock is unknown."""
    recorder, _ = descend([-1.0], lambda weights: optim.SGD(weights, lr=0.1), 4)
    limit = recorder.speed_limit(clock="edge").final
    assert limit.time == 0
    assert np.isnan(recorder.trajectory().headroom).all()
    with pytest.raises(ValueError, match=r"`clock` must be one that was recorded; clock = 'edge', which"):
        train(mlp(), optim.SGD(mlp().parameters(), lr=0.1), 2).speed_limit(clock="edge")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: optim.SGD(w, lr=0.1, maximize=True), "whose edge is known, one of SGD, .*; found maximize"),
        (lambda w: optim.NAdam(w), "found NAdam"),
        (lambda w: optim.Adagrad(w, lr_decay=0.1), "found lr_decay"),
        (
            lambda w: optim.SGD([{"params": w[:1], "momentum": 0.5}, {"params": w[1:]}], lr=0.1),
            r"one momentum for all groups; the largest stable ηλ are \[2.0, 3.0\]",
        ),
    ],
)
def test_optimizers_whose_edge_is_not_known(make, message):
    """They are refused in one line when the recorder is attached, and left without hooks."""
    optimizer = make(list(mlp().parameters()))
    with pytest.raises(ValueError, match=f"`edge` needs .*{message}"):
        Recorder(edge=lambda: torch.zeros(())).attach(optimizer)
    assert not optimizer._optimizer_step_pre_hooks


def test_losses_that_are_none():
    """A number is no function, and a loss must depend on the weights."""
    with pytest.raises(ValueError, match="`edge` must be a function that gives a loss; it is a float"):
        Recorder(edge=1.0)
    with pytest.raises(ValueError, match="`share` must be positive"):
        Edge(lambda: torch.zeros(()), share=0.0)
    model = mlp()
    with pytest.raises(ValueError, match="`edge` must give a loss of the weights that are trained; it depends on none"):
        train(model, optim.SGD(model.parameters(), lr=0.1), 20, edge=lambda: torch.zeros(()))
