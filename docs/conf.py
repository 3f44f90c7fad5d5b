"""Configuration of the documentation site; ``make site`` builds it."""

from __future__ import annotations

from edge import __version__

project = "sharpedge"
author = "the sharpedge authors"
copyright = "2026, the sharpedge authors. Research use only, not a medical device"  # noqa: A001
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["contract/*.json"]
myst_heading_anchors = 3
myst_enable_extensions = ["fieldlist"]
autodoc_typehints = "signature"
# Names in docstrings between single backticks are code, not references.
default_role = "code"

html_theme = "furo"
html_title = f"sharpedge {release}"
html_static_path: list[str] = []
