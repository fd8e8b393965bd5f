"""The recorder, against loops whose path is known and against the integrators."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from speedlimits.dynamics.descent import gradient_descent
from speedlimits.dynamics.loss import FlatLoss
from speedlimits.errors import DivergenceError
from speedlimits.models.fcn import FCN
from speedlimits.recorder import Recorder
from speedlimits.recorder.meter import PathMeter
from speedlimits.recorder.optimizers import momentum
from speedlimits.recorder.stretches import BLOCK


def network(seed: int = 0, dtype: torch.dtype = torch.float64) -> FCN:
    return FCN(5, 3, width=7, depth=2, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def data(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(9)
    return (
        torch.randn(20, 5, generator=generator, dtype=dtype),
        torch.randn(20, 3, generator=generator, dtype=dtype),
    )


def half_squared(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return 0.5 * (outputs - targets).square().sum()


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, record, every: int = 1) -> None:
    """A loop as users write it."""
    inputs, targets = (tensor.to(next(model.parameters()).dtype) for tensor in data())
    for step in range(steps + 1):
        optimizer.zero_grad()
        loss = half_squared(model(inputs), targets)
        if step % every == 0:
            record(step, loss)
        if step < steps:
            loss.backward()
            optimizer.step()


def test_attached_recorder_meets_the_integrator():
    """Plain SGD on the full batch IS gradient descent: the recorder and the integrator agree to rounding."""
    model, rate = network(), 2e-3
    loss = FlatLoss(model, *data())
    expected = gradient_descent(loss, loss.initial, rate * np.arange(51), learning_rate=rate)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    recorder = Recorder().attach(optimizer)
    train(model, optimizer, 50, lambda _, loss: recorder.record(loss=loss))
    found = recorder.trajectory()
    for field in ("times", "losses", "w2_squared", "arc_lengths", "path_dissipation"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), rtol=1e-11, atol=1e-15)
    # The last record sees no step, hence no gradient.
    np.testing.assert_allclose(found.step_gradients_squared[:-1], expected.gradient_norms_squared[:-1], rtol=1e-11)
    assert found.gradient_evaluations.tolist() == list(range(51))


def test_manual_and_attached_agree_when_every_step_is_recorded():
    """Attached or by hand, the recorder measures the same path."""
    runs = []
    for attached in (True, False):
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        recorder = Recorder().attach(optimizer) if attached else Recorder()

        def record(step, loss, model=model, recorder=recorder, attached=attached):
            where = {} if attached else {"time": 1e-3 * step, "model": model}
            recorder.record(loss=loss, **where)

        train(model, optimizer, 20, record)
        runs.append(recorder.trajectory())
    for field in ("losses", "w2_squared", "arc_lengths", "path_dissipation", "snapshot_distances_squared"):
        np.testing.assert_allclose(getattr(runs[0], field), getattr(runs[1], field), rtol=1e-10, atol=1e-18)


def test_sparse_records_keep_every_step():
    """Attached, arc length and dissipation count every step, however rarely the loop records."""
    dense, sparse = Recorder(), Recorder()
    for recorder, every in ((dense, 1), (sparse, 10)):
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=4e-3, momentum=0.9)
        recorder.attach(optimizer)
        train(model, optimizer, 40, lambda _, loss, r=recorder: r.record(loss=loss), every)
    assert len(sparse.trajectory()) == 5
    for field in ("arc_lengths", "path_dissipation", "w2_squared"):
        np.testing.assert_array_equal(
            getattr(sparse.trajectory(), field), getattr(dense.trajectory(), field)[::10], err_msg=field
        )


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_limit_holds_for_any_optimizer(name):
    """T ≥ |Δθ|²/(Σ|δ|²/Δt) by Cauchy–Schwarz: certified, with geometric ≥ 1 and pace ≥ 1."""
    model = network(1)
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=3e-3)
    recorder = Recorder().attach(optimizer)
    train(model, optimizer, 60, lambda _, loss: recorder.record(loss=loss))
    limit = recorder.speed_limit()
    assert limit.certified
    assert (limit.geometric[1:] >= 1 - 1e-12).all()
    assert (limit.pace[1:] >= 1 - 1e-12).all()


def test_one_record_is_no_limit_yet():
    """Where no time has passed, the verdict says so, and certifies nothing."""
    recorder = Recorder()
    recorder.record(time=0.0, loss=1.0, model=torch.zeros(3))
    assert recorder.verdict().splitlines()[0] == "T = 0: no time has passed, and there is no limit yet."


def test_records_by_hand_bound_the_path_from_below():
    """Two records of a descent show a straight line, all 1,001 its oscillation: 1,500 times slower than the limit.

    Both say that they are bounds and how many points they saw, in a later view too; attached, every step counts.
    """
    points = torch.tensor([1.0, 1.0]) * (1 - 0.015 * torch.tensor([1.0, 100.0])) ** torch.arange(1001.0)[:, None]
    runs = {}
    for every in (1000, 1):
        recorder = Recorder(triples=0)
        for k in range(0, 1001, every):
            recorder.record(time=0.015 * k, loss=0.0, model=points[k].double())
        runs[every] = recorder
    two, all_of_them = runs[1000], runs[1]
    assert two.speed_limit().final.inefficiency == pytest.approx(1)
    assert all_of_them.speed_limit().final.inefficiency == pytest.approx(1504, rel=1e-3)
    assert "at least 1 times slower than the limit, seen at 2 points" in str(two.speed_limit())
    assert "at least 1.5e+03 times slower than the limit, seen at 1001 points" in str(all_of_them.speed_limit())
    later = all_of_them.trajectory().from_start(3.84)
    assert later.start_time == pytest.approx(3.84)
    assert later.points[-1] == 1001 - 256
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    attached = Recorder().attach(optimizer)
    train(model, optimizer, 4, lambda _, loss: attached.record(loss=loss), every=4)
    assert "at least" not in str(attached.speed_limit())


def test_learning_rate_schedule_sets_the_time():
    """Time is the sum of the learning rates of the steps taken, zero ones included."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: k / 4)
    recorder = Recorder().attach(optimizer)

    def record(step, loss):
        recorder.record(loss=loss)
        if step:
            scheduler.step()

    train(model, optimizer, 4, record)
    # The four steps had 0, 1/4, 2/4 and 3/4 of 1e-3; after the first no time had passed: no new record.
    np.testing.assert_allclose(recorder.trajectory().times, [0, 0.25e-3, 0.75e-3, 1.5e-3])
    assert recorder.speed_limit().certified


