"""A run's files, to be downloaded."""

from __future__ import annotations

import os
from pathlib import Path

from ravenml.common.formatting import format_size
from ravenml.dashboard.controls import table
from ravenml.dashboard.runs.files import file_url
from ravenml.dashboard.runs.state import State
from ravenml.runs import layout

_SHOWN = 300  # files that are listed
_FIRST = (
    layout.MODEL_STATE,
    layout.EVALUATION,
    layout.SUMMARY,
    layout.METADATA,
    layout.CHECKPOINTS,
    layout.ARTIFACTS,
)
_OPEN = ("", layout.CHECKPOINTS, layout.ARTIFACTS)  # folders whose files are listed openly
_HIDDEN = (layout.LOCK, layout.CONTROL, "readers")


def list_files(folder: Path) -> tuple[list[tuple[str, int]], int]:
    """Names within the folder with sizes in bytes, the most wanted first, and how many more there are.

    Links are left out, for what they lead to may not be served.  Work for a thread.
    """
    found: list[tuple[str, int]] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _HIDDEN)
        for name in sorted(names):
            path = Path(place) / name
            if name.startswith(".") or name in _HIDDEN or path.is_symlink():
                continue
            try:
                found.append((path.relative_to(folder).as_posix(), path.stat().st_size))
            except OSError:  # it has just gone
                continue
    found.sort(key=lambda one: (_rank(one[0]), one[0]))
    return found[:_SHOWN], max(0, len(found) - _SHOWN)


def _rank(name: str) -> int:
    first = name.partition("/")[0]
    if first in (layout.PREVIEWS, layout.FOLDS):
        return len(_FIRST) + 1
    return _FIRST.index(first) if first in _FIRST else len(_FIRST)


def build(state: State, found: list[tuple[str, int]], left: int) -> None:
    """Put them on the page: the wanted ones openly, those of other folders behind the folder's name."""
    from nicegui import ui

    groups: dict[str, list[tuple[str, int]]] = {}
    for name, count in found:
        folder = name.rpartition("/")[0]
        groups.setdefault("" if folder in _OPEN else folder.partition("/")[0], []).append((name, count))
    _list(state, groups.pop("", []))
    for folder, inside in groups.items():
        total = format_size(sum(count for _, count in inside))
        with ui.expansion(f"{folder}/ ({len(inside)} files, {total})").classes("more"):
            _list(state, inside)
    if left:
        ui.label(f"{left:,} more are in {state.folder}").classes("muted small wrap")


def _list(state: State, found: list[tuple[str, int]]) -> None:
    from nicegui import ui

    def row(name: str) -> None:
        ui.link(name, file_url(state.id, state.path(name))).classes("wrap").props(add="download")

    table(["File", "Size"], [[lambda name=name: row(name), format_size(count)] for name, count in found])
