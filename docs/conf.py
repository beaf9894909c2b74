"""How Sphinx builds the documentation; `make docs` runs it with warnings as errors."""

import re
from pathlib import Path

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from ravenml import __version__
from ravenml.cli.train import train

ROOT = Path(__file__).parents[1]

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

# Addresses in examples: nobody answers there.
linkcheck_ignore = [
    r"https?://(127\.0\.0\.1|localhost)",
    r"https?://[\w.-]*example\.(org|com)",
    r"http://ravenml-head-svc",
]
linkcheck_timeout = 20
# GitHub's pages make their anchors in the browser.
linkcheck_anchors_ignore_for_url = [r"https://github\.com/"]

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
        # sphinx-click would link variables to options that are hidden
        for command in plugin.commands.values():
            command.params = [one for one in command.params if not getattr(one, "hidden", False)]


def commands_to_read_again(app: Sphinx, env: BuildEnvironment, *_: object) -> list[str]:
    """The pages that are made from code which has changed since; Sphinx knows of files below docs/ only."""
    code = [*ROOT.glob("ravenml/**/*.py"), *ROOT.glob("plugins/*/ravenml_*/**/*.py"), Path(__file__)]
    changed = max(path.stat().st_mtime for path in code) * 1e6
    return [
        page
        for page in env.found_docs
        if page.startswith("commands/") and env.all_docs.get(page, 0) < changed
    ]


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


def show_defaults_as_typed(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """A default as it would be typed, not as Python writes it."""
    for number, line in enumerate(lines):
        if ":default:" in line:
            lines[number] = re.sub(r"(?:PosixPath\()?'([^']*)'\)?", r"\1", line)


def name_in_full(app: Sphinx, document: nodes.document) -> None:
    """Give the section of ``clone`` the title ``raven runs clone``: in a search it stands alone."""
    if app.env.docname.startswith("commands/"):
        for section in document.findall(nodes.section):
            if section["names"] and section["names"][0].startswith("raven "):
                section[0].children = [nodes.Text(section["names"][0])]


def setup(app: Sphinx) -> None:
    app.connect("env-get-outdated", commands_to_read_again)
    app.connect("doctree-read", name_in_full, priority=400)  # before Sphinx collects the titles
    app.connect("sphinx-click-process-description", keep_columns)
    app.connect("sphinx-click-process-options", show_defaults_as_typed)
