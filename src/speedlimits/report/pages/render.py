"""A page from its template: one HTML file that opens from disk and needs no network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
import plotly.io
import plotly.offline
from markupsafe import Markup, escape

from speedlimits._files import write_text_atomically
from speedlimits._numbers import number

OPTIONS: dict[str, Any] = {
    "full_html": False,
    "include_plotlyjs": False,
    "config": {"displayModeBar": False, "responsive": True},
}


def subscripts(text: str) -> Markup:
    """A sentence for the page: the index of T_SL is one, and no line ends within a formula."""
    whole = Markup('<span class="formula">|Δθ|²</span>')
    return Markup(escape(text).replace("T_SL", Markup("T<sub>SL</sub>")).replace("|Δθ|²", whole))


def render(path: str | Path, template: str, figures: Mapping[str, go.Figure], **values: Any) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file.
        template: its name in the folder ``templates``.
        figures: the template has them as ``panels``, by the same names.
        values: what else the template asks for.

    Raises:
        OSError: what the disk reports.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("speedlimits.report.pages"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = number
    environment.filters["subscripts"] = subscripts
    page = environment.get_template(template).render(
        plotly_js=plotly.offline.get_plotlyjs(),
        panels={name: plotly.io.to_html(figure, **OPTIONS) for name, figure in figures.items()},
        **values,
    )
    write_text_atomically(Path(path), page)
