"""``raven data inspect --html``: one file to look at a project before training on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ravenml.common.io import write_bytes
from ravenml.data.inspection import Inspection, inspect_project
from ravenml.data.report_page import render_report
from ravenml.data.report_pictures import Pictures


def write_report(
    root: Path,
    file: Path,
    threads: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Inspection:
    """Inspect a project and write what was found as an HTML file, which needs nothing beside itself.

    It has a contact sheet with the objects drawn on up to 72 evenly spaced images, the balance of the
    classes, image sizes, datasets and tags, objects that look wrong, and all kinds of problems.  It takes a
    few MB at most, however large the project is, and is written whole or not at all.

    Args:
        root: the project's folder.
        file: where to write the page; one that is there is replaced.
        threads: that decode images.
        progress: called with (done, total) after each image.

    Raises:
        InputError: no such folder, or no usable `meta.json`.
        RavenError: the file cannot be written.
    """
    pictures = Pictures()
    found = inspect_project(root, threads, progress, pictures)
    write_bytes(file, render_report(found, pictures))
    return found
