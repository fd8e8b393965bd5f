"""Numbers along the scales, in print and in the browser: few enough to read, and in the same places."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from speedlimits.report.curves import Band
from speedlimits.report.figures.sheet import log_numbers
from speedlimits.report.pages.chart import Axis, Chart, Curve, Paths, from_band, plain_text
from speedlimits.report.pages.drawing import figure
from speedlimits.report.ticks import labels, ticks


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.95, 1.75, ["1", "1.2", "1.4", "1.6"]),
        (18, 82, ["20", "30", "40", "50", "60", "70", "80"]),
        (0.9, 25, ["1", "2", "5", "10", "20"]),
        (0.002, 0.6, ["0.003", "0.01", "0.03", "0.1", "0.3"]),
        (1e-4, 2, ["10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "10⁰"]),
        (1e-12, 1, ["10⁻¹²", "10⁻¹⁰", "10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "10⁰"]),
        (10, 1e4, ["10", "100", "1000", "10000"]),
        (1, 1.0001, ["1", "1.00002", "1.00004", "1.00006", "1.00008", "1.0001"]),
    ],
)
def test_numbers_along_a_scale(low, high, found):
    """From a ten-thousandth to twelve powers of ten: three to seven numbers, each as people write it."""
    assert labels(ticks(low, high)) == found
    _, axes = (drawing := Figure()), drawing.subplots()
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    log_numbers(axes)
    drawing.draw_without_rendering()
    assert [text.get_text() for text in axes.get_yticklabels(which="both")] == found
    # Across there is room for fewer.
    assert 3 <= len(axes.get_xticklabels(which="both")) <= 5


@pytest.mark.parametrize("low", np.geomspace(1e-9, 1e9, 7))
@pytest.mark.parametrize("span", [1.0005, 1.3, 3, 9.5, 30, 200, 5e3, 1e8, 1e40])
def test_every_scale_has_numbers(low, span):
    """Two numbers at least and as many at most as there is room for, in order, within the scale, none twice."""
    for most in (5, 7):
        found = ticks(low, low * span, most)
        assert 2 <= len(found) <= most
        assert found == sorted(set(found))
        assert low * (1 - 1e-9) <= found[0] < found[-1] <= low * span * (1 + 1e-9)
        assert len(set(labels(found))) == len(found)


def test_scale_needs_two_ends():
    """Zero is no end of a logarithmic scale, and its ends have an order."""
    with pytest.raises(ValueError, match="`low` must be positive"):
        ticks(0.0, 1.0)
    with pytest.raises(ValueError, match=r"`high` must be above `low`; high = 1.0, low = 2.0."):
        ticks(2.0, 1.0)


TIMES = np.array([1.0, 10.0, 100.0])


def chart(*curves: Curve) -> Chart:
    return Chart("Something falls.", Axis("time T", "flow time"), Axis("T<sub>SL</sub>", "loss"), curves)


def test_shade_ends_at_the_mean_where_it_would_reach_zero():
    """A logarithmic scale has no zero: there the shade ends at the mean; it is an area, without dots."""
    band = from_band("a", Band(TIMES, np.array([2.0, 2.0, 2.0]), np.array([1.0, 3.0, 0.5])), "cold")
    low, high, mean = json.loads(figure(chart(band)))["data"]
    assert low["y"] == [1.0, 2.0, 1.5]
    assert high["y"] == [3.0, 5.0, 2.5]
    assert high["fill"] == "tonexty"
    assert {trace["mode"] for trace in (low, high, mean)} == {"lines"}
    # What the data say is not what is drawn.
    assert chart(band).rows[1] == ("a", "10", "2", "-1", "5")


def test_scale_goes_through_all_that_is_drawn():
    """Both ends lie beyond curve and shade, and tooltips have names and units."""
    band = from_band("a", Band(TIMES, np.full(3, 2.0), np.full(3, 1.0)), "cold")
    parts = json.loads(figure(chart(band)))
    low, high = parts["layout"]["yaxis"]["range"]
    assert low < np.log10(1.0) < np.log10(3.0) < high
    assert parts["data"][-1]["hovertemplate"] == "%{y:.4g} loss"
    assert parts["layout"]["xaxis"]["unifiedhovertitle"]["text"] == "time T = %{x:.4g} flow time"


def test_chart_is_told_in_words():
    """Alternative text names axes, curves and their ends; the table has a few points of each."""
    many = np.arange(1.0, 101.0)
    shown = chart(Curve("from t₀", many, 2 * many, "warm"))
    assert shown.alt == (
        "Something falls. Across: time T; up: T_SL on logarithmic scales. from t₀: from 2 at 1 to 200 at 100."
    )
    assert shown.columns == ["curve", "time T", "T_SL"]
    assert shown.rows[0] == ("from t₀", "1", "2")
    assert shown.rows[-1] == ("from t₀", "100", "200")
    assert len(shown.rows) == 8
    paths = Paths("Paths.", ("x", "y", "z"), {"one": np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])})
    assert paths.alt == "Paths. one ends at (1, 2, 3)."
    assert paths.rows == [("one", "0", "0", "0"), ("one", "1", "2", "3")]


def test_labels_are_text():
    """Outside pictures an index is an underscore; a name that a user gave keeps its own signs."""
    assert plain_text("speed limit T<sub>SL</sub>") == "speed limit T_SL"
    assert plain_text("loss a &lt; b") == "loss a < b"
    assert "</script" not in figure(chart(Curve("</script><b>", TIMES, TIMES, "cold")))
