"""A path of which only a sketch is kept: its numbers within their stated error of those of all weights."""

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.nn.functional import cross_entropy

from speedlimits import Recorder, speed_limit
from speedlimits.recorder import path
from speedlimits.recorder.meter import PathMeter
from speedlimits.recorder.sketched import SketchMeter, tolerances
from speedlimits.recorder.starts import MOST

NONE = np.empty(0, dtype=np.int64)
NUMBERS, BUCKETS, STEPS, PATHS = 3000, 199, 6, 120


def steps(kind: str, generator: torch.Generator) -> torch.Tensor:
    """Moves of the weights, a row each."""
    noise = torch.randn(STEPS, NUMBERS, generator=generator, dtype=torch.float64)
    if kind == "straight, ever slower":
        return torch.linspace(2, 1, STEPS)[:, None] * noise[0]
    if kind == "all noise":
        return noise
    if kind == "a drift in noise":
        return 0.3 * noise + noise[0]
    if kind == "unlike weights":
        return noise * torch.randn(NUMBERS, generator=generator, dtype=torch.float64).exp()
    # As the gradients of matrices are.
    rank_one = torch.einsum("si,sj->sij", noise[:, :50], noise[:, 50:110])
    return rank_one.reshape(STEPS, -1) + rank_one[0].reshape(-1)


def numbers(meter: PathMeter) -> np.ndarray:
    """𝒲₂, T_SL, T/T_SL, geometric, pace of the path so far, in a time of one for each step."""
    arc_length, dissipation = meter.read()[-1, :2]
    moved = float(meter.w2_squared())
    return np.array(
        [
            moved,
            moved / dissipation,
            meter.steps * dissipation / moved,
            arc_length**2 / moved,
            meter.steps * dissipation / arc_length**2,
        ]
    )


@pytest.mark.parametrize(
    "kind", ["straight, ever slower", "all noise", "a drift in noise", "unlike weights", "matrices of rank one"]
)
def test_errors_are_as_stated(kind):
    """Over many paths, at least 95 % less three standard errors of each number lie within the error stated for all.

    For weights that are alike, the error is that of a single distance, 1.96√(2/k), within a quarter.
    """
    generator = torch.Generator().manual_seed(0)
    inside, stated = [], []
    for _ in range(PATHS):
        moves = steps(kind, generator)
        exact, sketched = PathMeter([moves[0] * 0], NONE), SketchMeter([moves[0] * 0], NONE, BUCKETS)
        for place in moves.cumsum(0):
            exact.add([place], 1.0)
            sketched.add([place], 1.0)
        moments = sketched.moments()
        stated.append(tolerances(moments.numpy()[None])[0])
        inside.append(abs(numbers(sketched) / numbers(exact) - 1) <= stated[-1])
        assert numbers(sketched)[2:].min() >= 1 - 1e-12
    shares = np.mean(inside, axis=0)
    assert (shares >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / PATHS)).all(), shares
    if kind not in {"unlike weights", "matrices of rank one"}:
        assert np.median(stated) == pytest.approx(1.96 * np.sqrt(2 / BUCKETS), rel=0.25)


