"""Figures for print: as wide as a column or a page, letters that can be read, names of curves beside the curves."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from speedlimits.report.curves import later_views
from speedlimits.report.figures.comparison import comparison
from speedlimits.report.figures.overview import overview
from speedlimits.report.figures.panels import Panel, panels
from speedlimits.report.figures.theory import flow, misprint
from speedlimits.theory import PowerLaw
from tests.recordings import steady
from tests.report.members import RUNS


def recording() -> Figure:
    found = steady()
    return overview([found.trajectory], [], "recording", noise=found.noise)


def closed_form() -> Figure:
    law = PowerLaw(spectrum_exponent=1.5, residual_exponent=1.5, modes=50)
    return flow(law.speed_limit(np.geomspace(0.01, 100, 30)), law.speed_limit(np.array([1.0, 10.0])), "law")


def one_panel() -> Figure:
    law = PowerLaw(spectrum_exponent=1.5, residual_exponent=1.5, modes=50).speed_limit(np.geomspace(1, 9, 5))
    return misprint(np.geomspace(1, 9, 5), law, law, "one panel")


DRAWN = {
    "run": lambda: overview(RUNS, later_views(RUNS, 0.05), "a name that is long enough for two lines, " * 3),
    "recording": recording,
    "compare": lambda: comparison({"fast": RUNS[:2], "slow": RUNS[1:]}, "two", "loss"),
    "theory": closed_form,
    "one panel": one_panel,
    "panels": lambda: panels("x", *[Panel("p", "x", "y", {"a": ([1, 2], [1, 2]), "b": ([1, 2], [1, 2])})] * 2),
}


@pytest.mark.parametrize("name", DRAWN)
def test_figures_are_for_print(name):
    """3.3 or 6.75 inches wide, nothing beyond the edges, no letter below 7 points, no legend on a panel."""
    figure = DRAWN[name]()
    figure.draw_without_rendering()
    assert figure.get_figwidth() == (3.3 if name == "one panel" else 6.75)
    letters = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in letters) >= 7
    box = figure.get_tightbbox()
    assert box.x0 >= -0.02
    assert box.x1 <= figure.get_figwidth() + 0.02
    for axes in figure.axes:
        if axes.get_legend() is not None:
            legend, panel = (part.get_window_extent() for part in (axes.get_legend(), axes.patch))
            assert legend.y0 >= panel.y1 - 1
            # The title stands above the names.
            assert axes._left_title.get_window_extent().y0 >= legend.y1 - 2


def test_curves_that_coincide_are_seen():
    """Of two equal curves the lower one is wider than the upper; so is T/T_SL where pace or bends are all of it."""
    for figure in (DRAWN["panels"](), closed_form()):
        for axes in figure.axes:
            assert isinstance(axes, Axes)
            first, second, *_ = (line.get_linewidth() for line in axes.get_lines() if line.get_linestyle() != "None")
            assert first >= 2 * second
