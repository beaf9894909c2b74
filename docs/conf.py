"""How Sphinx builds the documentation; `make docs` runs it with warnings as errors."""

from ravenml import __version__

project = "ravenML"
author = "the ravenML authors"
copyright = "the ravenML authors"
release = version = __version__

extensions = ["myst_parser", "sphinx_click"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = "ravenML"
