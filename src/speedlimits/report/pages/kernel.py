"""The kernel's panels for the browser, by plotly."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from speedlimits.measured import speed_limit
from speedlimits.report.figures.sheet import COLD_COLOUR, WARM_COLOUR
from speedlimits.report.pages.panels import CLOSE, LAYOUT, LOGARITHMIC, POINTS, add_line
from speedlimits.report.spectrum import label, ranked, shares
from speedlimits.runs.kernel import KernelRecord
from speedlimits.trajectory import Trajectory


def overlaps(record: KernelRecord) -> go.Figure:
    """The residual's overlaps with the kernel's eigenvectors, and the eigenvalues inset."""
    figure = go.Figure()
    for view, colour in zip(record.views, (COLD_COLOUR, WARM_COLOUR), strict=False):
        places, heights = shares(view)
        figure.add_scatter(
            x=places,
            y=heights,
            mode="lines+markers",
            marker={"size": 5},
            line={"color": colour, "width": 1},
            name=label(view),
            hovertemplate="%{y:.2g}",
        )
    ranks, eigenvalues = ranked(record)
    step = -(-ranks.size // POINTS)
    figure.add_scatter(
        x=ranks[::step],
        y=eigenvalues[::step],
        mode="lines",
        line={"color": COLD_COLOUR, "width": 1},
        xaxis="x2",
        yaxis="y2",
        name="λ<sub>k</sub>",
        showlegend=False,
    )
    small: dict[str, Any] = {"type": "log", "exponentformat": "power", "tickfont": {"size": 10}, "nticks": 4}
    figure.add_annotation(
        text="λ<sub>k</sub> by rank", x=0.26, y=0.36, xref="paper", yref="paper", xanchor="center", showarrow=False
    )
    # Below the curves: inset and legend cover no point.
    heights = np.concatenate([shares(view)[1] for view in record.views])
    low, high = np.log10(heights[heights > 0].min()), np.log10(heights.max())
    span = max(high - low, 1.0)
    figure.update_layout(
        LAYOUT | {"hovermode": "closest", "legend": LAYOUT["legend"] | {"x": 0.55, "y": 0.04}},
        xaxis={**LOGARITHMIC, "title": "eigenvalue λ"},
        yaxis={
            **LOGARITHMIC,
            "dtick": 2,
            "title": "share of ΣΔ<sub>k</sub>²",
            "range": [low - 0.9 * span, high + 0.1 * span],
        },
        xaxis2={**small, "dtick": 1, "domain": [0.1, 0.42], "anchor": "y2"},
        yaxis2={**small, "dtick": 2, "domain": [0.09, 0.3], "anchor": "x2"},
    )
    return figure


def prediction(record: KernelRecord, run: Trajectory) -> go.Figure:
    """T/T_SL as it was measured, and as a kernel that stays the same would have it."""
    figure = go.Figure()
    for view, colour in zip(record.views, (COLD_COLOUR, WARM_COLOUR), strict=False):
        seen = view.seen(run)
        step = -(-len(seen) // POINTS)
        times = seen.times[1::step]
        curves = (
            ("measured", "solid", np.asarray(speed_limit(seen).inefficiency)[1::step]),
            ("predicted", "dash", view.predicted(times).inefficiency),
        )
        for name, dash, values in curves:
            add_line(figure, times, np.asarray(values), colour, f"{name} {label(view)}", dash=dash)
    figure.update_layout(
        LAYOUT,
        xaxis={**LOGARITHMIC, "title": "time since the start T"},
        yaxis={**CLOSE, "title": "T/T<sub>SL</sub>"},
    )
    return figure
