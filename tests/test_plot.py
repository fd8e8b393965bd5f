"""Panels for figures of one's own: what they draw is what was measured, on the axes they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from speedlimits import Trajectory, plot, speed_limit


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def path(turn: float = 0.5) -> Trajectory:
    """A path that bends and slows down, with kept weights and two triples."""
    t = np.linspace(0.0, 1.0, 9)
    points = np.stack([t, turn * t**2, 0 * t], axis=1)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    sums = [np.concatenate(([0.0], np.cumsum(values))) for values in (steps, steps**2 / np.diff(t))]
    kept = np.array([0, 3, 6, 8])
    return Trajectory(
        times=t,
        losses=2 - t,
        w2_squared=(points**2).sum(1),
        arc_lengths=sums[0],
        path_dissipation=sums[1],
        weight_traces=np.stack([points, -points], axis=1),
        snapshot_records=kept,
        snapshot_distances_squared=((points[kept][:, None] - points[kept]) ** 2).sum(2),
    )


@pytest.mark.parametrize("name", ["loss", "speed_limit", "inefficiency", "factors", "map", "weights"])
def test_axes_given_are_axes_returned(name):
    """A panel is drawn where it is asked for; without axes in a figure of its own."""
    figure, ax = plt.subplots()
    found = getattr(plot, name)(path(), ax)
    # Space is another kind of axes, in the same place.
    assert found.figure is figure if name == "weights" else found is ax
    assert getattr(plot, name)(path()).figure is not figure


def test_lines_are_the_numbers():
    """The line of T/T_SL has the values of the speed limit, over the times after the start."""
    run = path()
    line = plot.inefficiency(run).get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), run.times[1:])
    np.testing.assert_allclose(line.get_ydata(), speed_limit(run).inefficiency[1:])
    assert plot.loss(run, label="energy").get_ylabel() == "energy"


def test_areas_add_up():
    """On the log scale the area of the pace lies on that of the bends, and both end at T/T_SL."""
    bends, pace = plot.factors(path()).collections
    limit = speed_limit(path())
    assert bends.get_paths()[0].vertices[:, 1].max() == pytest.approx(limit.geometric[1:].max())
    assert pace.get_paths()[0].vertices[:, 1].max() == pytest.approx(limit.inefficiency[1:].max())


def test_map_has_the_whole_run_in_its_corner():
    """From the first kept start to the last kept end it is T/T_SL of the whole."""
    run = path()
    mesh = plot.map(run).collections[0]
    assert mesh.get_array()[0, -1] == pytest.approx(speed_limit(run).inefficiency[-1])


def test_several_members_are_mean_and_band():
    """Of two members the line is their mean; a warm start is a second curve."""
    members = [path(0.5), path(1.0)]
    ax = plot.inefficiency(iter(members))
    mean = np.mean([speed_limit(run).inefficiency[-1] for run in members])
    assert ax.get_lines()[0].get_ydata()[-1] == pytest.approx(mean)
    assert len(plot.speed_limit(members, warm_start=0.3).get_lines()) == 1 + len(plot.speed_limit(members).get_lines())


def test_wrong_arguments():
    """One line with argument and rule."""
    with pytest.raises(ValueError, match="`measured` must be one trajectory or more; there is none"):
        plot.loss([])
    line = np.array([0.0, 1.0])
    bare = Trajectory(times=line, losses=2 - line, w2_squared=line, arc_lengths=line, path_dissipation=line)
    with pytest.raises(ValueError, match="`trajectory` must have two kept weights or more; it has 0"):
        plot.map(bare)
    with pytest.raises(ValueError, match="`trajectory` must have weight triples; it has none"):
        plot.weights(bare)