def run(count: int = 60, hidden: int = 200, **options) -> Recorder:
    """A training by mini-batches, by default of 45,003 weights."""
    torch.manual_seed(0)
    model = nn.Sequential(*map(nn.Linear, (20, hidden, hidden), (hidden, hidden, 3)))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    recorder = Recorder(**options).attach(optimizer)
    generator = torch.Generator().manual_seed(1)
    inputs, labels = torch.randn(64, 20, generator=generator), torch.randint(0, 3, (64,), generator=generator)
    for _ in range(count):
        batch = torch.randint(0, 64, (32,), generator=generator)
        loss = cross_entropy(model(inputs[batch]), labels[batch])
        recorder.record(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return recorder.finish()


def test_limit_of_a_training():
    """All records lie within their tolerance of the exact ones, and the verdict says what was kept."""
    exact, sketched = run(memory="copy").speed_limit(), run(memory="sketch")
    limit = sketched.speed_limit()
    assert limit.certified
    assert limit.confidence == 0.95
    assert 0.02 < limit.final.tolerance < 0.1
    for name in ("w2_squared", "speed_limit", "inefficiency", "geometric", "pace"):
        found, true = getattr(limit, name)[1:], getattr(exact, name)[1:]
        assert (abs(found / true - 1) <= limit.tolerance[1:]).all(), name
    assert (limit.inefficiency[1:] >= 1 - 1e-12).all()
    said = sketched.verdict()
    assert f"certified to {limit.final.tolerance:.2g} with 95% confidence." in said
    assert "Of 45,003 weights a sketch of 4,093 numbers was kept" in said
    assert not sketched.recording().config.copied


def test_every_record_is_a_possible_start():
    """From each record on, the limit lies within its tolerance of that from copies; some 128 starts are kept."""
    exact = run(memory="copy", snapshot_growth=1.4).trajectory()
    sketched = run(memory="sketch").trajectory()
    assert sketched.snapshot_records.tolist() == list(range(61))
    assert len(exact.snapshot_times) == 13
    for time in exact.snapshot_times[1:-1]:
        true, found = (speed_limit(each.from_start(time)).final for each in (exact, sketched))
        assert found.time == true.time
        assert abs(found.inefficiency / true.inefficiency - 1) <= found.tolerance <= 0.1
    some = run(MOST + 22, 10, memory="sketch", sketch=64).trajectory().snapshot_records
    assert set(np.diff(some)) == {1, 2}
    many = run(3 * MOST, 10, memory="sketch", sketch=64).trajectory().snapshot_records
    assert 4 in set(np.diff(many))
    assert len(many) <= MOST + 12
    assert {0, 1, 2, 4, 3 * MOST} <= set(many.tolist())
    assert run(memory="sketch", snapshot_growth=None).trajectory().snapshot_records.tolist() == [0, 60]


def test_few_weights_are_exact():
    """With fewer weights than numbers, nothing is estimated."""
    exact, sketched = (run(memory=memory, sketch=50_000).speed_limit() for memory in ("copy", "sketch"))
    np.testing.assert_allclose(sketched.inefficiency[1:], exact.inefficiency[1:], rtol=1e-12)
    assert sketched.confidence == 1.0
    assert (sketched.tolerance == exact.tolerance).all()


def test_nothing_of_the_size_of_the_weights_is_kept():
    """The state of a recorder has as many numbers for 40 times the weights, but for the first ones of each tensor."""

    def kept(value) -> int:
        if isinstance(value, dict):
            return sum(map(kept, value.values()))
        if isinstance(value, list | tuple):
            return sum(map(kept, value))
        return value.numel() if isinstance(value, torch.Tensor) else 0

    sizes = []
    for count in (50_000, 2_000_000):
        weights = torch.zeros(count, requires_grad=True)
        recorder = Recorder(memory="sketch", sketch=1000).attach(optim.SGD([weights], lr=0.1))
        for _ in range(4):
            weights.grad = torch.ones(count)
            recorder.record(loss=0.0)
            recorder._steps.attachments[0].optimizer.step()
        recorder.finish()
        sizes.append(kept(recorder.state_dict()))
        assert sum(head.numel() for head in recorder._path.meter._heads) == 4096
    assert sizes[0] == sizes[1]


def test_size_decides(monkeypatch):
    """Above 4 million weights a sketch, unless copies are asked for, or no sketch."""
    assert path.LARGE == 4_000_000
    monkeypatch.setattr(path, "LARGE", 45_002)
    assert run(2)._path.meter.sketched
    assert not run(2, memory="copy")._path.meter.sketched
    assert not run(2, sketch=None)._path.meter.sketched
    monkeypatch.setattr(path, "LARGE", 45_003)
    assert not run(2)._path.meter.sketched


def test_weights_that_join_and_weights_that_are_moved():
    """Both are counted as with copies, the joined ones by a sketch of their own."""
    found = {}
    for memory in ("copy", "sketch"):
        one, other = (torch.zeros(size, requires_grad=True) for size in (9000, 5000))
        optimizer = optim.SGD([one], lr=0.5)
        recorder = Recorder(memory=memory).attach(optimizer)
        generator = torch.Generator().manual_seed(2)
        for step in range(20):
            if step == 7:
                optimizer.add_param_group({"params": [other]})
            if step == 12:
                with torch.no_grad():
                    one.add_(0.1)
            for weight in (one, other):
                weight.grad = torch.randn(weight.shape, generator=generator) + 1
            recorder.record(loss=0.0)
            optimizer.step()
        found[memory] = recorder.finish(0.0)
    limits = {memory: recorder.speed_limit() for memory, recorder in found.items()}
    assert (
        abs(limits["sketch"].inefficiency[1:] / limits["copy"].inefficiency[1:] - 1) <= limits["sketch"].tolerance[1:]
    ).all()
    assert "moved outside the optimizer once" in found["sketch"].verdict()
    length = float(found["sketch"]._path.jumps._length)
    assert length == pytest.approx(0.1 * np.sqrt(9000), rel=0.05)
    assert found["sketch"].trajectory().snapshot_distances_squared.shape == (21, 21)


def test_traces_are_the_weights_themselves():
    """Random triples are read from the weights, not from their sketch."""
    exact, sketched = run(memory="copy").trajectory(), run(memory="sketch").trajectory()
    np.testing.assert_array_equal(sketched.weight_traces, exact.weight_traces)


def test_a_saved_trajectory_keeps_its_error(tmp_path):
    """Written and read again: tolerances of records and of pairs of them."""
    recorder = run(memory="sketch")
    trajectory = recorder.trajectory()
    trajectory.save(tmp_path / "t.npz")
    again = type(trajectory).load(tmp_path / "t.npz")
    np.testing.assert_array_equal(again.tolerances, trajectory.tolerances)
    np.testing.assert_array_equal(again.snapshot_tolerances, trajectory.snapshot_tolerances)
    assert speed_limit(again).verdict() == recorder.speed_limit().verdict()


@pytest.mark.usefixtures("as_user")
def test_refusals_are_one_line():
    """An unknown memory, a sketch without a size, layers of a sketch."""
    with pytest.raises(ValueError, match=r"`memory` must be one of 'auto', 'copy', 'sketch'; memory = 'disk'\."):
        Recorder(memory="disk")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`sketch` must be a number where `memory` is 'sketch'; sketch = None\."):
        Recorder(memory="sketch", sketch=None)
    with pytest.raises(ValueError, match="`memory` must be 'copy' for `layers`"):
        run(2, memory="sketch").layers()
