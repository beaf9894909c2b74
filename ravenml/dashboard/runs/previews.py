"""Pictures that a training left of its predictions: one row per image, and a slider over the moments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ravenml.dashboard.controls import slider
from ravenml.dashboard.runs.files import file_url
from ravenml.dashboard.runs.state import State
from ravenml.runs import layout

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
EVALUATION = "evaluation"  # the folder of pictures about the end, which are shown with the scores
_ROWS = 24  # images that are shown
_NUMBER = re.compile(r"(.*?)[_\- ]?(\d+)$")


@dataclass
class PreviewSet:
    """Pictures of the same thing at several moments.

    Attributes:
        moments: their names, first to last: ``epoch 3``, ``final``.
        rows: by what is shown, the file of each moment; None where there is none.
    """

    moments: list[str] = field(default_factory=list)
    rows: dict[str, list[str | None]] = field(default_factory=dict)


def find_previews(folder: Path) -> PreviewSet:
    """The pictures in a run's folder, apart from those about its end.  Work for a thread."""
    root = folder / layout.PREVIEWS
    found: dict[str, dict[tuple[int, int, str], str]] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if path.suffix.lower() not in PICTURES or name.parts[0] == EVALUATION:
            continue
        what, moment = _parse_name(name)
        found.setdefault(what, {})[moment] = f"{layout.PREVIEWS}/{name.as_posix()}"
    moments = sorted({moment for row in found.values() for moment in row})
    names = [
        moment[2] if moment[0] or not moment[2] else f"{moment[2]} {moment[1]}".strip() for moment in moments
    ]
    rows: dict[str, list[str | None]] = {}
    for what, row in found.items():
        last: str | None = None
        rows[what] = []
        for moment in moments:
            last = row.get(moment, last)
            rows[what].append(last)
    return PreviewSet(names, rows)


def _parse_name(name: Path) -> tuple[str, tuple[int, int, str]]:
    """What a picture shows and when, from its name: ``val/street/epoch_003``, ``samples_12``."""
    stem, parent = name.stem, name.parent.as_posix()
    match = _NUMBER.fullmatch(stem)
    if match and match[1].lower() in ("epoch", "step", "iteration", ""):
        return parent, (0, int(match[2]), match[1].lower() or "picture")
    if match and len(match[2]) < 12:
        return f"{parent}/{match[1]}".removeprefix("./"), (0, int(match[2]), "")
    if parent != "." and stem.lower() in ("final", "last", "best"):
        return parent, (1, 0, stem)
    return name.with_suffix("").as_posix(), (1, 0, "final")


class Previews:
    """The gallery on the current page."""

    def __init__(self, state: State, found: PreviewSet) -> None:
        self._state, self._gallery = state, found
        self._at = len(found.moments) - 1
        self._pictures: dict[str, Any] = {}

    def build(self) -> None:
        """Put it on the page."""
        from nicegui import ui

        moments = self._gallery.moments
        with ui.element("div").classes("line"):
            if len(moments) > 1:
                self._slider = slider("Moment", 0, len(moments) - 1, 1, self._at, self._move, pause=0.05)
                self._slider.classes("grow")
            self._moment = ui.label(moments[self._at]).classes("strong moment")
        with ui.element("div").classes("pictures"):
            for what, row in list(self._gallery.rows.items())[:_ROWS]:
                with ui.element("figure").classes("picture"):
                    image = ui.element("img").props("loading=lazy")
                    image.props["alt"] = what
                    self._pictures[what] = image
                    with ui.element("figcaption").classes("small muted wrap"):
                        ui.label(what)
                    self._set(image, row[self._at])
        left = len(self._gallery.rows) - _ROWS
        if left > 0:
            ui.label(f"{left} more are in the run's folder.").classes("muted small")

    async def _move(self, event: Any) -> None:
        self._at = min(max(0, int(event.args or 0)), len(self._gallery.moments) - 1)
        self._moment.text = self._gallery.moments[self._at]
        for what, image in self._pictures.items():
            self._set(image, self._gallery.rows[what][self._at])

    def _set(self, image: Any, file: str | None) -> None:
        image.set_visibility(file is not None)
        if file is not None:
            image.props["src"] = file_url(self._state.id, self._state.path(file))


def find_final_pictures(folder: Path) -> list[str]:
    """The pictures about a training's end: confusion matrix, worst and best images."""
    found = sorted((folder / layout.PREVIEWS / EVALUATION).glob("*"))
    return [f"{layout.PREVIEWS}/{EVALUATION}/{path.name}" for path in found if path.suffix in PICTURES]


def strip(state: State, files: Sequence[str], title: str) -> None:
    """A few pictures side by side, each a link to itself."""
    from nicegui import ui

    with ui.element("h3"):
        ui.label(title)
    with ui.element("div").classes("pictures"):
        for file in files:
            target = file_url(state.id, state.path(file))
            name = Path(file).stem.replace("_", " ")
            with ui.element("figure").classes("picture"), ui.link(target=target, new_tab=True):
                image = ui.element("img").props("decoding=async")  # a few: they need not wait for scrolling
                image.props.update({"src": target, "alt": name})
