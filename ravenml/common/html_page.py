"""Pages that are one file: HTML without scripts, which loads nothing, so that it opens from a mail."""

from __future__ import annotations

from html import escape
from importlib.metadata import version
from importlib.resources import files

from ravenml.common.formatting import shortened, terminal_safe

# Nothing may be loaded or run, whatever a name or a path holds.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render_page(title: str, body: str) -> bytes:
    """The whole page, UTF-8.

    Args:
        title: plain text.
        body: HTML, in which everything that somebody else wrote went through :func:`as_text`.
    """
    css = (files("ravenml.common") / "html_page.css").read_text("utf-8")
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="ravenML {version("ravenml")}">
<title>{as_text(title)} · ravenML</title>
<style>
{css}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
    return page.encode()


def as_text(value: object, longest: int = 300) -> str:
    """A text of somebody else's: nothing in it is markup, control characters are spelled out, and it ends."""
    return escape(shortened(terminal_safe(str(value)), longest))


def render_section(title: str, content: str) -> str:
    """A card with a heading; ``title`` and ``content`` are HTML."""
    return f"<section><h2>{title}</h2>{content}</section>"
