"""Small pictures and cards for notebooks, as text: no library draws them, and no array is dumped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

WIDTH, HEIGHT = 300, 170
LEFT, RIGHT, TOP, BOTTOM = 48, 18, 24, 24
# More points than pixels only make the picture heavy.
POINTS = 200
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve.

    Args:
        x: along the picture.
        y: up; what is not positive and finite has no place on a logarithmic scale, and is left out.
        colour: as HTML knows it.
        dashed: whether the line is.
    """

    x: np.ndarray
    y: np.ndarray
    colour: str = BLUE
    dashed: bool = False

    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        """The decimal logarithms of the points that are drawn."""
        with np.errstate(invalid="ignore"):
            rows = np.flatnonzero((self.x > 0) & (self.y > 0) & np.isfinite(self.x) & np.isfinite(self.y))
        if rows.size > POINTS:
            rows = rows[np.linspace(0, rows.size - 1, POINTS).round().astype(int)]
        return np.log10(self.x[rows]), np.log10(self.y[rows])


def card(text: str | Sequence[str], pictures: Sequence[str] = ()) -> str:
    """Lines of text above pictures, as HTML.

    Args:
        text: a line, or several; the first is bold where there are several.
        pictures: from `picture`.

    Returns:
        The HTML.
    """
    lines = [text] if isinstance(text, str) else list(text)
    shown = [f"<b>{escape(line)}</b>" if len(lines) > 1 and not k else escape(line) for k, line in enumerate(lines)]
    return (
        f'<div style="font-family:system-ui,sans-serif"><p style="max-width:50em">{"<br>".join(shown)}</p>'
        f"{''.join(pictures)}</div>"
    )


def picture(title: str, curves: Sequence[Curve]) -> str:
    """A small figure with logarithmic scales, as SVG.

    Args:
        title: above it.
        curves: what is drawn, the last on top.

    Returns:
        The SVG; empty where no curve has two points.
    """
    drawn = [(curve, *curve.shown()) for curve in curves]
    drawn = [each for each in drawn if each[1].size > 1]
    if not drawn:
        return ""
    across = _range([x for _, x, _ in drawn])
    up = _range([y for _, _, y in drawn])
    parts = [f'<text x="{LEFT}" y="14" font-size="12">{escape(title)}</text>']
    for value in _ticks(*across):
        parts.append(_text(_place(value, across, LEFT, WIDTH - RIGHT), HEIGHT - 8, value, "middle"))
    for value in _ticks(*up):
        parts.append(_text(LEFT - 5, _place(value, up, HEIGHT - BOTTOM, TOP) + 4, value, "end"))
    frame = f"M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"
    parts.append(f'<path d="{frame}" fill="none" stroke="currentColor" stroke-opacity="0.5"/>')
    for curve, x, y in drawn:
        places = zip(_place(x, across, LEFT, WIDTH - RIGHT), _place(y, up, HEIGHT - BOTTOM, TOP), strict=True)
        points = " ".join(f"{one:.1f},{other:.1f}" for one, other in places)
        dashes = ' stroke-dasharray="5 4"' if curve.dashed else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{curve.colour}" stroke-width="1.6"{dashes}/>')
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" fill="currentColor" '
        f'font-family="system-ui,sans-serif" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def limit_picture(time: ArrayLike, speed_limit: ArrayLike) -> str:
    """T_SL over T, below the dashed line on which both are equal.

    Args:
        time: T [time].
        speed_limit: T_SL [time].

    Returns:
        The SVG.
    """
    time = np.asarray(time)
    curves = [Curve(time, time, GREY, dashed=True), Curve(time, np.asarray(speed_limit))]
    return picture("T_SL over T, with T dashed", curves)


def _range(values: Sequence[np.ndarray]) -> tuple[float, float]:
    low, high = (float(pick(np.concatenate(values))) for pick in (np.min, np.max))
    # A constant stands in the middle.
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten, at most four; the two ends where there are not two powers."""
    powers = list(range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1))
    if len(powers) < 2:
        return [low, high]
    return [float(power) for power in powers[:: -(-len(powers) // 4)]]


def _place(value: Any, scale: tuple[float, float], first: float, last: float) -> Any:
    return first + (value - scale[0]) / (scale[1] - scale[0]) * (last - first)


def _text(x: float, y: float, value: float, anchor: str) -> str:
    number = f"{10**value:,.0f}" if 3 <= value < 6 else f"{10**value:.3g}"
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="10" text-anchor="{anchor}">{number}</text>'
