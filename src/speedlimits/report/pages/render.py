"""A page from its template: one HTML file that opens from disk and needs no network."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from speedlimits._files import write_text_atomically
from speedlimits._numbers import number
from speedlimits.report.pages.chart import Chart, Paths
from speedlimits.report.pages.drawing import figure

# plotly.js with lines in two and three dimensions, from npm (plotly.js-gl3d-dist-min; MIT licence beside it): 1.75 MB,
# where the whole is 4.8 MB. The Python package holds the whole alone, and takes 70 MB installed with what it needs.
PLOTLY = "plotly-gl3d-4.1.1.min.js"


def subscripts(text: str) -> Markup:
    """A sentence for the page: the index of T_SL is one, and no line ends within a formula."""
    whole = Markup('<span class="formula">|Δθ|²</span>')
    return Markup(escape(text).replace("T_SL", Markup("T<sub>SL</sub>")).replace("|Δθ|²", whole))


def page(template: str, charts: Mapping[str, Chart | Paths], **values: Any) -> str:
    """A whole page.

    Args:
        template: its name in the folder ``templates``.
        charts: the template draws them by the same names.
        values: what else the template asks for.

    Returns:
        The HTML.
    """
    return environment().get_template(template).render(charts=charts, static=static, plotly=PLOTLY, **values)


def render(path: str | Path, template: str, charts: Mapping[str, Chart | Paths], **values: Any) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file.
        template: its name in the folder ``templates``.
        charts: the template draws them by the same names.
        values: what else the template asks for.

    Raises:
        OSError: what the disk reports.
    """
    write_text_atomically(Path(path), page(template, charts, **values))


@cache
def environment() -> jinja2.Environment:
    """Templates, with what they may call."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("speedlimits.report.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"number": number, "subscripts": subscripts, "figure": lambda chart: Markup(figure(chart))}
    return found


@cache
def static(name: str) -> Markup:
    """A file that every page holds: style, script, or plotly.js.

    Args:
        name: in the folder ``static``.

    Returns:
        Its text, which is markup of ours.
    """
    return Markup((files("speedlimits.report.pages") / "static" / name).read_text(encoding="utf-8"))
