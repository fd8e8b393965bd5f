"""Sphinx settings: Markdown pages, one for each public name from its docstring, warnings are errors (`make docs`)."""

import re
import sys
from pathlib import Path

import speedlimits

sys.path.insert(0, str(Path(__file__).parent))
import make_cli_page
import make_reference
import make_tree

project = "speedlimits"
author = "The speedlimits developers"
copyright = "2026, The speedlimits developers"
release = version = speedlimits.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",  # formulas are drawn without a network
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
html_theme = "furo"
html_title = "speedlimits"
html_static_path = ["static"]
html_css_files = ["own.css"]
# The reference has a page for each name, and tables that lead there.
html_use_index = False
html_domain_indices = False
# Pieces of pages are no pages.
exclude_patterns = ["_build", "kernel/*", "**sg_execution_times.rst"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80

copybutton_prompt_text = "$ "
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    # Every script is run.
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "capture_repr": ("_repr_html_",),
    "remove_config_comments": True,
}


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
    """Write the pages that are made, and hook in after napoleon has turned Google's sections into fields."""
    make_tree.write()
    make_reference.write()
    make_cli_page.write()
    app.connect("autodoc-process-docstring", _escape_bars, priority=900)
