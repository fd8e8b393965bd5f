"""Sphinx settings: Markdown pages, the API from docstrings, warnings are errors (`make docs`)."""

import re
import sys
from pathlib import Path

import speedlimits

sys.path.insert(0, str(Path(__file__).parent))
import make_tree

project = "speedlimits"
author = "The speedlimits developers"
copyright = "2026, The speedlimits developers"
release = version = speedlimits.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
html_theme = "furo"
html_title = "speedlimits"
# Pieces of pages are no pages.
exclude_patterns = ["_build", "kernel/*"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
# Shapes read better in the docstrings than as jaxtyping's long names in the signatures.
autodoc_typehints = "none"


def _escape_bars(_app, _what, _name, _obj, _options, lines: list[str]) -> None:
    """|θ| is a norm here, not a substitution of reStructuredText."""
    math_indent = None
    for k, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if math_indent is not None and line.strip() and indent <= math_indent:
            math_indent = None
        if line.lstrip().startswith((".. math::", ".. code")):
            math_indent = indent
        if math_indent is None:
            # Every second piece stands in backquotes.
            pieces = re.split(r"(`+[^`]*`+)", line)
            lines[k] = "".join(piece if piece.startswith("`") else piece.replace("|", r"\|") for piece in pieces)


def setup(app) -> None:
    """Write docs/tree.md, and hook in after napoleon has turned Google's sections into fields."""
    make_tree.write()
    app.connect("autodoc-process-docstring", _escape_bars, priority=900)
