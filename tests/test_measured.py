"""The speed limit by other clocks: steps and seconds, for any optimizer."""

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from speedlimits import Recorder, SpeedLimit, Trajectory, speed_limit

pytestmark = pytest.mark.usefixtures("as_user")


def walk(moves: np.ndarray, rates: np.ndarray, pause: float = 0.0, **options) -> Recorder:
    """Plain steps by these moves."""
    weights = nn.Parameter(torch.zeros(moves.shape[1], dtype=torch.float64))
    optimizer = torch.optim.SGD([weights], lr=1.0)
    recorder = Recorder(**options).attach(optimizer)
    for move, rate in zip(moves, rates, strict=True):
        recorder.record(loss=0.0)
        optimizer.param_groups[0]["lr"] = float(rate)
        weights.grad = torch.from_numpy(-move / rate)
        time.sleep(pause)
        optimizer.step()
    return recorder.finish()


MOVES = np.random.default_rng(0).standard_normal((20, 3)) + 1.0
RATES = np.linspace(0.5, 0.1, 20)


def test_steps_are_a_clock():
    """N_SL = |Δθ|²/Σ|δ|² at each record; pace is N/N_eff with N_eff = (Σ|δ|)²/Σ|δ|², whatever the rates are."""
    limit = walk(MOVES, RATES).speed_limit(clock="step")
    lengths = np.linalg.norm(MOVES, axis=1)
    np.testing.assert_array_equal(limit.time, np.arange(21))
    np.testing.assert_allclose(limit.dissipation[1:], np.cumsum(lengths**2), rtol=1e-12)
    moved = np.linalg.norm(MOVES.cumsum(0), axis=1) ** 2
    np.testing.assert_allclose(limit.speed_limit[1:], moved / np.cumsum(lengths**2), rtol=1e-12)
    effective = np.cumsum(lengths) ** 2 / np.cumsum(lengths**2)
    np.testing.assert_allclose(limit.pace[1:], np.arange(1, 21) / effective, rtol=1e-12)
    assert str(limit).startswith("T = 20 steps, T_SL = ")


def test_steps_that_were_seen_as_one_chord():
    """With every=4 each chord takes four steps; the limit is at most that of the polygon."""
    limit = walk(MOVES, RATES, every=4).speed_limit(clock="step")
    chords = np.linalg.norm(MOVES.reshape(5, 4, 3).sum(1), axis=1) ** 2
    np.testing.assert_allclose(limit.time, [0, 4, 8, 12, 16, 20])
    np.testing.assert_allclose(limit.dissipation[1:], np.cumsum(chords / 4), rtol=1e-12)
    assert "at least" in str(limit)


def test_a_straight_even_walk_meets_the_limit_by_steps_alone():
    """Equal moves at unequal rates: N = N_SL, while the clock of the flow calls that uneven."""
    recorder = walk(np.ones((20, 3)), RATES)
    assert recorder.speed_limit(clock="step").final.inefficiency == pytest.approx(1.0, rel=1e-12)
    assert recorder.speed_limit().final.inefficiency > 1.1


def test_seconds_are_those_of_the_wall():
    """At least the time slept, and T ≥ T_SL by them."""
    limit = walk(MOVES, RATES, pause=0.002).speed_limit(clock="seconds")
    assert limit.time[-1] >= 20 * 0.002
    assert (np.diff(limit.time) > 0.002).all()
    assert (limit.inefficiency[1:] >= 1 - 1e-12).all()
    assert limit.certified
    assert " s, T_SL = " in str(limit)


@given(
    moves=arrays(float, (6, 2), elements=st.floats(-10, 10)),
    clock=arrays(float, 6, elements=st.floats(1e-3, 1e3)),
)
def test_any_clock_has_a_limit(moves, clock):
    """Στ·Σ|δ|²/τ ≥ (Σ|δ|)² ≥ |Δθ|², so that the limit is certified by any positive clock."""
    lengths = np.linalg.norm(moves, axis=1)
    limit = SpeedLimit(
        time=clock.sum(),
        w2_squared=np.sum(moves.sum(0) ** 2),
        dissipation=np.sum(lengths**2 / clock),
        arc_length=lengths.sum(),
    )
    assert limit.certified


def test_a_later_start_and_a_file_keep_the_clocks(tmp_path):
    """Steps count from there; written and read again, they are the same bits."""
    trajectory = walk(MOVES, RATES, snapshot_growth=1.5).trajectory()
    trajectory.save(tmp_path / "t.npz")
    again = Trajectory.load(tmp_path / "t.npz")
    for name in ("steps", "step_dissipation", "seconds", "second_dissipation"):
        np.testing.assert_array_equal(getattr(again, name), getattr(trajectory, name))
    record = int(trajectory.snapshot_records[4])
    later = speed_limit(again.from_start(float(trajectory.times[record])), clock="step").final
    assert later.time == 20 - record
    assert later.dissipation == pytest.approx(np.sum(MOVES[record:] ** 2), rel=1e-12)


def test_other_clocks_are_resumed():
    """Steps before and after a stop are added up."""
    whole, first = walk(MOVES, RATES), walk(MOVES[:8], RATES[:8])
    weights = nn.Parameter(torch.from_numpy(MOVES[:8].sum(0)))
    optimizer = torch.optim.SGD([weights], lr=1.0)
    recorder = Recorder().attach(optimizer)
    recorder.load_state_dict(first.state_dict())
    for move, rate in zip(MOVES[8:], RATES[8:], strict=True):
        optimizer.param_groups[0]["lr"] = float(rate)
        weights.grad = torch.from_numpy(-move / rate)
        optimizer.step()
    found, expected = (each.speed_limit(clock="step").final for each in (recorder.finish(), whole))
    assert found.time == 20
    assert found.dissipation == pytest.approx(expected.dissipation, rel=1e-12)


def test_clocks_that_are_not_there():
    """By hand nothing is known of steps; an unknown clock, and another dissipation, are named."""
    recorder = Recorder()
    for k in range(3):
        recorder.record(time=float(k), loss=math.nan, model=torch.full((2,), float(k)))
    with pytest.raises(ValueError, match=r"`clock` must be one that was recorded; clock = 'step', which"):
        recorder.speed_limit(clock="step")
    trajectory = walk(MOVES, RATES).trajectory()
    with pytest.raises(ValueError, match=r"`clock` must be one of 'flow', 'step', 'seconds', 'edge'; clock = 'sun'\."):
        speed_limit(trajectory, clock="sun")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`dissipation` must be 'path' with this clock; clock = 'step'\."):
        speed_limit(trajectory, clock="step", dissipation="loss_drop")
