"""The page and the figure of a recording: verdict first, strides with the drift, nothing that was not measured."""

import re

import numpy as np
import pytest

from speedlimits import report
from speedlimits.report.figures.overview import overview, strides
from speedlimits.report.figures.sheet import sheet
from speedlimits.report.pages import panels
from speedlimits.report.pages.recording import later_starts, write_recording_page
from speedlimits.report.pages.render import subscripts
from speedlimits.runs import Recording, load_recording
from tests.recordings import by_hand, noisy, steady


def text(page: str) -> str:
    """What a reader sees: the page without its programs and its style."""
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)


@pytest.mark.parametrize(("made", "shown"), [(noisy, 6), (steady, 6), (by_hand, 3)])
def test_report_of_a_recording(tmp_path, made, shown):
    """Page and figure lie in its folder; the verdict is the headline; a panel for each thing measured."""
    recording = load_recording(made().save(tmp_path / "x"))
    page = text(report.write(recording).read_text())
    assert (tmp_path / "x" / "overview.png").stat().st_size > 10_000
    assert f'<h1 class="sentence">{subscripts(recording.summary["verdict"][0])}</h1>' in page
    assert page.count('class="plot"') == shown
    assert recording.provenance["id"] in page
    for word in ("None", "nan", "http", "held-out"):
        assert not re.search(rf"\b{word}\b", page), word


def test_page_stands_alone(tmp_path):
    """It opens without a network: no address is asked for."""
    write_recording_page(tmp_path / "page.html", noisy())
    assert not re.search(r'(src|href)="(https?:)?//', text((tmp_path / "page.html").read_text()))


def test_drift_is_drawn_where_it_is_known():
    """The estimate and its interval stand beside the curve over strides; without an estimate only the curve does."""
    known, unknown = steady().noise, noisy().noise
    assert known.identifiable != "no"
    assert unknown.identifiable == "no"
    lines = {curve.name: curve for curve in panels.strides(known).curves}
    assert set(lines) == {"drift, with its interval", "noise included"}
    np.testing.assert_array_equal(lines["noise included"].y, known.curve.inefficiency)
    np.testing.assert_array_equal(lines["drift, with its interval"].y, known.inefficiency)
    assert [curve.name for curve in panels.strides(unknown).curves] == ["noise included"]
    for noise, labels in ((known, 2), (unknown, 1)):
        _, (axes,) = sheet("", 1)
        strides(axes, noise)
        assert len(axes.get_legend().get_texts()) == labels


def test_later_starts_go_to_the_end():
    """The last point is T/T_SL from the last start but one to the end, by its own distance and dissipation."""
    run = noisy().trajectory
    (line,) = panels.later_starts(run).curves
    rows, between = run.snapshot_records, run.snapshot_distances_squared
    start = rows[-2]
    expected = (
        (run.time - run.times[start]) * (run.path_dissipation[-1] - run.path_dissipation[start]) / between[-2, -1]
    )
    assert line.x[-1] == run.times[start]
    assert line.y[-1] == pytest.approx(expected)


def test_overview_has_the_strides():
    """One panel more than the same path without strides."""
    seen = [noisy().trajectory]
    bare, full = (overview(seen, later_starts(seen), "x", noise=each) for each in (None, noisy().noise))
    assert len(full.axes) == len(bare.axes) + 1


def test_what_cannot_be_drawn_is_named(tmp_path):
    """A recording in memory has no folder of its own; one record is no path."""
    with pytest.raises(ValueError, match="`folder` must be given for a recording that was not read from one"):
        report.write(noisy())
    assert report.write(noisy(), tmp_path / "there") == tmp_path / "there" / "report.html"
    short = by_hand()
    one = Recording.of(
        short.config,
        short.trajectory.__class__(
            **dict.fromkeys(("times", "w2_squared", "arc_lengths", "path_dissipation"), np.zeros(1)), losses=np.ones(1)
        ),
        None,
        ["x"],
    )
    with pytest.raises(ValueError, match="a page needs a recording of two records or more; it has 1"):
        report.write(one, tmp_path / "one")


def test_sentences_are_text():
    """Names and sentences cannot be markup; the index of T_SL is one."""
    assert subscripts("T_SL < 1") == "T<sub>SL</sub> &lt; 1"
