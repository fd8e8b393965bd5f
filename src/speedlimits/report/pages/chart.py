"""What a chart of a page shows, before it is drawn: its axes, its curves, and the same in words and numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Literal

import numpy as np
from jaxtyping import Float64

from speedlimits.report.curves import Band

# As long as the curve; empty without a shade.
Edges = Float64[np.ndarray, " edges"]
# Names of colours; `static/page.css` has them for light, dark and paper.
Triple = Literal["triple-1", "triple-2", "triple-3", "triple-4", "triple-5", "triple-6"]
Colour = Literal["cold", "warm", "accuracy", "grey"] | Triple
Dash = Literal["solid", "dash", "dot"]

# More points than pixels only make the page heavy.
POINTS = 1000
# Rows of the table of data that each curve has.
ROWS = 8


@dataclass(frozen=True)
class Axis:
    """One axis.

    Args:
        label: of what; may hold ``<sub>``, and what a user named must be escaped.
        unit: of its numbers, for tooltips; empty for pure numbers.
        logarithmic: the scale.
        percent: numbers are shares of one and run from 0 to 1.
        zero: the scale begins at 0.
        values: where numbers stand; by default where it is best.
    """

    label: str
    unit: str = ""
    logarithmic: bool = True
    percent: bool = False
    zero: bool = False
    values: Sequence[float] = ()

    @property
    def name(self) -> str:
        """The label as plain text."""
        return plain_text(self.label)


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve with what surrounds it.

    Args:
        name: in the legend and the tooltip; may hold ``<sub>``.
        x: from left to right.
        y: its values; empty for a shade alone.
        colour: of line and shade.
        dash: of the line.
        low: lower edge of its shade; empty without one.
        high: upper edge of its shade.
        mark: dots at its points, and bars instead of a shade.
        right: it belongs to the axis on the right.
    """

    name: str
    x: Float64[np.ndarray, " points"]
    y: Float64[np.ndarray, " points_or_none"]
    colour: Colour
    dash: Dash = "solid"
    low: Edges = field(default_factory=lambda: np.empty(0))
    high: Edges = field(default_factory=lambda: np.empty(0))
    mark: Literal["", "dots", "bars"] = ""
    right: bool = False

    @property
    def ends(self) -> str:
        """Its name, its first and its last point in words."""
        first, last = (f"{self.y[k]:.3g} at {self.x[k]:.3g}" for k in (0, -1))
        return f"{plain_text(self.name)}: from {first} to {last}"

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """A few of its points as text: name, x, y and, where there is a shade, its edges."""
        name, found = plain_text(self.name), []
        for k in _few(self.y.size):
            edges = [f"{edge[k]:.4g}" for edge in (self.low, self.high)] if self.low.size else ["", ""]
            found.append((name, f"{self.x[k]:.4g}", f"{self.y[k]:.4g}", *edges))
        return found


@dataclass(frozen=True, eq=False)
class Chart:
    """Curves over two axes, or three.

    Args:
        about: one sentence for those who do not see it.
        x: the axis across.
        y: the axis up.
        curves: in the order of the legend.
        right: a second axis up, for curves that are another quantity.
    """

    about: str
    x: Axis
    y: Axis
    curves: Sequence[Curve]
    right: Axis | None = None

    flat = True

    @property
    def legend(self) -> list[Curve]:
        """The curves that have a name; none where the axis names the only one."""
        named = [curve for curve in self.curves if curve.name]
        return named if len(named) > 1 else []

    @property
    def columns(self) -> list[str]:
        """The heading of its table of data."""
        up = self.y.name if self.right is None else f"{self.y.name} or {self.right.name}"
        return ["curve", self.x.name, up, *(["lower edge", "upper edge"] if self._edged else [])]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Its table of data, a few points of each curve."""
        return [row[: len(self.columns)] for curve in self.curves for row in curve.rows]

    @property
    def alt(self) -> str:
        """What it shows, in words."""
        scale = " on logarithmic scales" if self.x.logarithmic and self.y.logarithmic else ""
        ends = [curve.ends for curve in self.curves if curve.y.size]
        return f"{self.about} Across: {self.x.name}; up: {self.y.name}{scale}. {'; '.join(ends)}."

    @property
    def _edged(self) -> bool:
        return any(curve.low.size and curve.y.size for curve in self.curves)


@dataclass(frozen=True, eq=False)
class Paths:
    """Paths in three dimensions.

    Args:
        about: one sentence for those who do not see them.
        axes: labels of the axes.
        paths: by their names, each with a row for each point.
    """

    about: str
    axes: tuple[str, str, str]
    paths: dict[str, Float64[np.ndarray, "points 3"]]

    flat = False

    @property
    def legend(self) -> list[Curve]:
        """A name and a colour for each path."""
        nothing = np.empty(0)
        return [Curve(name, nothing, nothing, triple(k)) for k, name in enumerate(self.paths)]

    @property
    def columns(self) -> list[str]:
        """The heading of its table of data."""
        return ["path", *self.axes]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Its table of data, a few points of each path."""
        return [
            (name, *(f"{part:.4g}" for part in path[k])) for name, path in self.paths.items() for k in _few(len(path))
        ]

    @property
    def alt(self) -> str:
        """What it shows, in words."""
        lasts = {name: ", ".join(f"{part:.2g}" for part in path[-1]) for name, path in self.paths.items()}
        ends = [f"{name} ends at ({last})" for name, last in lasts.items()]
        return f"{self.about} {'; '.join(ends)}."


def triple(index: int) -> Colour:
    """The colour of the path with this index.

    Args:
        index: from 0.

    Returns:
        The name.
    """
    return f"triple-{index % 6 + 1}"  # type: ignore[return-value]


def line(name: str, x: np.ndarray, y: np.ndarray, colour: Colour, dash: Dash = "solid", **more: object) -> Curve:
    """A curve with no more points than are seen, and none where there is no number.

    Args:
        name: in the legend.
        x: its places.
        y: its values.
        colour: of the line.
        dash: of the line.
        more: as of `Curve`.

    Returns:
        The curve.
    """
    return from_band(name, Band(np.asarray(x), np.asarray(y), np.full(np.shape(y), np.nan)), colour, dash, **more)


def from_band(name: str, band: Band, colour: Colour, dash: Dash = "solid", **more: object) -> Curve:
    """A mean with one deviation as its shade.

    Args:
        name: in the legend.
        band: the mean and its deviation.
        colour: of both.
        dash: of the line.
        more: as of `Curve`.

    Returns:
        The curve.
    """
    seen = band.known.thinned(POINTS)
    low, high = seen.edges if np.isfinite(seen.std).any() else (np.empty(0), np.empty(0))
    return Curve(name, seen.times, seen.mean, colour, dash, low, high, **more)  # type: ignore[arg-type]


def _few(count: int) -> list[int]:
    return np.unique(np.linspace(0, count - 1, min(count, ROWS)).round().astype(int)).tolist()


def plain_text(label: str) -> str:
    """A label without markup: T<sub>SL</sub> is T_SL.

    Args:
        label: that may hold tags and entities.

    Returns:
        The text.
    """
    return unescape(re.sub(r"</?\w+>", "", label.replace("<sub>", "_").replace("<sup>", "^")))
