"""Named curves in panels beside each other, for the closed forms that need no picture of their own."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from speedlimits.report.figures.sheet import STYLE, TRIPLES, legend, log_numbers, sheet

Scale = Literal["linear", "log"]


class Panel(NamedTuple):
    """One panel: its title, what its axes say and how they are scaled, and its curves by name."""

    title: str
    across: str
    up: str
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]]
    scales: tuple[Scale, Scale] = ("log", "log")
    mark: str = "-"


@mpl.rc_context(STYLE)
def panels(title: str, *parts: Panel) -> Figure:
    """Draw panels from left to right.

    Args:
        title: above all of them.
        parts: each panel.

    Returns:
        The figure, not bound to any window.
    """
    figure, places = sheet(title, len(parts), math=True)
    for axes, part in zip(places, parts, strict=True):
        for index, (label, (x, y)) in enumerate(part.curves.items()):
            # What lies under other curves is wider, and shows beside them where they coincide.
            wide = 1.0 + 1.3 * (len(part.curves) - 1 - index)
            look: dict[str, Any] = {"linewidth": wide, "markersize": 2.5 + wide, "alpha": 0.5 if wide > 1 else 1.0}
            axes.plot(x, y, part.mark, color=TRIPLES[index % len(TRIPLES)], label=label, **look)
        axes.set(xscale=part.scales[0], yscale=part.scales[1], xlabel=part.across, ylabel=part.up)
        axes.set_title(part.title)
        log_numbers(axes)
        legend(axes)
    return figure
