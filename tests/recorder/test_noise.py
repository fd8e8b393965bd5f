"""What is said of noise: its law along strides, and the drift that is left, against walks whose drift is known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from speedlimits.bound import SpeedLimit
from speedlimits.noise import drift, shared_noise
from speedlimits.recorder.sketch import Sketch
from speedlimits.recorder.strides import StrideMeter
from speedlimits.recorder.words import verdict

STEP = 0.01


def walk(places: np.ndarray, steps: np.ndarray | float = STEP):
    """The curve of a walk through these places."""
    steps = np.broadcast_to(steps, len(places) - 1)
    meter = StrideMeter(torch.from_numpy(places[0]), exact=True)
    for place, step in zip(places[1:], steps, strict=True):
        meter.add(torch.from_numpy(place), float(step))
    return meter.curve()


def noisy(size: int, steps: int, ratio: float, seed: int, kernel: tuple[float, ...] = (1.0,)) -> np.ndarray:
    """A constant drift of length 1; each gradient has noise of `ratio` times its square, spread by a kernel."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((steps + len(kernel), size)) * math.sqrt(ratio / size)
    weights = np.array(kernel) / sum(kernel)
    spread = sum(weight * noise[len(kernel) - lag : len(noise) - lag] for lag, weight in enumerate(weights))
    return np.concatenate([np.zeros((1, size)), np.cumsum(STEP * (np.ones(size) / math.sqrt(size) + spread), 0)])


@pytest.mark.parametrize("steps", [64, 100, 777])
def test_sums_of_strides_by_brute_force(steps):
    """D, V and M of each stride as the formulas say, for unequal steps and a last chunk that is short."""
    rng = np.random.default_rng(steps)
    places = np.cumsum(rng.standard_normal((steps + 1, 5)), 0)
    sizes = rng.uniform(0.5, 1.5, steps)
    times = np.concatenate([[0.0], np.cumsum(sizes)])
    curve = walk(places, sizes)
    for column, stride in enumerate(curve.strides):
        ends = np.arange(0, steps + 1, stride)
        all_ends = np.unique(np.append(ends, steps))
        squares = np.sum(np.diff(places[all_ends], axis=0) ** 2, 1)
        assert curve.dissipation[0, column] == pytest.approx(np.sum(squares / np.diff(times[all_ends])), rel=1e-12)
        chunks = len(ends) - 1
        assert curve.chunks[column] == chunks
        tau = np.diff(times[ends])
        velocities = np.diff(places[ends], axis=0) / tau[:, None]
        turns = 0.5 * np.sum(np.diff(velocities, axis=0) ** 2, 1)
        if chunks > 1:
            more = chunks / (chunks - 1)
            means, squared = 0.5 * (tau[1:] + tau[:-1]), 0.5 * (tau[1:] ** 2 + tau[:-1] ** 2)
            assert curve.noise[0, column] == pytest.approx(more * np.sum(turns * means), rel=1e-12)
            assert curve.noise_moved[0, column] == pytest.approx(more * np.sum(turns * squared), rel=1e-12)
    assert curve.inefficiency[0] == pytest.approx(
        times[-1] * np.sum(np.sum(np.diff(places, axis=0) ** 2, 1) / sizes) / np.sum((places[-1] - places[0]) ** 2)
    )


@pytest.mark.parametrize("ratio", [0.5, 4.0, 20.0])
def test_white_noise_follows_its_law(ratio):
    """T/T_SL at stride m is (1 + s/m)/(1 + s/N) for a constant drift."""
    curve = walk(noisy(2000, 1024, ratio, seed=0))
    law = (1 + ratio / curve.strides) / (1 + ratio / 1024)
    np.testing.assert_allclose(curve.inefficiency, law, rtol=0.02)


@pytest.mark.parametrize(
    ("momentum", "nesterov"),
    [(0.0, False), (0.9, False), (0.5, False), (0.9, True)],
    ids=["plain", "0.9", "0.5", "nesterov"],
)
def test_drift_behind_noise_of_known_memory(momentum, nesterov):
    """A constant drift has T/T_SL = 1; noise is taken out of it with its error, also where momentum spreads it."""
    kernel = momentum ** np.arange(200.0) if momentum else np.ones(1)
    if nesterov:
        kernel = momentum * kernel + (np.arange(200) == 0)
    found = [drift(walk(noisy(400, 2048, 10.0, seed, tuple(kernel))), momentum, nesterov=nesterov) for seed in range(8)]
    values = np.array([each.inefficiency for each in found])
    errors = np.array([each.standard_error for each in found])
    assert all(each.identifiable == "number" for each in found)
    assert abs(values.mean() - 1) < 4 * errors.mean() / math.sqrt(8)
    assert np.all(np.abs(values - 1) < 4 * errors)
    moved = 10.0 / 2048 / (1 + 10.0 / 2048)
    assert np.mean([each.moved_by_noise for each in found]) == pytest.approx(moved, rel=0.1)


