"""Configuration of the documentation: ``sphinx-build -W --keep-going -b html docs build/html``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
# The extensions, and the package of this checkout, whether or not it is installed.
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from layermilp.version import __version__  # noqa: E402

project = "layermilp"
version = release = __version__
# A footer with neither a year nor a time: the same sources give the same pages.
project_copyright = "the layermilp authors"

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "commandhelp", "mathml"]
exclude_patterns = ["_ext"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Names in backticks are links where they name something that is documented.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"no-value": True}
numpydoc_show_class_members = False

html_theme = "furo"
html_title = "layermilp"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_copyright = False
html_show_sourcelink = False