def test_warm_start_is_the_path_from_its_snapshot():
    """`from_start` at a kept snapshot equals a recording that begins there."""
    model, rate = network(), 1e-3
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    recorder = Recorder(snapshot_growth=1.001).attach(optimizer)
    late = {}

    def record(step, loss):
        recorder.record(loss=loss)
        if step == 12:
            late["model"] = copy.deepcopy(model)

    train(model, optimizer, 30, record)
    warm = recorder.trajectory().from_start(12 * rate)
    assert warm.start_time == pytest.approx(12 * rate)
    optimizer = torch.optim.SGD(late["model"].parameters(), lr=rate)
    fresh = Recorder().attach(optimizer)
    train(late["model"], optimizer, 18, lambda _, loss: fresh.record(loss=loss))
    expected = fresh.trajectory()
    for field in ("times", "losses", "w2_squared", "arc_lengths", "path_dissipation"):
        np.testing.assert_allclose(getattr(warm, field), getattr(expected, field), rtol=1e-9, atol=1e-15)


def test_weight_traces_are_the_weights():
    """Fig. 1(c): the traced values are fixed weights of the model, first and last."""
    model = network()
    initial = torch.cat([weight.detach().reshape(-1).clone() for weight in model.parameters()])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    recorder = Recorder(triples=50, generator=np.random.default_rng(4)).attach(optimizer)
    train(model, optimizer, 5, lambda _, loss: recorder.record(loss=loss))
    final = torch.cat([weight.detach().reshape(-1) for weight in model.parameters()])
    places = np.random.default_rng(4).integers(initial.numel(), size=150)
    traces = recorder.trajectory().weight_traces.reshape(6, 150)
    np.testing.assert_array_equal(traces[0], initial.numpy()[places])
    np.testing.assert_array_equal(traces[-1], final.numpy()[places])


def test_half_precision_weights_are_summed_in_double():
    """Sums over float32 weights carry float64 digits: they equal NumPy's on the same numbers."""
    weight = torch.ones(100_000)
    recorder = Recorder(triples=0)
    recorder.record(time=0.0, loss=1.0, model=weight)
    moved = weight + 1e-3 * torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    recorder.record(time=1.0, loss=0.5, model=moved)
    expected = np.sum((moved.numpy().astype(np.float64) - 1.0) ** 2)
    assert recorder.trajectory().w2_squared[-1] == pytest.approx(expected, rel=1e-12)


