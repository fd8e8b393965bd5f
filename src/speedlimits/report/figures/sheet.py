"""What figures for print share: colours, style, the sheet, one band, and how they are saved."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D

from speedlimits._files import write_atomically
from speedlimits.report.curves import Band

# Okabe and Ito's colours: distinct to every kind of colour vision.
COLD_COLOUR, WARM_COLOUR, ACCURACY, GREY = "#0072b2", "#d55e00", "#009e73", "#767676"
TRIPLES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

# The formats of `save`: pixels, and two that scale.
SUFFIXES = (".png", ".pdf", ".svg")

STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


def sheet(
    title: str, panels: int, *, columns: int = 2, size: tuple[float, float] = (4.8, 3.8), math: bool = False
) -> tuple[Figure, list[Axes]]:
    """An empty sheet; call it and draw on it under `STYLE`.

    Args:
        title: above all panels; empty leaves it out.
        panels: how many, from left to right and from top to bottom.
        columns: panels beside each other, at most.
        size: of one panel [inch].
        math: whether dollars in the title enclose formulas; in a name of the user's they are dollars.

    Returns:
        The figure, not bound to any window, and its panels.
    """
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(columns * size[0], rows * size[1]), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=11, x=0.01, ha="left", parse_math=math)
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(panels)]


def in_space(axes: Axes) -> Axes3D:
    """The panel again, with three axes instead of two."""
    place, figure = axes.get_subplotspec(), axes.figure
    axes.remove()
    found = figure.add_subplot(place, projection="3d")  # pyright: ignore[reportAttributeAccessIssue]
    found.set(xlabel="$Δw_1$", ylabel="$Δw_2$", zlabel="$Δw_3$")
    found.locator_params(nbins=4)
    found.tick_params(labelsize=7, pad=-2)
    found.set_box_aspect(None, zoom=0.86)  # pyright: ignore[reportArgumentType]  (the stub says int)
    return found


def draw_triple(axes: Axes3D, path: np.ndarray, index: int) -> None:
    """Draw one path (its three coordinates) in the colour of its index, with a dot at its end."""
    colour = TRIPLES[index % len(TRIPLES)]
    axes.plot(*path, color=colour, linewidth=1.3)
    axes.plot(*path[:, -1:], color=colour, marker="o", markersize=3)


def plain_numbers(axes: Axes) -> None:
    """Numbers along a logarithmic scale that spans up to three powers of ten, to be called when all is drawn."""
    low, high = axes.get_ylim()
    if high > 1e3 * low:
        return
    axes.yaxis.set_major_formatter("{x:g}")
    # 1, 2, 5, 10 and so on; along less than that, as many as there is room for.
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)) if high > 5 * low else MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="y", which="minor", labelsize=7)


def save(figure: Figure, path: str | Path) -> None:
    """Write the figure, whole or not at all.

    Args:
        figure: from this package.
        path: the file; its suffix is one of `SUFFIXES` and gives the format.

    Raises:
        ValueError: if the suffix is another.
        OSError: what the disk reports.
    """
    check_suffix("path", path)
    write_atomically(Path(path), lambda file: figure.savefig(file, format=Path(path).suffix[1:], dpi=150))


def check_suffix(name: str, path: str | Path) -> None:
    """Raise unless a figure can be written under this name.

    Args:
        name: of the argument, for the error.
        path: the file.

    Raises:
        ValueError: if its suffix is not one of `SUFFIXES`.
    """
    if Path(path).suffix not in SUFFIXES:
        raise ValueError(f"`{name}` must end in one of {', '.join(SUFFIXES)}; {name} = {str(path)!r}.")


def draw_band(axes: Axes, curve: Band, colour: str, label: str, linestyle: str = "-") -> None:
    """Draw a mean as a line and one deviation as a shade.

    Args:
        axes: where.
        curve: the band.
        colour: of both.
        label: in the legend.
        linestyle: of the mean.
    """
    axes.plot(curve.times, curve.mean, color=colour, label=label, linestyle=linestyle)
    axes.fill_between(curve.times, *curve.edges, color=colour, alpha=0.18, linewidth=0)
