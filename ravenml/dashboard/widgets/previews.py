"""Pictures that a training made of its predictions: one per image, and a slider over the moments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nicegui import ui
from nicegui.events import GenericEventArguments

from ravenml.dashboard.layout import section
from ravenml.dashboard.run_files import RunFolder
from ravenml.dashboard.widgets.controls import slider
from ravenml.runs import layout

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
EVALUATION = "evaluation"  # the folder of pictures about the end, which are shown with the scores
_ROWS = 24  # images that are shown
_NUMBER = re.compile(r"(.*?)[_\- ]?(\d+)$")

Moment = tuple[int, float, str]  # whether it is an end, a number, a word


@dataclass
class PreviewSet:
    """Pictures of the same images at several moments.

    Attributes:
        moments: their names, first to last: ``epoch 3``, ``final``.
        rows: by what is shown, the file of each moment; None where there is none.
    """

    moments: list[str] = field(default_factory=list)
    rows: dict[str, list[str | None]] = field(default_factory=dict)


def find_previews(
    folder: Path, epochs: Mapping[Path, float] | None = None, folds: bool = False
) -> PreviewSet:
    """The pictures in a run's folder, apart from those about its end.  Work for a thread.

    Args:
        folder: the run's.
        epochs: the epochs of pictures whose events were read; a file's name says it for the others.
        folds: whether the pictures of a k-fold run's folds belong to it.
    """
    found: dict[str, dict[Moment, str]] = {}
    for place in [folder, *(layout.fold_folders(folder) if folds else [])]:
        root = place / layout.PREVIEWS
        prefix = "" if place == folder else f"{place.relative_to(folder).as_posix()}/"
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root)
            if path.suffix.lower() not in PICTURES or name.parts[0] == EVALUATION:
                continue
            if epochs and path in epochs:
                shown, moment = name.parent.as_posix(), (0, epochs[path], "epoch")
                shown = "pictures" if shown == "." else shown
            else:
                shown, moment = _parse_name(name)
            found.setdefault(prefix + shown, {})[moment] = path.relative_to(folder).as_posix()
    moments = sorted({moment for row in found.values() for moment in row})
    names = [word if end or not word else f"{word} {number:g}" for end, number, word in moments]
    rows: dict[str, list[str | None]] = {}
    for shown, row in found.items():
        last: str | None = None
        rows[shown] = [last := row.get(moment, last) for moment in moments]
    return PreviewSet(names, rows)


def _parse_name(name: Path) -> tuple[str, Moment]:
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


class PreviewSlider:
    """The section of previews on the current page; hidden while there are none."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._found = PreviewSet()
        self._at = -1
        self._images: dict[str, ui.element] = {}
        self._box = ui.element("div")

    def show(self, found: PreviewSet) -> None:
        """Show these; whoever looks at the newest moment follows it."""
        if found == self._found:
            return
        at_end = self._at >= len(self._found.moments) - 1
        self._found = found
        self._at = len(found.moments) - 1 if at_end else min(self._at, len(found.moments) - 1)
        self._box.clear()
        if found.rows:
            with self._box, section("Predictions over time"):
                self._build()

    def _build(self) -> None:
        moments = self._found.moments
        with ui.element("div").classes("line"):
            if len(moments) > 1:
                slider("Moment", 0, len(moments) - 1, 1, self._at, self._move, pause=0.05).classes("grow")
            self._moment = ui.label().classes("strong moment")
        self._images = {}
        with ui.element("div").classes("pictures"):
            for shown in list(self._found.rows)[:_ROWS]:
                with ui.element("figure").classes("picture"):
                    self._images[shown] = ui.element("img").props("loading=lazy")
                    with ui.element("figcaption").classes("small muted wrap"):
                        ui.label(shown)
        left = len(self._found.rows) - _ROWS
        if left > 0:
            ui.label(f"{left} more are in the run's folder.").classes("muted small")
        self._fill()

    async def _move(self, event: GenericEventArguments) -> None:
        self._at = min(max(0, int(event.args or 0)), len(self._found.moments) - 1)
        self._fill()

    def _fill(self) -> None:
        moment = self._found.moments[self._at]
        self._moment.text = moment
        for shown, image in self._images.items():
            file = self._found.rows[shown][self._at]
            image.set_visibility(file is not None)
            if file is not None:
                image.props.update({"src": self._run.url(file), "alt": f"{shown}, {moment}"})
