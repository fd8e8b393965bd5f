"""Figures and page: they show the right numbers and load nothing from elsewhere."""

import json
import re

import numpy as np
import pytest

from speedlimits.report.curves import band, limit_band, warm_views
from speedlimits.report.figures.overview import overview
from speedlimits.report.figures.sheet import save
from speedlimits.report.pages.page import write_page
from tests.report.members import CONFIG, RUNS, SUMMARY, member


def write(path, summary=SUMMARY, runs=RUNS) -> str:
    write_page(path, summary, {"python": "3"}, vars(CONFIG), runs)
    return path.read_text()


def test_band_is_mean_and_deviation():
    """A band is NumPy's mean and n − 1 deviation at each record, the 0/0 at the start left out."""
    values = np.array([run.losses for run in RUNS])[:, 1:]
    found = band(RUNS, lambda run: run.losses)
    np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.std, values.std(axis=0, ddof=1), rtol=1e-12)
    alone = band(RUNS[:1], lambda run: run.losses)
    assert np.isnan(alone.std).all()
    # What is drawn of it has no width.
    for edge in alone.edges:
        np.testing.assert_array_equal(edge, alone.mean)


def test_band_leaves_out_what_is_not_a_number():
    """A member without a value is left out of the mean; without any member there is a gap."""
    gaps = iter([np.array([0.0, np.nan, np.nan]), np.array([0.0, 4.0, np.nan])])
    run = member(0, 3)
    found = band([run, run], lambda _: next(gaps))
    assert found.mean[0] == 4.0
    assert np.isnan(found.mean[1])


def test_factors_multiply_to_the_inefficiency():
    """The drawn curves obey inefficiency = geometric × pace for one member."""
    total, bends, pace = (limit_band(RUNS[:1], name).mean for name in ("inefficiency", "geometric", "pace"))
    np.testing.assert_allclose(total, bends * pace, rtol=1e-12)
    assert (total >= 1 - 1e-12).all()


def test_members_must_share_their_times():
    """Averages over members recorded at different times would mean nothing."""
    with pytest.raises(ValueError, match=r"`trajectories` must have common times; those of trajectories\[1\] differ"):
        band([member(0), member(0, 50)], lambda run: run.losses)


def test_thinning_keeps_the_ends():
    """A long series keeps its first and last point."""
    curve = band(RUNS, lambda run: run.losses)
    thin = curve.thinned(7)
    assert thin.times.size == 7
    assert (thin.times[0], thin.times[-1]) == (curve.times[0], curve.times[-1])


def test_overview_is_a_picture(tmp_path):
    """The overview is written as one PNG, with and without warm curves."""
    for warm in ([], warm_views(RUNS, 0.05)):
        save(overview(RUNS, warm, "title"), tmp_path / "overview.png")
        assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["overview.png"]


def test_page_holds_the_numbers_and_stands_alone(tmp_path):
    """Verdict, table and four panels are in the page; nothing in it is loaded from elsewhere."""
    page = write(tmp_path / "report.html")
    assert f"{SUMMARY['mean']['inefficiency']:.3g} times slower than thermodynamics allows" in page
    assert page.count('class="plot"') == 4
    assert page.split("<h2>Every network")[1].count("<tr>") == 1 + 3 + 2
    outside = page.replace("\n", " ")
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=.(?:https?:)?//", outside)
    assert len(page.encode()) < 2.5e6


def test_page_escapes_what_it_is_given(tmp_path):
    """A configuration is text, not markup."""
    page = write(tmp_path / "report.html", SUMMARY | {"dataset": "<script>alert(1)</script>"})
    assert "<script>alert(1)" not in page


def test_page_says_what_is_missing(tmp_path):
    """Numbers that do not exist are dashes; a run that is not certified says why."""
    gaps = SUMMARY["mean"] | {"inefficiency": None, "test_accuracy": None}
    page = write(
        tmp_path / "report.html", SUMMARY | {"mean": gaps, "certified": False, "reasons": ["seed 1: the loss rose"]}
    )
    assert "not certified" in page
    assert "seed 1: the loss rose" in page
    assert "<b>–</b>" in page


def test_summary_is_json():
    """A summary survives JSON unchanged: no NaN, no NumPy numbers."""
    assert json.loads(json.dumps(SUMMARY, allow_nan=False)) == SUMMARY