def test_records_survive_many_batches():
    """More records than one batch come out complete and in order."""
    weight = torch.zeros(2, dtype=torch.float64)
    recorder = Recorder(triples=1, snapshot_growth=None)
    for k in range(2_345):
        recorder.record(time=float(k), loss=float(-k), model=weight + k)
    run = recorder.trajectory()
    np.testing.assert_array_equal(run.losses, -np.arange(2345.0))
    np.testing.assert_allclose(run.w2_squared, 2 * np.arange(2345.0) ** 2)
    assert run.snapshot_records.tolist() == [0, 2344]


def test_detached_recorder_measures_no_more():
    """After `detach` steps leave no trace."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    recorder = Recorder().attach(optimizer)
    train(model, optimizer, 2, lambda _, loss: recorder.record(loss=loss))
    before = recorder.trajectory()
    recorder.detach()
    train(model, optimizer, 2, lambda *_: None)
    assert recorder.trajectory().arc_lengths[-1] == before.arc_lengths[-1]


def test_loss_that_is_no_number_is_kept_as_one():
    """The record holds NaN, the sums go on, and the verdict says where."""
    recorder = Recorder()
    weight = torch.zeros(3)
    for k, loss in enumerate([1.0, torch.tensor(math.nan), math.inf, torch.tensor(0.25)]):
        recorder.record(time=0.5 * k, loss=loss, model=weight + k)
    run = recorder.trajectory()
    np.testing.assert_array_equal(run.losses, [1.0, math.nan, math.nan, 0.25])
    assert run.arc_lengths[-1] == pytest.approx(3 * math.sqrt(3))
    assert "The loss was not a number at time 0.5 and 1 more." in recorder.verdict()
    assert "The recorded loss went from 1 to 0.25" in recorder.verdict()


def test_path_ends_where_weights_stop_being_finite():
    """What was before stays readable."""
    recorder = Recorder()
    for k, place in enumerate([0.0, 1.0, math.nan, math.nan]):
        recorder.record(time=0.5 * k, loss=1.0, model=torch.full((3,), place))
    run = recorder.trajectory()
    assert len(run) == 2
    assert run.w2_squared[-1] == 3.0
    assert run.snapshot_records.tolist() == [0, 1]
    assert "stopped being finite between time 0.5 and 1" in recorder.verdict()


def test_motion_without_time_has_no_limit():
    """A step of zero length in time that moves the weights costs infinite dissipation, and is named."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    recorder = Recorder().attach(optimizer, time_step=iter([0.0, 1e-3, 1e-3]).__next__)
    train(model, optimizer, 3, lambda _, loss: recorder.record(loss=loss))
    with pytest.raises(DivergenceError, match="`path_dissipation` is inf"):
        recorder.trajectory()


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        ([{"loss": 1.0}], "`time` and `model` must be given"),
        ([{"loss": 1.0, "time": -1.0, "model": torch.zeros(2)}], "`time` must be non-negative and finite; time = -1"),
        ([{"loss": 1.0, "time": 1.0, "model": torch.zeros(2)}] * 2, r"`time` must grow.*time = 1 after 1"),
        (
            [{"loss": 1.0, "time": float(k), "model": torch.zeros(2 + k)} for k in range(2)],
            "`model` must have the same weights",
        ),
        ([{"loss": 1.0, "time": 0.0, "model": nn.ReLU()}], "`model` must have weights that require gradients"),
    ],
)
def test_bad_records_are_named(calls, message):
    """Argument, rule and value stand in the error."""
    recorder = Recorder()
    for call in calls[:-1]:
        recorder.record(**call)
    with pytest.raises(ValueError, match=message):
        recorder.record(**calls[-1])


def test_bad_attachments_are_named():
    """A rate of None has no time; only optimizers take steps; times come from them."""
    optimizer = torch.optim.SGD(network().parameters(), lr=0.1)
    recorder = Recorder().attach(optimizer, time_step=0.1)
    for wrong, message in (
        ((), "`optimizers` must be one or several; none is given"),
        ((network(),), "this is a module. Without one, record by hand: recorder.record"),
        ((network().parameters(),), "`optimizers` must have `step` and `param_groups`; got generator"),
    ):
        with pytest.raises(ValueError, match=message):
            Recorder().attach(*wrong)
    by_hand = Recorder()
    by_hand.record(time=0.0, loss=1.0, model=torch.zeros(2))
    with pytest.raises(ValueError, match="`attach` must come before the first record; records were written by hand"):
        by_hand.attach(optimizer)
    optimizer.param_groups[0]["lr"] = None
    with pytest.raises(ValueError, match="`time_step` must be given where a parameter group has no learning rate"):
        Recorder().attach(optimizer)
    with pytest.raises(ValueError, match="must be left out"):
        recorder.record(loss=1.0, time=0.0)
    with pytest.raises(ValueError, match="needs at least one record"):
        recorder.trajectory()
    with pytest.raises(ValueError, match="`snapshot_growth` must be above 1"):
        Recorder(snapshot_growth=1.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.complex64])
