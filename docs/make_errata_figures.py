"""Draw the figures of docs/errata.md: each misprint beside its correction and brute force on random draws.

Run: python docs/make_errata_figures.py [--out docs/errata]

Draws: docs/errata/regression.png, kernel.png and entropy.png
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from errata import entropy, kernel, regression
from errata.panel import Panel
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from speedlimits.report.figures.sheet import COLD_COLOUR, STYLE, WARM_COLOUR, save

TOPICS = {"regression": regression, "kernel": kernel, "entropy": entropy}
ROWS, DRAWS, SEED = 2, 40, 0


@mpl.rc_context(STYLE)
def sheet(panels: list[Panel]) -> Figure:
    """All panels of one topic, with one legend.

    Args:
        panels: at least one.

    Returns:
        The figure.
    """
    columns = -(-len(panels) // ROWS)
    figure = Figure(figsize=(3.4 * columns, 3.1 * ROWS + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    for k, panel in enumerate(panels):
        draw(figure.add_subplot(ROWS, columns, k + 1), panel)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


def draw(axes: Axes, panel: Panel) -> None:
    """One panel: printed dashed, corrected drawn through, brute force with 2 standard errors.

    Args:
        axes: where.
        panel: what.
    """
    spaced = np.geomspace if panel.x_scale == "log" else np.linspace
    x = spaced(panel.x[0], panel.x[-1], 200)
    axes.plot(x, panel.printed(x), color=WARM_COLOUR, linestyle="--", label="as printed")
    axes.plot(x, panel.corrected(x), color=COLD_COLOUR, label="corrected")
    axes.errorbar(
        panel.x,
        panel.mean,
        2 * panel.error,
        fmt="ko",
        markersize=3,
        capsize=2,
        label="random draws, ± 2 standard errors",
    )
    axes.set(xscale=panel.x_scale, yscale=panel.y_scale, xlabel=panel.x_label, ylabel=panel.y_label)
    axes.set_title(panel.title)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            low, high = axis.get_view_interval()
            # Where decades alone would leave an axis all but bare, 1, 2 and 5 of each.
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 50 * low else (1.0,)))
            axis.set_minor_formatter(NullFormatter())
            if low > 1e-3 and high < 1e5:
                axis.set_major_formatter("{x:g}")


def main() -> None:
    """Draw every topic."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "errata", help="folder of the figures")
    folder = parser.parse_args().out
    for name, topic in TOPICS.items():
        save(sheet(topic.panels(DRAWS, np.random.default_rng(SEED))), folder / f"{name}.png")


if __name__ == "__main__":
    main()