def test_share_of_noise_that_chunks_share_by_brute_force():
    """Var/(Var − Cov) and the share of |Δθ|² from a long simulated walk."""
    rng = np.random.default_rng(4)
    kernel = np.array([1.0, 0.6, 0.3, 0.1])
    steps = np.convolve(rng.standard_normal(1_000_000), kernel, "valid")
    for stride in (1, 2, 4):
        chunks = steps[: len(steps) // stride * stride].reshape(-1, stride).sum(1)
        new = 0.5 * np.mean(np.diff(chunks) ** 2)
        all_noise, all_moved = shared_noise(kernel, stride)
        assert all_noise == pytest.approx(chunks.var() / new, rel=0.02)
        assert all_moved == pytest.approx(stride * kernel.sum() ** 2 / new, rel=0.02)


def test_noise_that_moves_much_is_no_number():
    """Up to 2 % of |Δθ|² it is a number, up to 10 % an interval that holds the truth, beyond that nothing."""
    for ratio, expected in ((10.0, "number"), (40.0, "interval"), (200.0, "no")):
        found = drift(walk(noisy(1000, 1024, ratio, seed=1)))
        assert found.identifiable == expected
        if expected == "no":
            assert math.isnan(found.inefficiency)
            assert "larger batches" in str(found)
        else:
            assert found.interval[0] < 1 < found.interval[1]


def test_eight_chords_see_the_way_alone():
    """Of 100 steps the chords of 8 are twelve, those of 16 only six; fewer than eight steps have none."""
    places = noisy(50, 100, 5.0, 0)
    curve = walk(places)
    ends = places[[*range(0, 100, 8), 100]]
    times = np.array([8 * STEP] * 12 + [4 * STEP])
    squares = np.sum(np.diff(ends, axis=0) ** 2, 1) / times
    moved = np.sum((places[-1] - places[0]) ** 2)
    assert curve.coarse == pytest.approx(100 * STEP * squares.sum() / moved, rel=1e-12)
    assert curve.coarse < 2 < curve.inefficiency[0]
    assert math.isnan(walk(places[:8]).coarse)


def test_short_run_says_so():
    """Noise cannot be told from drift in a few steps."""
    found = drift(walk(noisy(10, 31, 1.0, seed=0)))
    assert found.identifiable == "no"
    assert "31 steps" in found.reason


def test_oscillation_has_more_than_all_its_dissipation_in_noise():
    """At the edge of stability every step turns back: the share of noise is above 1."""
    places = np.stack([np.linspace(0, 1, 401), 0.5 * (-1.0) ** np.arange(401)], 1)
    curve = walk(places)
    assert curve.noise_share[0] > 1


def test_sketch_gives_the_same_curve_within_its_stated_error():
    """On a network of 5,000 weights, 1,024 numbers give every stride as the weights themselves do."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    weights = list(model.parameters())
    optimizer = torch.optim.SGD(weights, lr=0.1)
    sketches = [Sketch(weights, size=size) for size in (10_000, 1024)]
    meters = [StrideMeter(sketch(weights), exact=sketch.exact) for sketch in sketches]
    for _ in range(128):
        inputs, labels = torch.randn(8, 64), torch.randint(10, (8,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        for sketch, meter in zip(sketches, meters, strict=True):
            meter.add(sketch(weights), 0.1)
    exact, sketched = (meter.curve() for meter in meters)
    assert not np.any(exact.standard_error)
    errors = (sketched.inefficiency - exact.inefficiency) / np.maximum(sketched.standard_error, 1e-12)
    assert np.all(np.abs(errors[:-1]) < 4)
    assert np.all(sketched.standard_error[:-1] < 0.2 * exact.inefficiency[:-1])


def test_steps_that_take_no_time_are_added_to_the_next():
    """A learning rate of zero in a warm-up divides by nothing."""
    places = np.array([[0.0], [0.0], [1.0], [2.0]])
    curve = walk(places, np.array([0.0, 1.0, 1.0]))
    assert curve.inefficiency[0] == pytest.approx(1.0)


def test_path_without_time():
    """Nothing can be said of it."""
    with pytest.raises(ValueError, match="time"):
        StrideMeter(torch.zeros(3, dtype=torch.float64)).curve()


def test_refuses_other_momentum():
    """Momentum is below 1."""
    with pytest.raises(ValueError, match="momentum"):
        drift(walk(noisy(10, 64, 1.0, seed=0)), momentum=1.0)


def test_verdict_tells_steps_that_turn_back_from_noise():
    """Where steps turn back, the path through their midpoints is told; with momentum, much noise turns no step.

    The midpoints' number is compared with the sum over them.
    """
    places = np.stack([np.linspace(0, 1, 401), 0.5 * (-1.0) ** np.arange(401) + 0.5], 1)
    curve = walk(places)
    limit = SpeedLimit(time=curve.time, w2_squared=1.0, dissipation=float(curve.dissipation[0, 0]))
    middles = 0.5 * (places[1:] + places[:-1])
    through = 4.0 * np.sum(np.diff(middles, axis=0) ** 2) / STEP
    found = drift(curve)
    assert found.identifiable == "no"
    assert "the steps turn back" in str(found)
    said = verdict(limit, found, (1.0, 0.5)).splitlines()[0]
    assert said.startswith("The steps turn back")
    assert float(said.split("the steps is ")[1].split(" ")[0]) == pytest.approx(through, rel=0.02)
    kernel = tuple(0.9 ** np.arange(200.0))
    spread = walk(noisy(400, 64, 2000.0, 10, kernel))
    assert drift(spread, 0.9).share > 1 > spread.noise_share[0]
    limit = SpeedLimit(time=0.64, w2_squared=1.0, dissipation=10.0)
    assert "turn back" not in verdict(limit, drift(spread, 0.9), (1.0, 0.5))
