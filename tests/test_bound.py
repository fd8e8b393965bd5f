"""The speed limit: its inequality, its exact factorisation, and when it is certified."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from speedlimits import SpeedLimit, Trajectory, speed_limit

SIZES = st.floats(1e-6, 1e6)


def polygon(steps: np.ndarray, durations: np.ndarray, losses: np.ndarray | None = None) -> Trajectory:
    """The trajectory through the corners of a polygon in weight space."""
    points = np.concatenate([np.zeros((1, steps.shape[1])), np.cumsum(steps, axis=0)])
    lengths = np.linalg.norm(steps, axis=1)
    return Trajectory(
        times=np.concatenate([[0.0], np.cumsum(durations)]),
        losses=np.arange(len(points), 0, -1.0) if losses is None else losses,
        w2_squared=np.sum(points**2, axis=1),
        arc_lengths=np.concatenate([[0.0], np.cumsum(lengths)]),
        path_dissipation=np.concatenate([[0.0], np.cumsum(lengths**2 / durations)]),
    )


@given(
    arrays(np.float64, (7, 3), elements=st.floats(-1e3, 1e3)),
    arrays(np.float64, 7, elements=st.floats(1e-3, 1e3)),
)
def test_no_path_beats_the_limit(steps, durations):
    """Eq. (7): T_SL ≤ T for every polygon and every timing: Cauchy–Schwarz, then the triangle inequality."""
    limit = speed_limit(polygon(steps, durations))
    assert (limit.speed_limit <= limit.time * (1 + 1e-12)).all()
    assert limit.certified


def test_straight_path_at_constant_speed_meets_the_limit():
    """Eqs. (12), (16), equality: T_SL = T exactly for uniform motion along a line, with both factors 1.

    It also proves Eqs. (7), (26), (78).
    """
    steps, durations = np.outer([1.0, 2.0, 0.5], [3.0, 4.0]), np.array([1.0, 2.0, 0.5])
    limit = speed_limit(polygon(steps, durations))[1:]
    for series, expected in ((limit.speed_limit, limit.time), (limit.geometric, 1.0), (limit.pace, 1.0)):
        np.testing.assert_allclose(series, np.broadcast_to(expected, 3), rtol=1e-14)


@given(SIZES, SIZES, SIZES, SIZES)
def test_inefficiency_is_geometric_times_pace(time, w2_squared, dissipation, arc_length):
    """Eq. (12): the inefficiency is T/T_SL, and its factors are exact, because they only multiply and divide by l²."""
    limit = SpeedLimit(time=time, w2_squared=w2_squared, dissipation=dissipation, arc_length=arc_length)
    assert limit.geometric * limit.pace == pytest.approx(limit.inefficiency, rel=1e-12)
    assert limit.inefficiency == pytest.approx(time / limit.speed_limit, rel=1e-12)


def test_series_and_single_times_agree():
    """A series is its single times, and `final` is the last of them."""
    run = polygon(np.random.default_rng(0).standard_normal((5, 4)), np.ones(5))
    series = speed_limit(run)
    for k in range(1, 6):
        single = SpeedLimit(
            time=run.times[k],
            w2_squared=run.w2_squared[k],
            dissipation=run.path_dissipation[k],
            arc_length=run.arc_lengths[k],
        )
        for name in ("speed_limit", "inefficiency", "geometric", "pace"):
            assert getattr(single, name) == getattr(series, name)[k] == getattr(series[k], name)
    assert series.final.time == run.time
    assert len(series) == 6


def test_nothing_moved_needs_no_time():
    """Eqs. (7), (12), (16), (26): at the start T_SL is 0, as 0 ≤ T_SL ≤ T = 0 demands; the ratios are 0/0 and NaN.

    It also proves Eq. (78).
    """
    limit = speed_limit(polygon(np.ones((2, 2)), np.ones(2)))
    assert limit.speed_limit[0] == 0
    assert np.isnan([limit.inefficiency[0], limit.geometric[0], limit.pace[0]]).all()


def test_limit_that_exceeds_the_time_is_not_certified():
    """Eq. (7): distance and dissipation that no single process can have are named as the reason."""
    limit = SpeedLimit(time=1.0, w2_squared=4.0, dissipation=1.0, arc_length=2.0)
    assert not limit.certified
    assert limit.reasons == ("T_SL exceeds T: distance and dissipation are not of one process (at time 1)",)
    shortcut = SpeedLimit(time=1.0, w2_squared=1.0, dissipation=4.0, arc_length=0.5)
    assert "arc length is below the distance" in shortcut.reasons[0]
    unknown = SpeedLimit(time=[1.0, 2.0], w2_squared=1.0, dissipation=[np.nan, 2.0])
    assert unknown.reasons == ("the dissipation is not known (at time 1)",)


def test_loss_drop_is_certified_only_near_the_flow():
    """A loss drop that misses the path dissipation by more than the tolerance is no dissipation of a flow."""
    steps, durations = np.ones((2, 1)), np.ones(2)
    near = polygon(steps, durations, losses=np.array([2.0, 1.03, 0.06]))
    assert speed_limit(near, dissipation="loss_drop").certified
    assert not speed_limit(near, dissipation="loss_drop", tolerance=0.01).certified
    far = speed_limit(polygon(steps, durations, losses=np.array([2.0, 1.875, 1.75])), dissipation="loss_drop")
    assert (
        far.reasons[0]
        == "the loss drop misses the path dissipation by 87.50%, more than the 5.00% of a flow (at time 1 and 1 more)"
    )


def test_each_record_is_certified_by_itself():
    """Descent on ½(1.5x² + 10⁻³y²) spends 70 % of the path's dissipation unseen at t = 2, and 4.7 % at the end.

    Only where the loss drop is within the tolerance of the path dissipation is its limit near that of the path.
    """
    curvature, times = np.array([1.5, 1e-3]), np.array([0, 2, 4, 8, 16, 4000])
    points = np.array([1.0, 300.0]) * (1.0 - curvature) ** np.arange(4001)[:, None]
    run = polygon(np.diff(points, axis=0), np.ones(4000), losses=0.5 * points**2 @ curvature)
    run = Trajectory(
        **{
            field: getattr(run, field)[times]
            for field in ("times", "losses", "w2_squared", "arc_lengths", "path_dissipation")
        }
    )
    limit, path = speed_limit(run, dissipation="loss_drop"), speed_limit(run)
    np.testing.assert_allclose(limit.speed_limit[[1, -1]] / path.speed_limit[[1, -1]], [3.389, 1.050], atol=1e-3)
    assert [limit[k].certified for k in range(6)] == [True, False, False, False, False, True]
    assert not limit.certified
    assert limit.final.certified
    assert limit[1:].reasons == (
        "the loss drop misses the path dissipation by 70.50%, more than the 5.00% of a flow (at time 2 and 3 more)",
    )
    assert "by 50.94%" in limit[4].reasons[0]
    assert limit[np.array([0, 5])].certified
    assert limit.verdict().endswith(f", certified to 0.053, but not on the way: {limit.reasons[0]}.")
    assert path.certified


def test_polygon_is_a_bound_and_says_so():
    """Two points of a path that zigzags between them show at most its cost: the verdict names the bound.

    Every third step returns: the path of 30 unit steps ends 10 from its start, T/T_SL = 30·30/10² = 9, and the polygon
    through the points at 0, 10, 20, 30 is straight.
    """
    steps = np.tile([[1.0], [-1.0], [1.0]], (10, 1))
    whole, seen = speed_limit(polygon(steps, np.ones(30))), polygon(np.full((3, 1), 10 / 3), np.full(3, 10.0))
    seen = dataclasses.replace(seen, points=np.arange(1.0, 5))
    limit = speed_limit(seen)
    assert whole.final.inefficiency == pytest.approx(9)
    assert limit.final.inefficiency == pytest.approx(1)
    assert str(whole).startswith("T = 30, T_SL = 3.333: 9 times slower than the limit (geometric 9 × pace 1)")
    assert str(limit) == (
        "T = 30, T_SL at most 30: at least 1 times slower than the limit, seen at 4 points (geometric at least 1), "
        "certified to 1e-09."
    )
    assert "seen at 2 points" in str(limit[1])
    # Chords cannot tell how much of the loss the steps between them spent.
    doubtful = speed_limit(dataclasses.replace(seen, losses=-seen.path_dissipation), dissipation="loss_drop")
    assert doubtful.reasons == (
        "the path dissipation, seen at 4 points only, cannot tell whether this is a flow (at time 30 and 2 more)",
    )


def test_risen_loss_gives_no_limit():
    """Where the loss stands above its start, the loss drop is no dissipation: no number, and a reason."""
    run = polygon(np.ones((2, 1)), np.ones(2), losses=np.array([1.0, 2.0, -1.0]))
    limit = speed_limit(run, dissipation="loss_drop")
    assert np.isnan(limit.speed_limit[1])
    assert "the dissipation is not known (at time 1)" in limit.reasons
    assert speed_limit(run).certified


def test_verdict_is_one_sentence():
    """What a user reads: the times, the ratio, its factors; and the reason where it is not certified."""
    limit = SpeedLimit(time=1.0, w2_squared=1.0, dissipation=4.0, arc_length=1.25)
    assert (
        str(limit)
        == "T = 1, T_SL = 0.25: 4 times slower than the limit (geometric 1.56 × pace 2.56), certified to 1e-09."
    )
    doubtful = SpeedLimit(time=1.0, w2_squared=1.0, dissipation=4.0, caveats=("few members",))
    assert doubtful.verdict() == "T = 1, T_SL = 0.25: 4 times slower than the limit; not certified: few members."


def test_the_end_of_time_has_a_limit():
    """At T = ∞, as in Eq. (78), T_SL is as finite as distance and dissipation, and the inefficiency infinite.

    It also proves Eqs. (7), (12), (26).
    """
    limit = SpeedLimit(time=np.array([np.inf, np.inf]), w2_squared=[3.0, 0.0], dissipation=[2.0, 0.0])
    np.testing.assert_array_equal(limit.speed_limit, [1.5, 0.0])
    np.testing.assert_array_equal(limit.inefficiency, [np.inf, np.nan])
    assert limit.certified


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"time": -1.0}, r"`time` must be non-negative \(infinity for the end\); time = -1\."),
        ({"w2_squared": [1.0, np.nan]}, r"`w2_squared` must be non-negative and finite; w2_squared\[1\] = nan\."),
        ({"dissipation": -0.5}, r"`dissipation` must be non-negative and finite; dissipation = -0\.5\."),
        ({"arc_length": np.inf}, r"`arc_length` must be non-negative and finite; arc_length = inf\."),
        ({"time": [1.0, 2.0], "w2_squared": [1.0, 2.0, 3.0]}, r"must broadcast; shapes are time: \(2,\)"),
        ({"time": "soon"}, r"`time` must be real numbers; time = 'soon'\."),
    ],
)
def test_bad_input_is_named(fields, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        SpeedLimit(**({"time": 1.0, "w2_squared": 1.0, "dissipation": 1.0} | fields))


@pytest.mark.usefixtures("as_user")
def test_unknown_dissipation_is_named():
    """The choices are listed."""
    with pytest.raises(
        ValueError, match=r"`dissipation` must be one of 'path', 'loss_drop', 'averaged'; dissipation = 'entropy'"
    ):
        speed_limit(polygon(np.ones((2, 1)), np.ones(2)), dissipation="entropy")
