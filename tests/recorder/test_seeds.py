"""The drift of several seeds, beside the run without noise."""

import numpy as np
import pytest
import torch

from speedlimits.recorder import Recorder, drift_over_seeds
from tests.recorder.test_halves import train

pytestmark = pytest.mark.usefixtures("as_user")


def polygon(recorder: Recorder) -> float:
    """T/T_SL of the polygon through the snapshots of one run."""
    run = recorder.trajectory()
    squares = run.snapshot_distances_squared
    spent = np.sum(np.diagonal(squares, 1) / np.diff(run.snapshot_times))
    return float(run.snapshot_times[-1] * spent / squares[0, -1])


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}], ids=["plain", "momentum"])
def test_mean_path_is_that_without_noise(options):
    """On a quadratic the mean path is the noise-free one: 24 seeds hold it, and sixes scatter as they say."""
    rate = 0.01 * (1 - options.get("momentum", 0.0))
    truth = polygon(train(0.0, rate=rate, **options))
    recorders = [train(0.4, seed, rate=rate, **options) for seed in range(24)]
    found = drift_over_seeds(recorders)
    assert abs(found.inefficiency - truth) < 3 * found.standard_error
    assert found.standard_error < 0.01 * truth
    assert 0.01 < found.share < 0.1
    assert str(found).startswith("T/T_SL of the mean path of 24 seeds, seen at 10 points, is at least ")
    sixes = [drift_over_seeds(recorders[first : first + 6]) for first in range(0, 24, 6)]
    scatter = np.std([each.inefficiency for each in sixes], ddof=1)
    assert 0.4 < scatter / np.sqrt(np.mean([each.standard_error**2 for each in sixes])) < 2.5


def test_products_are_those_of_all_pairs():
    """Against the sum over pairs one by one, from the snapshots' weights themselves."""
    recorders = [train(0.4, seed) for seed in range(4)]
    paths = [recorder._path for recorder in recorders]
    places = [np.stack([each[0] for each in [*path.snapshots._kept.values(), path.meter.here]]) for path in paths]
    times = recorders[0].trajectory().snapshot_times
    pairs = [(a, b) for i, a in enumerate(places) for j, b in enumerate(places) if i != j]
    spent = np.mean([np.sum(np.sum(np.diff(a, axis=0) * np.diff(b, axis=0), 1) / np.diff(times)) for a, b in pairs])
    moved = np.mean([(a[-1] - a[0]) @ (b[-1] - b[0]) for a, b in pairs])
    assert drift_over_seeds(recorders).inefficiency == pytest.approx(times[-1] * spent / moved, rel=1e-12)


def test_without_noise_there_is_no_error():
    """Equal runs: the polygon's own number."""
    recorders = [train(0.0) for _ in range(3)]
    found = drift_over_seeds(recorders)
    assert found.inefficiency == pytest.approx(polygon(recorders[0]), rel=1e-12)
    assert found.standard_error == pytest.approx(0.0, abs=1e-12)
    assert found.share == pytest.approx(0.0, abs=1e-12)


def walk(seed: int, start: float = 1.0, steps: int = 8, **options) -> Recorder:
    """A thousand weights that drift and shake."""
    weights = torch.full((1000,), start, requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=0.1)
    recorder = Recorder(**options).attach(optimizer)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        recorder.record(loss=0.0)
        weights.grad = 1 + torch.randn(1000, generator=generator)
        optimizer.step()
    return recorder.finish()


def test_sketches_are_compared_like_weights():
    """Where only a sketch was kept, all records are seen; both hold the straight line's 1."""
    exact = drift_over_seeds([walk(seed, snapshot_growth=1.01) for seed in range(5)])
    sketched = drift_over_seeds([walk(seed, memory="sketch", sketch=300) for seed in range(5)])
    assert exact.points == sketched.points == 9
    for each in (exact, sketched):
        assert abs(each.inefficiency - 1) < 4 * each.standard_error + 0.05
    assert sketched.inefficiency == pytest.approx(exact.inefficiency, rel=0.2)


def test_refusals_are_one_line():
    """Too few, other starts, other times, no sketch."""
    with pytest.raises(ValueError, match=r"`recorders` must be 3 or more; there are 2\."):
        drift_over_seeds([walk(0), walk(1)])
    with pytest.raises(ValueError, match="`recorders` must start from the same weights; they do not"):
        drift_over_seeds([walk(0), walk(1), walk(2, start=2.0)])
    with pytest.raises(ValueError, match="`recorders` must have seen the same weights at the same times; they did not"):
        drift_over_seeds([walk(0), walk(1), walk(2, steps=9)])
    with pytest.raises(ValueError, match=r"`sketch` must be a number to compare weights of several recorders"):
        drift_over_seeds([walk(seed, sketch=None) for seed in range(3)])
