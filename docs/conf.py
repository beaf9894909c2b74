"""How Sphinx builds the documentation; `make docs` runs it with warnings as errors."""

import click

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
