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
from ravenml.data.annotation import DRAWN
from ravenml.data.classes import BACKGROUND
from ravenml.data.meta import ObjClass

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView


COLUMNS = ["Class", "Shape", "Objects", "Images", "Area"]


async def build(view: WizardView) -> None:
    """Make the step."""
    job = view.wizard.job
    assert job is not None
    shown = ClassTable(view)
    await shown.leave_out_unlearnable()
    with section("Classes"):
        shown.build()
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
        self.unlearnable = {
            known.title: why for number, known in enumerate(self.classes) if (why := self._why(number))
        }
        self._boxes: dict[str, ui.checkbox] = {}
        self._several = False  # whether several boxes are being changed as one
        self._order: tuple[str, bool] | None = None  # the column that is sorted by, and whether downwards

    async def leave_out_unlearnable(self) -> None:
        """Untick, before anybody has chosen, the classes of which nothing can be learned."""
        titles = [known.title for known in self.classes if known.title != BACKGROUND]
        learnable = [title for title in titles if title not in self.unlearnable]
        undecided = self.field is not None and self.stats is not None and self._chosen() is None
        if self.field is not None and undecided and 0 < len(learnable) < len(titles):
            await self.view.set(self.field["name"], learnable)

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
        self._place = ui.element("div")
        self._show()

    def _show(self) -> None:
        chosen = self._chosen()
        numbers = list(range(len(self.classes)))
        if self._order is not None:
            column, downwards = self._order
            numbers.sort(key=lambda number: self._key(column, number), reverse=downwards)
        self._boxes.clear()
        self._place.clear()
        with self._place:
            rows = [self._row(number, self.classes[number], chosen) for number in numbers]
            if self.stats is not None and BACKGROUND not in [known.title for known in self.classes]:
                name = partial(self._name, f"background ({BACKGROUND})", "#000000", "muted")
                rows.append([name, "", "", "", self._background])
            table(COLUMNS, rows, texts=("Shape",), sort=self._sort, sorted_by=self._order)

    def _sort(self, column: str) -> None:
        """By a column; numbers downwards first, and the other way if it is pressed again."""
        before = self._order
        again = before is not None and before[0] == column
        downwards = not before[1] if again and before is not None else column not in COLUMNS[:2]
        self._order = column, downwards
        self._show()

    def _key(self, column: str, number: int) -> str | int:
        known = self.classes[number]
        if column in COLUMNS[:2] or self.stats is None:
            return (known.shape if column == "Shape" else known.title).casefold()
        if column == "Images":
            return self.stats.images_with(number)
        counts = self.stats.objects if column == "Objects" else self.stats.pixels
        return int(counts[:, number].sum())

    def _chosen(self) -> list[str] | None:
        return (
            value_at(self.view.wizard.draft.settings, self.field["name"]) if self.field is not None else None
        )

    def _why(self, number: int) -> str:
        """Why nothing can be learned of a class; empty where something can, or that is not counted yet."""
        known = self.classes[number]
        if self.stats is None or self.stats.objects[:, number].any() or known.title == BACKGROUND:
            return ""
        drawn = known.shape in (*DRAWN, "any")
        return "no objects" if drawn else f"a {known.shape} cannot become a mask"

    def _background(self) -> None:
        self._rest = ui.label()
        self._show_rest()

    def _show_rest(self) -> None:
        """The area of the background, to which the classes belong that are not selected."""
        if self.stats is None or BACKGROUND in [known.title for known in self.classes]:
            return
        chosen = self._chosen()
        kept = [n for n, known in enumerate(self.classes) if chosen is None or known.title in chosen]
        rest = 100 * (1 - self.stats.pixels[:, kept].sum() / max(int(self.stats.sizes.sum()), 1))
        self._rest.text = f"{rest:.2f} %"

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
            if known.title in self.unlearnable:
                ui.label(self.unlearnable[known.title]).classes("small warn")

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
        every = len(chosen) == len(self._boxes) and not self.unlearnable  # else these were chosen on purpose
        await self.view.set(self.field["name"], None if every else chosen)
        self._show_rest()
