"""Step 3: the classes, how often they occur, and which of them are learned."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING

from nicegui import ui

from ravenml.dashboard.layout import section
from ravenml.dashboard.train.draft import value_at
from ravenml.dashboard.train.gallery import swatch
from ravenml.dashboard.widgets.controls import table
from ravenml.data.classes import BACKGROUND
from ravenml.data.meta import ObjClass

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView


async def build(view: WizardView) -> None:
    """Make the step."""
    job = view.wizard.job
    assert job is not None
    with section("Classes"):
        ClassTable(view).build()
    counted = job.stats is not None

    async def tick() -> None:
        nonlocal counted
        if not counted and job.stats is not None:
            counted = True
            await view.redo()

    view.tick = tick


class ClassTable:
    """The classes with their counts, and a box for each where the plugin can leave classes out."""

    def __init__(self, view: WizardView) -> None:
        job = view.wizard.job
        assert job is not None and job.project is not None
        self.view = view
        self.classes, self.stats = job.project.classes, job.stats
        self.field = view.wizard.field("classes")
        self._boxes: dict[str, ui.checkbox] = {}
        self._several = False  # whether several boxes are being changed as one

    def build(self) -> None:
        """Make it."""
        draft = self.view.wizard.draft
        if self.field is None:
            ui.label(f"The plugin {draft.plugin} trains on all classes.").classes("muted")
        else:
            text = "Classes that are not selected become background, which is always class 0."
            ui.label(text).classes("muted")
            with ui.element("div").classes("line"):
                ui.button("All", on_click=partial(self._choose_all, True)).props("flat dense")
                ui.button("None", on_click=partial(self._choose_all, False)).props("flat dense")
        chosen = value_at(draft.settings, self.field["name"]) if self.field is not None else None
        rows = [self._row(number, known, chosen) for number, known in enumerate(self.classes)]
        if self.stats is not None and BACKGROUND not in [known.title for known in self.classes]:
            rest = 100 * (1 - self.stats.pixels.sum() / max(int(self.stats.sizes.sum()), 1))
            name = partial(self._name, f"background ({BACKGROUND})", "#000000", "muted")
            rows.append([name, "", "", "", f"{rest:.2f} %"])
        table(["Class", "Shape", "Objects", "Images", "Area"], rows, texts=("Shape",))

    def _row(self, number: int, known: ObjClass, chosen: list[str] | None) -> list[object]:
        counts = ["…"] * 3
        if self.stats is not None:
            share = 100 * self.stats.pixels[:, number].sum() / max(int(self.stats.sizes.sum()), 1)
            objects, images = int(self.stats.objects[:, number].sum()), self.stats.images_with(number)
            counts = [f"{objects:,}", f"{images:,}", f"{share:.2f} %"]
        return [partial(self._title, known, chosen), known.shape, *counts]

    def _title(self, known: ObjClass, chosen: list[str] | None) -> None:
        with ui.element("div").classes("line nowrap"):
            if self.field is not None and known.title != BACKGROUND:
                box = ui.checkbox(value=chosen is None or known.title in chosen, on_change=self._changed)
                box.props("dense").props["aria-label"] = f"Train on {known.title}"
                self._boxes[known.title] = box
            self._name(known.title, known.color)

    def _name(self, title: str, color: str, classes: str = "strong wrap") -> None:
        with ui.element("div").classes("line nowrap"):
            swatch(color)
            ui.label(title).classes(classes)

    def _changed(self) -> Awaitable[None] | None:
        return None if self._several else self._choose()

    async def _choose_all(self, on: bool) -> None:
        self._several = True
        for box in self._boxes.values():
            box.set_value(on)
        self._several = False
        await self._choose()

    async def _choose(self) -> None:
        assert self.field is not None
        chosen = [title for title, box in self._boxes.items() if box.value]
        await self.view.set(self.field["name"], None if len(chosen) == len(self._boxes) else chosen)
