"""A run's files, to be downloaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nicegui import ui

from ravenml.common.formatting import format_size
from ravenml.dashboard.run_files import RunFolder
from ravenml.dashboard.widgets.controls import table
from ravenml.runs import layout

RUN_LINK = "open_app.lnk"  # a file with the address of the run's page
_MOST = 300  # files that are listed
_FIRST = (
    RUN_LINK,
    layout.MODEL_STATE,
    layout.EVALUATION,
    layout.SUMMARY,
    layout.METADATA,
    layout.CHECKPOINTS,
    layout.ARTIFACTS,
)
_OPEN = ("", layout.CHECKPOINTS, layout.ARTIFACTS)  # folders whose files are listed openly
_HIDDEN = (layout.LOCK, layout.CONTROL, "readers")


@dataclass(frozen=True)
class Files:
    """Names within a folder with sizes in bytes, the most wanted first; and how many more there are."""

    sizes: dict[str, int]
    left: int = 0


def list_files(folder: Path) -> Files:
    """The files of a run; links, whose targets may not be served, are left out.  Work for a thread."""
    found: list[tuple[str, int]] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _HIDDEN)
        for name in sorted(names):
            path = Path(place) / name
            if name.startswith(".") or name in _HIDDEN or path.is_symlink():
                continue
            try:
                found.append((path.relative_to(folder).as_posix(), path.stat().st_size))
            except OSError:  # it has just been removed
                continue
    found.sort(key=lambda one: (_rank(one[0]), one[0]))
    return Files(dict(found[:_MOST]), max(0, len(found) - _MOST))


def _rank(name: str) -> int:
    first = name.partition("/")[0]
    if first in (layout.PREVIEWS, layout.FOLDS):
        return len(_FIRST) + 1
    return _FIRST.index(first) if first in _FIRST else len(_FIRST)


def build_files(run: RunFolder, files: Files) -> None:
    """Put them on the page: the wanted ones openly, those of other folders behind the folder's name."""
    groups: dict[str, dict[str, int]] = {"": {}}
    for name, size in files.sizes.items():
        folder = name.rpartition("/")[0]
        groups.setdefault("" if folder in _OPEN else folder.partition("/")[0], {})[name] = size
    _build_table(run, groups.pop(""))
    for folder, sizes in groups.items():
        title = f"{folder}/ ({len(sizes)} files, {format_size(sum(sizes.values()))})"
        with ui.expansion(title).classes("more"):
            _build_table(run, sizes)
    if files.left:
        ui.label(f"{files.left:,} more are in {run.folder}").classes("muted small wrap")


def _build_table(run: RunFolder, sizes: dict[str, int]) -> None:
    def link_to(name: str) -> None:
        if name == RUN_LINK:
            ui.link(name, f"/runs/{run.id}").classes("wrap")
        else:
            ui.link(name, run.url(name)).classes("wrap").props(add="download")

    table(["File", "Size"], [[lambda name=name: link_to(name), format_size(n)] for name, n in sizes.items()])
