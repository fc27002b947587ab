"""How Sphinx builds the documentation: Markdown by myst, the reference from docstrings."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "Swath"
author = "The Swath developers"
copyright = "The Swath developers, Apache-2.0"
version = release = version_of("swath")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
suppress_warnings = ["ref.python"]  # short names such as `kind` belong to many declarations
default_role = "code"  # single backticks are code, as in the docstrings

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "exclude-members": "model_config, model_post_init",
}
python_maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_ivar = True  # attributes told in a class's docstring and again by name do not clash
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = f"Swath {release}"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_show_sourcelink = False
