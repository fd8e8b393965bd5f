"""What figures for print share: colours, style, the sheet, one band, and how they are saved."""

import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D

from speedlimits._files import write_atomically
from speedlimits.report.curves import Band
from speedlimits.report.ticks import labels, ticks

# Okabe and Ito's colours: distinct to every kind of colour vision.
COLD_COLOUR, WARM_COLOUR, ACCURACY, GREY = "#0072b2", "#d55e00", "#009e73", "#767676"
TRIPLES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

# The formats of `save`: pixels, and two that scale.
SUFFIXES = (".png", ".pdf", ".svg")

# One and two columns of a printed page [inch]; no letter is below 7 points.
COLUMN, PAGE = 3.3, 6.75

STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}


def sheet(title: str, panels: int, *, columns: int = 2, math: bool = False) -> tuple[Figure, list[Axes]]:
    """An empty sheet; call it and draw on it under `STYLE`.

    Args:
        title: above all panels; empty leaves it out.
        panels: how many, from left to right and from top to bottom.
        columns: panels beside each other, at most; one is as wide as a column of print, several as a page.
        math: whether dollars in the title enclose formulas; in a name of the user's they are dollars.

    Returns:
        The figure, not bound to any window, and its panels.
    """
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(COLUMN if columns == 1 else PAGE, rows * (2.5 if rows < 4 else 2.2)), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(textwrap.fill(title, 52 * columns), fontsize=8.5, x=0.01, ha="left", parse_math=math)
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(panels)]


def in_space(axes: Axes) -> Axes3D:
    """The panel again, with three axes instead of two."""
    place, figure = axes.get_subplotspec(), axes.figure
    axes.remove()
    found = figure.add_subplot(place, projection="3d")  # pyright: ignore[reportAttributeAccessIssue]
    found.set(xlabel="$Δw_1$", ylabel="$Δw_2$", zlabel="$Δw_3$")
    found.locator_params(nbins=3)
    found.tick_params(labelsize=7, pad=-3)
    for axis in (found.xaxis, found.yaxis, found.zaxis):
        axis.labelpad = -6  # pyright: ignore[reportAttributeAccessIssue]
    found.set_box_aspect(None, zoom=1.0)  # pyright: ignore[reportArgumentType]  (the stub says int)
    return found


def draw_map(axes: Axes, grid: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> QuadMesh:
    """T/T_SL from each start, a row, to each end, a column, in colours; the colour bar is the caller's."""
    mesh = axes.pcolormesh(grid, norm=LogNorm(), cmap="cividis")
    for axis, times in ((axes.xaxis, ends), (axes.yaxis, starts)):
        chosen = np.unique(np.linspace(0, times.size - 1, 6).round().astype(int))
        axis.set_ticks((chosen + 0.5).tolist(), [f"{times[k]:.2g}" for k in chosen])
    axes.set(xlabel="end $t$", ylabel="start $t_0$")
    return mesh


def draw_triple(axes: Axes3D, path: np.ndarray, index: int) -> None:
    """Draw one path (its three coordinates) in the colour of its index, with a dot at its end."""
    colour = TRIPLES[index % len(TRIPLES)]
    axes.plot(*path, color=colour, linewidth=1.3)
    axes.plot(*path[:, -1:], color=colour, marker="o", markersize=3)


def shades(count: int) -> list[str]:
    """So many colours in order, from dark to bright."""
    return [to_hex(colour) for colour in mpl.colormaps["viridis"](np.linspace(0.0, 0.85, count))]


def log_numbers(axes: Axes, across: int = 5, up: int = 7) -> None:
    """Numbers along the logarithmic scales of a panel, to be called when all is drawn.

    Args:
        axes: the panel.
        across: numbers for which there is room along x.
        up: and along y.
    """
    for axis, most in ((axes.xaxis, across), (axes.yaxis, up)):
        low, high = sorted(axis.get_view_interval())
        if axis.get_scale() == "log" and high > low > 0:
            places = ticks(low, high, most)
            axis.set_major_locator(FixedLocator(places))
            axis.set_major_formatter(FixedFormatter(labels(places)))
            axis.set_minor_locator(NullLocator())


def legend(axes: Axes, columns: int = 2, **options: Any) -> None:
    """Names of the curves between a panel's title and its curves, so that they cover none of them.

    Args:
        axes: with its title and all its curves.
        columns: names beside each other.
        options: of matplotlib's ``legend``.
    """
    shown = axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        borderaxespad=0.1,
        borderpad=0.1,
        columnspacing=1.0,
        handlelength=1.8,
        labelspacing=0.2,
        **options,
    )
    rows = -(-len(shown.get_texts()) // columns)
    axes.set_title(axes.get_title(loc="left"), pad=4 + 1.3 * STYLE["legend.fontsize"] * rows)


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
    write_atomically(Path(path), lambda file: figure.savefig(file, format=Path(path).suffix[1:], dpi=220))


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