def test_differences_are_exact_in_every_precision(dtype):
    """Sums over steps of low precision are those of the weights as they are, in float64.

    Subtraction in bfloat16 itself was wrong by 5e-5, in float32 by 1e-8.
    """
    generator = torch.Generator().manual_seed(0)
    places = torch.randn(3000, 1, dtype=torch.float64, generator=generator) + torch.linspace(0, 1, 9) ** 2
    path = [places[:, k].to(dtype).contiguous() for k in range(9)]
    weights = [path[0][:2000].clone(), path[0][2000:].clone().reshape(10, 100)]
    recorder = Recorder(triples=0)
    for k, place in enumerate(path):
        weights[0].copy_(place[:2000])
        weights[1].copy_(place[2000:].reshape(10, 100))
        recorder.record(time=float(k), loss=0.0, model=weights)
    wide = [torch.view_as_real(place) if place.is_complex() else place for place in path]
    steps = np.diff(np.array([place.double().flatten().numpy() for place in wide]), axis=0)
    run = recorder.trajectory()
    assert run.w2_squared[-1] == pytest.approx(np.sum(steps.sum(0) ** 2), rel=1e-13)
    assert run.arc_lengths[-1] == pytest.approx(np.sum(np.sqrt(np.sum(steps**2, 1))), rel=1e-13)
    assert run.path_dissipation[-1] == pytest.approx(np.sum(steps**2), rel=1e-13)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_straight_path_keeps_its_certificate(dtype):
    """A straight path at even speed has T/T_SL = 1, and rounding does not put T_SL above T."""
    start = torch.randn(1000, generator=torch.Generator().manual_seed(1)).to(dtype)
    recorder = Recorder(triples=0)
    for k in range(65):
        recorder.record(time=float(k), loss=0.0, model=start * (1 + k / 64))
    assert recorder.speed_limit().certified


def test_no_float64_copy_of_the_weights():
    """What a meter keeps besides two copies in the weights' own precision is a block."""
    weights = [torch.zeros(700_000, dtype=torch.bfloat16), *(torch.zeros(50, dtype=torch.bfloat16) for _ in range(20))]
    meter = PathMeter(weights, np.array([0]))
    kept = [*meter.first, *meter.here]
    assert {tensor.dtype for tensor in kept} == {torch.bfloat16}
    assert sum(tensor.numel() for tensor in kept) == 2 * 701_000
    assert meter._numbers.numel() == BLOCK


def test_groups_share_the_clock_of_the_largest_rate():
    """With one clock for all groups the limit holds, also where a scheduler drives their rates apart."""
    model = network()
    first, second, *rest = model.parameters()
    optimizer = torch.optim.SGD([{"params": [first, *rest], "lr": 0.1}, {"params": [second], "lr": 0.02}])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda _: 1.0, lambda k: 1.0 + k])
    recorder = Recorder().attach(optimizer)
    rates = []

    def record(_, loss):
        recorder.record(loss=loss)
        rates.append(max(group["lr"] for group in optimizer.param_groups))
        scheduler.step()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch wants the scheduler after the optimizer
        train(model, optimizer, 12, record)
    limit = recorder.speed_limit()
    assert limit.certified
    assert limit.time[-1] <= 12 * max(rates)
    # One step alone is a straight path: its ratio is 1 to rounding.
    assert (limit.inefficiency[1:] >= 1 - 1e-12).all()


def test_records_before_any_gradient():
    """A record before the first gradient exists, as closures and callbacks make them, leaves its |∇L|² unknown."""
    model = network()
    inputs, targets = data()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)
    recorder = Recorder().attach(optimizer)

    def closure():
        optimizer.zero_grad()
        loss = (model(inputs) - targets).square().mean()
        loss.backward()
        return loss

    for _ in range(3):
        recorder.record(loss=1.0)
        optimizer.step(closure)
    recorder.record(loss=0.5)
    run = recorder.trajectory()
    assert np.isnan(run.step_gradients_squared).all()
    assert len(run) == 4


