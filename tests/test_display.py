"""One line for a shell, a small card for a notebook, tables for other tools: never a dump of arrays."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from speedlimits import SpeedLimit, speed_limit
from speedlimits._display import HEIGHT, WIDTH, Curve, card, picture
from speedlimits._series import OTHERS
from speedlimits.runs import Run, RunConfig
from tests.recordings import noisy, steady
from tests.report.members import member


def points(svg: str) -> list[np.ndarray]:
    """The corners of each curve."""
    found = re.findall(r'points="([^"]*)"', svg)
    return [np.array([list(map(float, each.split(","))) for each in line.split()]) for line in found]


def test_one_line_each():
    """What a shell prints has no array in it, whatever the number of records."""
    recording, long = noisy(), member(0, 5000)
    limit = speed_limit(long)
    for value in (recording, recording.noise, recording.noise.curve, long, limit, limit.final, limit[:0]):
        assert "\n" not in repr(value)
        assert "array" not in repr(value)
        assert len(repr(value)) < 300
    assert repr(member(0)) == "Trajectory(60 records to T = 1, loss 10 to 8.039)"
    late = member(0).from_start(0.1)
    assert f"from t₀ = {late.start_time:.4g}" in repr(late)
    assert repr(SpeedLimit(time=2, w2_squared=1, dissipation=1)) == "SpeedLimit(T = 2, T_SL = 1, T/T_SL = 2)"
    assert repr(SpeedLimit(time=np.ones((2, 3)), w2_squared=1, dissipation=1)) == "SpeedLimit(shape (2, 3))"


def test_losses_that_are_no_numbers_are_passed_over():
    """The line has the first and last that are."""
    run = steady().trajectory
    losses = run.losses.copy()
    losses[[0, -1]] = np.nan
    shown = repr(
        type(run)(
            times=run.times,
            losses=losses,
            **{name: getattr(run, name) for name in ("w2_squared", "arc_lengths", "path_dissipation")},
        )
    )
    assert shown.endswith(f"loss {losses[1]:.4g} to {losses[-2]:.4g})")


def test_cards_are_small():
    """Verdict and picture of a limit, two pictures of a trajectory; a hundred times the records, the same size."""
    for records in (60, 6000):
        run = member(0, records)
        assert speed_limit(run)._repr_html_().count("<svg") == 1
        assert run._repr_html_().count("<svg") == 2
        assert len(run._repr_html_()) < 12_000
    assert speed_limit(run).verdict() in speed_limit(run)._repr_html_()
    assert "<svg" not in speed_limit(run).final._repr_html_()
    assert "shape" in SpeedLimit(time=np.ones((2, 3)), w2_squared=1, dissipation=1)._repr_html_()


def test_curve_lies_where_its_numbers_are():
    """On logarithmic scales a power law is a straight line from corner to corner, inside the picture."""
    x = np.geomspace(1, 1000, 30)
    (line,) = points(picture("x", [Curve(x, x**2)]))
    assert (line >= 0).all()
    assert (line <= [WIDTH, HEIGHT]).all()
    slopes = np.diff(line[:, 1]) / np.diff(line[:, 0])
    # Places have one digit behind the point.
    np.testing.assert_allclose(slopes, (line[-1, 1] - line[0, 1]) / (line[-1, 0] - line[0, 0]), atol=0.03)
    for tick in ("1", "10", "100", "1,000"):
        assert f">{tick}</text>" in picture("x", [Curve(x, x**2)])


def test_what_has_no_place_is_left_out():
    """Zeros, negative numbers and NaN make no points; a constant stands in the middle; nothing is an empty picture."""
    x = np.array([0.0, 1.0, 2.0, 3.0, 4.0, np.inf])
    (line,) = points(picture("x", [Curve(x, np.array([1.0, 5.0, np.nan, 5.0, -1.0, 5.0]))]))
    assert len(line) == 2
    assert line[0, 1] == line[1, 1]
    assert picture("x", [Curve(x, np.full(6, np.nan))]) == ""
    assert picture("x", []) == ""


def test_texts_cannot_be_markup():
    assert "&lt;script&gt;" in card("<script>")
    assert "<script>" not in card(["<script>", "x"]) + picture("<script>", [Curve(np.ones(2), np.ones(2))])


def test_table_of_a_trajectory():
    """A row for each record; every series over the records is a column, and can be written to."""
    pytest.importorskip("pandas")
    run = member(0)
    table = run.to_pandas()
    assert table.index.name == "time"
    np.testing.assert_array_equal(table.index, run.times)
    np.testing.assert_array_equal(table["losses"], run.losses)
    assert set(table) == {name for name in vars(run) if name not in {"times", "start_time", *OTHERS}}
    assert table["gradient_evaluations"].dtype == np.int64
    assert table.attrs["start_time"] == 0.0
    table.loc[0.0, "losses"] = 3.0
    assert run.losses[0] != 3.0


def test_labelled_arrays_of_a_trajectory():
    """Everything the trajectory has, by names and dimensions."""
    pytest.importorskip("xarray")
    run = member(0).from_start(0.1)
    found = run.to_xarray()
    assert set(found.data_vars) | {"times", "start_time"} == set(vars(run))
    for name in found.data_vars:
        np.testing.assert_array_equal(found[name], getattr(run, name))
    assert found["weight_traces"].dims == ("time", "triple", "axis")
    assert found.attrs["start_time"] == run.start_time
    assert float(found["losses"].sel(time=run.times[1])) == run.losses[1]


@pytest.mark.parametrize("module", ["pandas", "xarray"])
def test_what_is_not_installed_is_named(monkeypatch, module):
    """One line with what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"`to_{module}` needs {module}: pip install {module}"):
        getattr(member(0), f"to_{module}")()


def test_cards_need_no_library_of_pictures():
    """A notebook shows them at once: neither torch nor matplotlib nor plotly is imported."""
    code = (
        "import sys, speedlimits; l = speedlimits.SpeedLimit(time=[1, 2], w2_squared=[1, 1], dissipation=[1, 2]);"
        "assert '<svg' in l._repr_html_(); assert not {'torch', 'matplotlib', 'plotly', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def finished() -> Run:
    """A run of two members, as if it had been read."""
    members = {0: member(0), 1: member(1)}
    return Run(Path("runs/x"), RunConfig(seeds=(0, 1)), {"mean": {"inefficiency": 2.5}}, {}, members)


def test_run_shows_itself():
    """A run is one line and a card."""
    run = finished()
    assert repr(run) == "Run(runs/x, 2 networks to T = 1, 2.5 times slower than the limit)"
    assert run._repr_html_().count("<svg") == 2


def test_run_is_one_table():
    """All members stand below each other, with their seeds."""
    pytest.importorskip("pandas")
    table = finished().to_pandas()
    assert table.index.names == ["seed", "time"]
    np.testing.assert_array_equal(table.loc[1, "losses"], member(1).losses)
