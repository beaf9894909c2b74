"""How Sphinx builds the documentation; `make docs` runs it with warnings as errors."""

from pathlib import Path

import click
from docutils import nodes
from sphinx.application import Sphinx

from ravenml import __version__
from ravenml.cli.train import train

project = "ravenML"
author = "the ravenML authors"
copyright = "the ravenML authors"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_design",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# A quotation mark or a pair of hyphens stays what was typed: what is copied from a page is to run.
smartquotes = False
# `…` in a help text, which sphinx-click reads as reStructuredText, is code, as it is in Markdown.
default_role = "code"
nitpicky = True
# Types appear as plain text in signatures: there is no inventory to link them to.
autodoc_typehints = "none"
nitpick_ignore_regex = [("py:.*", ".*")]

html_theme = "furo"
html_title = f"ravenML {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_search_scorer = str(Path(__file__).with_name("search_scores.js"))


# A plugin's commands get the core's options when `raven train` finds it; sphinx-click then shows them, too.
with click.Context(train) as context:
    for name in ("unet", "tf-bbox"):
        plugin = train.get_command(context, name)
        assert isinstance(plugin, click.Group), f"the plugin {name} is not installed"
        for (
            command
        ) in plugin.commands.values():  # sphinx-click would link variables to options that are hidden
            command.params = [one for one in command.params if not getattr(one, "hidden", False)]


def keep_columns(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Show what stands behind ``\b`` in a help text as it is typed; sphinx-click makes verse of it."""
    shown: list[str] = []
    for line in lines:
        if line.startswith("| "):
            if not shown or not shown[-1].startswith("   "):
                shown += ["", ".. code-block:: text", ""]
            shown.append("   " + line[2:])
        else:
            shown.append(line)
    lines[:] = shown


def name_in_full(app: Sphinx, document: nodes.document) -> None:
    """Give the section of ``clone`` the title ``raven runs clone``: in a search it stands alone."""
    if app.env.docname.startswith("commands/"):
        for section in document.findall(nodes.section):
            if section["names"] and section["names"][0].startswith("raven "):
                section[0].children = [nodes.Text(section["names"][0])]


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", name_in_full, priority=400)  # before Sphinx collects the titles
    app.connect("sphinx-click-process-description", keep_columns)
