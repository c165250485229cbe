"""Sphinx: `sphinx-build -W docs site` builds these pages; they need nothing from the internet to be read."""

from __future__ import annotations

import wsiseg

project = "wsiseg"
author = "wsiseg maintainers"
copyright = "2026, wsiseg maintainers"
release = version = wsiseg.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
add_module_names = False
default_role = "code"
# "--select" is not to become a dash.
smartquotes = False

html_theme = "furo"
html_title = f"wsiseg {version}"
html_static_path: list[str] = []
html_show_sphinx = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp"
