"""Charts as plotly.js takes them: traces and a layout, with names of colours that the page replaces by its own."""

import json
from typing import Any

import numpy as np

from speedlimits.report.pages.chart import Axis, Chart, Curve, Paths, plain_text, triple
from speedlimits.report.ticks import labels, ticks

# Share of a scale that stays free at its ends.
MARGIN = 0.04
DIGITS = 6


def figure(chart: Chart | Paths) -> str:
    """The chart as JSON for plotly.js.

    Args:
        chart: what to draw.

    Returns:
        ``{"data": …, "layout": …}``. Colours are names with two dashes before them, which are variables of the page's
        style. No text in it ends a script.
    """
    parts = _flat(chart) if isinstance(chart, Chart) else _space(chart)
    text = json.dumps(parts, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _flat(chart: Chart) -> dict[str, Any]:
    data = [trace for curve in chart.curves for trace in _traces(curve, chart)]
    layout = {
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "--ink"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 62, "r": 16 if chart.right is None else 58, "t": 10, "b": 46},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "--card", "bordercolor": "--line", "font": {"color": "--ink"}},
        "showlegend": False,
        "xaxis": _axis(chart.x, _ends(chart.x, [curve.x for curve in chart.curves])),
        "yaxis": _axis(chart.y, _ends(chart.y, _heights(chart, right=False))),
    }
    layout["xaxis"]["unifiedhovertitle"] = {"text": f"{plain_text(chart.x.label)} = %{{x:.4g}} {chart.x.unit}".rstrip()}
    if chart.right is not None:
        right = _axis(chart.right, _ends(chart.right, _heights(chart, right=True)))
        layout["yaxis2"] = right | {"overlaying": "y", "side": "right", "showgrid": False}
        # By default it would have the ticks of the left one.
        layout["yaxis2"]["tickmode"] = "array" if chart.right.percent else "auto"
        for axis, own in (("yaxis", False), ("yaxis2", True)):
            colour = next(curve.colour for curve in chart.curves if curve.right is own)
            layout[axis]["title"]["font"] = {"color": f"--{colour}-ink"}
    return {"data": data, "layout": layout}


def _traces(curve: Curve, chart: Chart) -> list[dict[str, Any]]:
    where = {"type": "scatter", "x": _numbers(curve.x)} | ({"yaxis": "y2"} if curve.right else {})
    shade = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    found = []
    if curve.low.size and curve.mark != "bars":
        # With a mean the edges belong to it, in a table of all points too.
        kind = ("low", "high") if curve.y.size else ("shade", "shade")
        low = curve.low
        if chart.y.logarithmic and not curve.right:
            low = np.where(low > 0, low, curve.y if curve.y.size else 1e-3 * low[low > 0].min(initial=np.inf))
        found += [
            where | shade | {"y": _numbers(low), "meta": kind[0]},
            where
            | shade
            | {"y": _numbers(curve.high), "meta": kind[1], "fill": "tonexty", "fillcolor": f"--{curve.colour}-soft"},
        ]
    if curve.y.size:
        unit = (chart.right if curve.right and chart.right else chart.y).unit
        found.append(
            where
            | {
                "y": _numbers(curve.y),
                "mode": "lines+markers" if curve.mark else "lines",
                "marker": {"size": 5},
                "line": {"color": f"--{curve.colour}", "dash": curve.dash, "width": 2},
                "name": curve.name,
                "hovertemplate": f"%{{y:.4g}} {unit}".rstrip(),
            }
        )
        if curve.mark == "bars" and curve.low.size:
            found[-1]["error_y"] = {"type": "data", "array": _numbers(curve.high - curve.y), "thickness": 1}
    return found


def _heights(chart: Chart, *, right: bool) -> list[np.ndarray]:
    return [part for curve in chart.curves if curve.right is right for part in (curve.y, curve.low, curve.high)]


def _ends(axis: Axis, parts: list[np.ndarray]) -> tuple[float, float] | None:
    """Both ends of a logarithmic scale through all the numbers; others find their own."""
    if not axis.logarithmic:
        return None
    numbers = np.concatenate([*parts, []])
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    if not numbers.size:
        return None
    low, high = np.log10([numbers.min(), numbers.max()])
    room = MARGIN * (high - low) or 0.1
    return float(10 ** (low - room)), float(10 ** (high + room))


def _axis(axis: Axis, ends: tuple[float, float] | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": {"text": axis.label, "standoff": 8},
        "color": "--ink",
        "gridcolor": "--line",
        "linecolor": "--soft",
        "showline": True,
        "zeroline": False,
        "ticks": "outside",
        "automargin": True,
        # Dragging scrolls the page, on telephones above all.
        "fixedrange": True,
    }
    if axis.percent:
        return found | {"range": [0, 1], "tickvals": [0, 0.25, 0.5, 0.75, 1], "tickformat": ".0%"}
    if ends is None:
        return found | {"nticks": 6} | ({"rangemode": "tozero"} if axis.zero else {})
    places = list(axis.values) or ticks(*ends)
    return found | {
        "type": "log",
        "range": [round(float(np.log10(end)), DIGITS) for end in ends],
        "tickvals": places,
        "ticktext": labels(places),
    }


def _space(paths: Paths) -> dict[str, Any]:
    data = []
    for k, (name, path) in enumerate(paths.paths.items()):
        x, y, z = (_numbers(column) for column in path.T)
        last = len(path) - 1
        data.append(
            {
                "type": "scatter3d",
                "mode": "lines+markers",
                "x": x,
                "y": y,
                "z": z,
                "name": name,
                "line": {"color": f"--{triple(k)}", "width": 4},
                # A dot where it ends.
                "marker": {"color": f"--{triple(k)}", "size": [0] * last + [5], "line": {"width": 0}},
                "hovertemplate": f"{name}<br>({', '.join(f'%{{{axis}:.3g}}' for axis in 'xyz')})<extra></extra>",
            }
        )
    walls = {"gridcolor": "--line", "showbackground": False, "zerolinecolor": "--soft", "color": "--ink", "nticks": 5}
    scene = {
        f"{axis}axis": walls | {"title": {"text": plain_text(label)}, "tickfont": {"size": 11}}
        for axis, label in zip("xyz", paths.axes, strict=True)
    }
    scene |= {"aspectmode": "cube", "camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1.0}, "center": {"z": -0.14}}}
    layout = {
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "--ink"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "showlegend": False,
        "scene": scene,
    }
    return {"data": data, "layout": layout}


def _numbers(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in values.tolist()]
