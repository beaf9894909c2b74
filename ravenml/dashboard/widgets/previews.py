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
from ravenml.dashboard.widgets.controls import set_label, slider
from ravenml.runs import layout
from ravenml.runs.events import ImageEvent, read_events

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


def read_epochs(folder: Path, folds: bool = False) -> dict[Path, float]:
    """The epoch, or else the step, of each picture that a run announced.  Work for a thread.

    Args:
        folder: the run's.
        folds: whether the pictures of a k-fold run's folds belong to it.
    """
    found: dict[Path, float] = {}
    for place in [folder, *(layout.fold_folders(folder) if folds else [])]:
        for event in read_events(place / layout.EVENTS, "IMAGE"):
            moment = event.epoch if event.epoch is not None else event.step
            if isinstance(event, ImageEvent) and moment is not None:
                found[place / event.file] = moment
    return found


def enlarge(address: str, caption: str) -> None:
    """Show a picture as large as the window allows, with its caption."""
    with ui.dialog() as dialog, ui.card().classes("look"):
        with ui.element("div").classes("line"):
            ui.label(caption).classes("strong grow wrap")
            ui.link("Open the file", address, new_tab=True)
            ui.button(icon="close", on_click=dialog.close).props('flat round dense aria-label="Close"')
        image = ui.element("img").classes("fill")
        image.props.update({"src": address, "alt": caption})
    dialog.on("hide", dialog.delete)
    dialog.open()


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
    """The section of previews on the current page; hidden while there are none.

    Args:
        run: whose pictures they are.
        chosen: the moment to begin with; None follows the latest.

    Attributes:
        chosen: the moment that somebody chose; None while the latest is followed.
    """

    def __init__(self, run: RunFolder, chosen: str | None = None) -> None:
        self.chosen = chosen
        self._run = run
        self._found = PreviewSet()
        self._images: dict[str, ui.element] = {}
        self._box = ui.element("div")
        self._slider: ui.element | None = None

    def show(self, found: PreviewSet) -> None:
        """Show these.  The moment that somebody chose stays, and so do the slider and its focus."""
        if found == self._found:
            return
        before, self._found = self._found, found
        if not found.rows:
            self._box.clear()
            self._slider = None
            return
        if self._slider is None:
            self._box.clear()
            with self._box, section("Predictions over time"):
                self._build()
        if list(before.rows) != list(found.rows) or not self._images:
            self._build_pictures()
        several = len(found.moments) > 1
        assert self._slider is not None
        self._slider.props["max"] = len(found.moments) - 1
        for element in (self._slider, self._follow):
            element.set_visibility(several)
        self._fill()

    @property
    def _at(self) -> int:
        """The place of the moment that is shown."""
        moments = self._found.moments
        return moments.index(self.chosen) if self.chosen in moments else len(moments) - 1

    def _build(self) -> None:
        with ui.element("div").classes("line"):
            last = len(self._found.moments) - 1
            self._slider = slider("Moment", 0, last, 1, self._at, self._move, pause=0.05).classes("grow")
            self._moment = ui.label().classes("strong moment")
            self._follow = ui.checkbox("Follow the latest", value=self.chosen is None)
            self._follow.on("click", self._turn)
        self._pictures = ui.element("div").classes("pictures")
        self._left = ui.label().classes("muted small")

    def _build_pictures(self) -> None:
        self._images = {}
        self._pictures.clear()
        with self._pictures:
            for shown in list(self._found.rows)[:_ROWS]:
                with ui.element("figure").classes("picture"):
                    button = ui.element("button").classes("tile").props("type=button")
                    with set_label(button, f"Enlarge {shown}").on(
                        "click", lambda name=shown: self._open(name)
                    ):
                        self._images[shown] = ui.element("img").props("loading=lazy")
                    with ui.element("figcaption").classes("small wrap"):
                        ui.label(shown)
        left = len(self._found.rows) - _ROWS
        self._left.text = f"{left} more are in the run's folder."
        self._left.set_visibility(left > 0)

    def _open(self, shown: str) -> None:
        file = self._found.rows[shown][self._at]
        if file is not None:
            enlarge(self._run.url(file), f"{shown}, {self._found.moments[self._at]}")

    async def _move(self, event: GenericEventArguments) -> None:
        moments = self._found.moments
        at = min(max(0, int(event.args or 0)), len(moments) - 1)
        self.chosen = moments[at] if at < len(moments) - 1 else None  # whoever goes to the end follows it
        self._fill(moved=True)

    def _turn(self) -> None:
        self.chosen = None if self._follow.value else self._found.moments[self._at]
        self._fill()

    def _fill(self, moved: bool = False) -> None:
        """Show the pictures of the moment.

        Args:
            moved: whether the thumb is there already, since somebody moves it.
        """
        at = self._at
        moment = self._found.moments[at]
        self._moment.text = moment
        self._follow.value = self.chosen is None
        if self._slider is not None and not moved:
            # The browser forgets the thumb's beginning once it was moved.
            self._slider.props["^value"] = at
            self._box.client.run_javascript(f"getHtmlElement({self._slider.id}).value = {at}")
        for shown, image in self._images.items():
            file = self._found.rows[shown][at]
            image.set_visibility(file is not None)
            if file is not None:
                image.props.update({"src": self._run.url(file), "alt": f"{shown}, {moment}"})
