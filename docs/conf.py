"""How Sphinx builds the documentation; `make docs` runs it with warnings as errors."""

import click
from sphinx.application import Sphinx

from ravenml import __version__
from ravenml.cli import raven

project = "ravenML"
author = "the ravenML authors"
copyright = "the ravenML authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
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
html_title = "ravenML"


def show_plugins(*names: str) -> None:
    """Let sphinx-click see these plugins: it asks a group that has commands of its own for no others."""
    with click.Context(raven) as outer:
        train = raven.get_command(outer, "train")
        assert isinstance(train, click.Group)
        with click.Context(train, parent=outer) as context:
            for name in names:
                plugin = train.get_command(context, name)
                assert plugin is not None, f"the plugin {name} is not installed"
                train.add_command(plugin, name)
                assert isinstance(plugin, click.Group)
                for command in plugin.commands.values():
                    command.params = [one for one in command.params if not getattr(one, "hidden", False)]


show_plugins("unet")


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


def setup(app: Sphinx) -> None:
    app.connect("sphinx-click-process-description", keep_columns)