def test_sparse_and_complex_gradients():
    """|∇L|² of a sparse gradient and of complex weights is that of their numbers."""
    table = nn.Embedding(10, 3, sparse=True)
    optimizer = torch.optim.SparseAdam(list(table.parameters()), lr=0.1)
    recorder = Recorder().attach(optimizer)
    for _ in range(3):
        loss = table(torch.tensor([1, 1, 4])).square().sum()
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        dense = float(table.weight.grad.to_dense().double().square().sum())
        optimizer.step()
    assert recorder.trajectory().step_gradients_squared[-1] == pytest.approx(dense, rel=1e-6)
    weight = nn.Parameter(torch.tensor([1.0 + 2.0j, -1.0j]))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    recorder = Recorder().attach(optimizer)
    for _ in range(2):
        loss = weight.abs().square().sum()
        recorder.record(loss=loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    run = recorder.trajectory()
    assert run.step_gradients_squared[0] == pytest.approx(4 * 6.0, rel=1e-6)
    assert run.w2_squared[-1] == pytest.approx((0.2**2) * 6.0, rel=1e-6)


@pytest.mark.parametrize("batch", [8, 32, None])
def test_drift_behind_minibatch_noise(batch):
    """Digits by SGD at one learning rate: the raw ratio grows with the noise, that of the drift does not."""
    images, labels = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(images[:600] / 16.0 - 0.3, dtype=torch.float32), torch.tensor(labels[:600])
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 48), nn.Tanh(), nn.Linear(48, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    recorder = Recorder().attach(optimizer)
    generator = torch.Generator().manual_seed(0)
    for step in range(257):
        chosen = slice(None) if batch is None else torch.randint(600, (batch,), generator=generator)
        loss = nn.functional.cross_entropy(model(inputs[chosen]), targets[chosen])
        if step % 32 == 0:
            recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        if step < 256:
            optimizer.step()
    raw, noise = recorder.speed_limit().final.inefficiency, recorder.noise()
    assert noise.curve.inefficiency[0] == pytest.approx(raw, rel=1e-9)
    full = 1.09
    if batch is None:
        assert raw == pytest.approx(full, abs=0.02)
        assert recorder.verdict().startswith("T = ")
    else:
        assert raw > full + 10 / batch
        assert noise.identifiable != "no"
        assert abs(noise.inefficiency - full) < 3 * noise.standard_error
        assert recorder.verdict().startswith("T/T_SL of the drift is ")
    assert "The recorded loss went from " in recorder.verdict()


def test_momentum_is_read_from_the_optimizer():
    """SGD's and Adam's memory is counted without being told; the caller may say otherwise."""
    for optimizer, expected in (
        (torch.optim.SGD(network().parameters(), lr=0.1, momentum=0.9, nesterov=True), (0.9, True)),
        (torch.optim.SGD(network().parameters(), lr=0.1), (0.0, False)),
        (torch.optim.AdamW(network().parameters(), betas=(0.8, 0.99)), (0.8, False)),
        (torch.optim.RMSprop(network().parameters()), (0.0, False)),
    ):
        assert momentum(optimizer) == expected


def test_noise_without_strides_says_why():
    """Switched off, or before anything was recorded, there is nothing to say."""
    with pytest.raises(ValueError, match="nothing was recorded"):
        Recorder().noise()
    recorder = Recorder(sketch=None)
    recorder.record(time=0.0, loss=1.0, model=torch.zeros(3))
    with pytest.raises(ValueError, match="`sketch` is None"):
        recorder.noise()


class NewMemory(TorchDispatchMode):
    """The size of the largest piece of memory that torch asks for [bytes]."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        given = {each.untyped_storage().data_ptr() for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        for each in tree_leaves(made):
            if isinstance(each, Tensor) and each.untyped_storage().data_ptr() not in given:
                self.largest = max(self.largest, each.untyped_storage().nbytes())
        return made


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_a_step_makes_nothing_of_the_size_of_the_weights(dtype):
    """Two million weights in one tensor and a hundred small ones: a step and a distance ask for a few kilobytes."""
    weights = [torch.zeros(2_000_000, dtype=dtype), *(torch.zeros(100, dtype=dtype) for _ in range(100))]
    meter = PathMeter(weights, np.array([0]))
    with NewMemory() as memory:
        meter.add(weights, 0.1)
        meter.w2_squared()
    assert 0 < memory.largest <= 10_000 * dtype.itemsize
