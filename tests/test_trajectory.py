"""What a run leaves behind: consistent, saved whole, and seen from any later start."""

import dataclasses

import numpy as np
import pytest

from speedlimits import Trajectory, speed_limit
from speedlimits._distances import distances_squared
from speedlimits.errors import RunFolderError

POINTS = np.cumsum(np.random.default_rng(5).standard_normal((9, 4)), axis=0)


def recorded(points: np.ndarray = POINTS, kept: list[int] | None = None) -> Trajectory:
    """A path through the points, one time unit apart, with weights kept at some of them."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    kept = [0, 3, 5, 8] if kept is None else kept
    return Trajectory(
        times=np.arange(len(points), dtype=float),
        losses=np.linspace(9.0, 1.0, len(points)),
        w2_squared=np.sum((points - points[0]) ** 2, axis=1),
        arc_lengths=np.concatenate([[0.0], np.cumsum(steps)]),
        path_dissipation=np.concatenate([[0.0], np.cumsum(steps**2)]),
        gradient_evaluations=np.arange(len(points)),
        weight_traces=np.random.default_rng(6).standard_normal((len(points), 2, 3)),
        snapshot_records=np.array(kept, dtype=np.int64),
        snapshot_distances_squared=distances_squared(list(points[kept])),
    )


def test_later_start_is_the_path_from_there():
    """`from_start(t0)` has the distances, lengths and dissipation of the path that begins at that snapshot."""
    view, direct = recorded().from_start(3.0), recorded(POINTS[3:], [0, 2, 5])
    assert view.start_time == 3.0
    for field in ("times", "w2_squared", "arc_lengths", "path_dissipation", "gradient_evaluations"):
        np.testing.assert_allclose(getattr(view, field), getattr(direct, field)[[0, 2, 5]], rtol=1e-13, err_msg=field)
    assert speed_limit(view).certified


def test_loss_drop_is_the_dissipation_of_a_flow():
    """Eq. (6): along x = 3e^{−t} on ½x² the loss falls by ∫|v|²dt = ½·9(1 − e^{−2t})."""
    times = np.linspace(0.0, 2.0, 5)
    spent = 4.5 * (1 - np.exp(-2 * times))
    run = Trajectory(
        times=times,
        losses=4.5 * np.exp(-2 * times),
        w2_squared=9 * (1 - np.exp(-times)) ** 2,
        arc_lengths=3 * (1 - np.exp(-times)),
        path_dissipation=spent,
    )
    np.testing.assert_allclose(run.loss_drop, spent, rtol=1e-14, atol=1e-15)


def test_later_starts_compose():
    """A later start of a later start is the same as that start at once."""
    twice, once = recorded().from_start(3.0).from_start(5.0), recorded().from_start(5.0)
    assert twice.start_time == once.start_time == 5.0
    np.testing.assert_allclose(twice.w2_squared, once.w2_squared, rtol=1e-13)


def test_start_is_the_nearest_snapshot():
    """Only kept weights can be a start; the nearest is taken and named by `start_time`."""
    assert recorded().from_start(3.9).start_time == 3.0
    assert recorded().from_start(4.1).start_time == 5.0
    assert recorded().from_start(0.0).start_time == 0.0
    # The last snapshot leaves nothing to see: the one before it is the latest start.
    assert recorded().from_start(7.9).start_time == 5.0


def test_distances_do_not_cancel():
    """Weights of size 1e8 that differ by 1e-4 keep their distance: differences, not dot products."""
    base = np.full(10, 1e8)
    found = distances_squared([base, base + 2.0**-13])
    assert found[0, 1] == found[1, 0] == 10 * 2.0**-26


def test_saved_trajectory_is_equal_bit_for_bit(tmp_path):
    """`load` gives back what `save` was given."""
    run = recorded().from_start(3.0)
    run.save(tmp_path / "run.npz")
    again = Trajectory.load(tmp_path / "run.npz")
    for field in dataclasses.fields(Trajectory):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(run, field.name), strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_arrays_cannot_be_written():
    """The arrays of a trajectory are read-only copies."""
    times = np.arange(2.0)
    run = Trajectory(times=times, losses=times[::-1], w2_squared=times, arc_lengths=times, path_dissipation=times)
    times[1] = 5.0
    assert run.times[1] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        run.times[1] = 2.0


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:20], lambda _: b"", lambda _: b"hello"])
def test_damaged_file_is_named(tmp_path, damage):
    """A truncated or foreign file gives one error with its path."""
    path = tmp_path / "run.npz"
    recorded().save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunFolderError, match=r"`path` must be a saved trajectory; .*run\.npz is damaged"):
        Trajectory.load(path)


def test_foreign_archives_are_refused(tmp_path):
    """Pickles are never executed; other archives, later schemas and missing files are named in an error."""
    path = tmp_path / "other.npz"
    np.savez(path, times=np.arange(3.0))
    with pytest.raises(RunFolderError, match="lacks 'arc_lengths'"):
        Trajectory.load(path)
    np.savez(path, times=np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(RunFolderError, match="damaged"):
        Trajectory.load(path)
    with pytest.raises(RunFolderError, match=r"nothing\.npz does not exist"):
        Trajectory.load(tmp_path / "nothing.npz")
    recorded().save(path)
    contents = dict(np.load(path)) | {"schema": 99}
    np.savez(path, **contents)
    with pytest.raises(RunFolderError, match=r"schema 1; .* has schema 99"):
        Trajectory.load(path)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"times": [0.0, -1.0, 2.0]}, r"`times` must be non-negative and finite; times\[1\] = -1\."),
        ({"times": [0.0, 2.0, 1.0]}, r"`times` must be strictly increasing; times\[1:3\] = 2, 1\."),
        ({"times": [1.0, 2.0, 3.0]}, r"`times` must start at zero; times\[0\] = 1\."),
        ({"losses": [1.0, np.inf, 0.0]}, r"`losses` must be finite; losses\[1\] = inf\."),
        ({"losses": [1.0, 0.5]}, r"`losses` must have shape \(3\); losses\.shape = \(2,\)\."),
        ({"arc_lengths": [0.0, 2.0, 1.0]}, r"`arc_lengths` must never decrease; it does at record 2\."),
        ({"w2_squared": [0.1, 1.0, 2.0]}, r"`w2_squared` must start at zero; w2_squared\[0\] = 0\.1"),
        ({"times": []}, r"`times` must be a series of at least one record; times\.shape = \(0,\)\."),
    ],
)
def test_bad_series_are_named(fields, message):
    """Field, rule and value stand in the error."""
    ramp = np.arange(3.0)
    good = {"times": ramp, "losses": ramp, "w2_squared": ramp, "arc_lengths": ramp, "path_dissipation": ramp}
    with pytest.raises(ValueError, match=message):
        Trajectory(**(good | fields))


def test_starts_outside_the_snapshots_are_named():
    """The error names the times of the first and last kept weights."""
    for time in (-0.1, 8.0, np.nan):
        with pytest.raises(ValueError, match=r"`time` must lie in \[0, 8\), the snapshots"):
            recorded().from_start(time)
    with pytest.raises(ValueError, match="needs at least two snapshots; this trajectory has 1"):
        recorded(kept=[0]).from_start(0.0)
