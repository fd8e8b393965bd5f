"""What figures for print share: colours, style, one band, and how they are saved."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speedlimits._files import write_atomically
from speedlimits.report.curves import Band

# Okabe and Ito's colours: distinct to every kind of colour vision.
COLD, WARM, ACCURACY, GREY = "#0072b2", "#d55e00", "#009e73", "#767676"
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
    axes.fill_between(
        curve.times, curve.mean - curve.std, curve.mean + curve.std, color=colour, alpha=0.18, linewidth=0
    )
