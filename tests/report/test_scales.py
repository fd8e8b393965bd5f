"""Numbers along the scales, in print and in the browser, and what a page about one network leaves out."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from speedlimits import report
from speedlimits.report.curves import Band
from speedlimits.report.figures.sheet import plain_numbers
from speedlimits.report.pages import kernel, panels
from speedlimits.runs.kernel import KernelRecord, KernelView
from tests.report.test_report import member


def numbers(low: float, high: float) -> list[str]:
    """What stands along a logarithmic scale."""
    figure = Figure()
    axes = figure.subplots()
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    plain_numbers(axes)
    figure.draw_without_rendering()
    ticks = [(label.get_position()[1], label.get_text()) for label in axes.get_yticklabels(which="both")]
    return [text for place, text in sorted(ticks) if text and low <= place <= high]


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.95, 1.75, ["1", "1.1", "1.2", "1.3"]),
        (18, 82, ["20", "30", "40", "50", "60", "70", "80"]),
        (0.9, 25, ["1", "2", "5", "10", "20"]),
        (1e-4, 2, ["$\\mathdefault{10^{-4}}$", "$\\mathdefault{10^{-3}}$", "$\\mathdefault{10^{-2}}$"]),
    ],
)
def test_scale_has_numbers_however_little_it_spans(low, high, found):
    """A scale within one power of ten has numbers; one over many keeps the powers."""
    assert numbers(low, high)[: len(found)] == found


def test_shade_is_without_dots():
    """A shade of few points is an area, not a row of dots: plotly would add them."""
    times = np.array([1.0, 2.0, 3.0])
    figure = panels.go.Figure()
    panels.add_band(figure, Band(times, times, 0.1 * times), "#0072b2", "name")
    assert [trace.mode for trace in figure.data] == ["lines", "lines"]


def test_inset_covers_no_point():
    """On the page the eigenvalues by rank stand below every share of the residual; a share of zero has no place."""
    modes = np.geomspace(100.0, 1e-4, 80)
    residual = np.where(np.arange(80) == 40, 0.0, np.sqrt(modes))
    view = KernelView(start_time=0.0, eigenvalues=modes, residual=residual, top=modes)
    record = KernelRecord(
        seed=0, pairs=80, matrix_free=False, chosen=0, views=(view,), drift_times=np.ones(1), drift=np.ones(1)
    )
    figure = kernel.overlaps(record)
    low, high = figure.layout.yaxis.range
    shares = figure.data[0].y
    assert (np.log10(shares[shares > 0].min()) - low) / (high - low) > figure.layout.annotations[0].y
    # The heading of the inset stands above it.
    assert figure.layout.annotations[0].y > figure.layout.yaxis2.domain[1]


def test_one_network_has_no_deviation(tmp_path):
    """The page about a single network has neither mean nor deviation."""
    page = {}
    for count in (1, 2):
        path = report.write_trajectories([member(k) for k in range(count)], tmp_path / str(count), title="toy")
        page[count] = path.read_text().split("<main>")[1]
    assert "<td>mean</td>" in page[2]
    assert "±" in page[2]
    assert "<td>mean</td>" not in page[1]
    assert "±" not in page[1]
