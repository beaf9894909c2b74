"""The images of a project, a page at a time, with their masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from ravenml.dashboard.train.dataset_stats import StatsJob
from ravenml.dashboard.train.pictures import image_url
from ravenml.dashboard.train.wizard import Wizard
from ravenml.dashboard.widgets.controls import count_text

PAGE = 24


class ImageGallery:
    """Pictures to page through, to filter and to look at closely."""

    def __init__(self, wizard: Wizard, job: StatsJob) -> None:
        assert job.project is not None
        self.draft_id = wizard.draft.id
        self.job = job
        self.project = job.project
        self.page = 0
        self.masks = True
        self.filters: dict[str, str | None] = {"dataset": None, "class": None, "tag": None}

    def build(self) -> None:
        """Make it."""
        with ui.element("div").classes("line"):
            self._filters = ui.element("div").classes("line")
            ui.space()
            switch = ui.switch("Masks", value=True)
            switch.on_value_change(lambda event: self._set_masks(bool(event.value)))
        self._grid = ui.element("div").classes("gallery")
        with ui.element("div").classes("line"):
            self._words = ui.label().classes("muted small grow").props('role="status"')
            self._back = _pager("chevron_left", "Previous images", lambda: self._turn(-1))
            self._on = _pager("chevron_right", "Next images", lambda: self._turn(1))
        self.show_counts()

    def show_counts(self) -> None:
        """The project is counted now: classes and tags can be filtered by."""
        self._filters.clear()
        stats = self.job.stats
        with self._filters:
            if len(self.project.datasets) > 1:
                self._select("dataset", "Dataset", self.project.datasets)
            if stats is not None:
                self._select("class", "Class", self.project.titles)
                if stats.tags:
                    self._select("tag", "Tag", stats.tags)
            else:
                ui.label("Filters appear when all images are counted.").classes("muted small")
        self._show()

    def _select(self, name: str, label: str, options: list[str]) -> None:
        def choose(event: ValueChangeEventArguments[Any]) -> None:
            self.filters[name] = event.value
            self.page = 0
            self._show()

        select = ui.select(options, label=label, value=self.filters[name], clearable=True, on_change=choose)
        select.props("dense outlined options-dense").classes("filter")

    def chosen(self) -> list[int]:
        """The numbers of the images that the filters leave."""
        keep = np.ones(len(self.project.items), bool)
        stats = self.job.stats
        if self.filters["dataset"] is not None:
            keep &= np.array([item.dataset == self.filters["dataset"] for item in self.project.items])
        if stats is not None and self.filters["class"] is not None:
            keep &= stats.objects[:, self.project.titles.index(self.filters["class"])] > 0
        if stats is not None and self.filters["tag"] is not None:
            keep &= stats.tagged[:, stats.tags.index(self.filters["tag"])]
        return [int(number) for number in np.flatnonzero(keep)]

    def _show(self) -> None:
        numbers = self.chosen()
        first = self.page * PAGE
        shown = numbers[first : first + PAGE]
        self._grid.clear()
        with self._grid:
            for number in shown:
                self._tile(number)
        of = count_text(len(numbers), "image")
        self._words.text = f"{first + 1:,} to {first + len(shown):,} of {of}" if shown else "No images match."
        self._back.set_enabled(self.page > 0)
        self._on.set_enabled(first + PAGE < len(numbers))

    def _tile(self, number: int) -> None:
        item = self.project.items[number]
        with (
            ui.element("button")
            .classes("tile")
            .props("type=button")
            .on("click", lambda: self._look(number)) as tile
        ):
            tile.props["aria-label"] = f"View {item.key}"
            self._image(number, 320)
            ui.label(item.name).classes("tile-name cut")

    def _image(self, number: int, width: int, masks: bool | None = None) -> ui.element:
        image = ui.element("img").props("loading=lazy decoding=async")
        shown = self.masks if masks is None else masks
        image.props["src"] = image_url(self.draft_id, number, width, shown, self.job.stamp)
        image.props["alt"] = self.project.items[number].key
        return image

    def _look(self, number: int) -> None:
        item = self.project.items[number]
        stats = self.job.stats
        with ui.dialog() as dialog, ui.card().classes("look"):
            with ui.element("div").classes("line"):
                ui.label(item.key).classes("strong cut grow")
                ui.button(icon="close", on_click=dialog.close).props('flat round dense aria-label="Close"')
            self._image(number, 1280)
            if stats is not None:
                with ui.element("div").classes("line"):
                    for column, known in enumerate(self.project.classes):
                        if stats.objects[number, column]:
                            legend(known.title, known.color, f"{stats.objects[number, column]}")
                    for column, tag in enumerate(stats.tags):
                        if stats.tagged[number, column]:
                            ui.label(tag).classes("chip")
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _set_masks(self, on: bool) -> None:
        self.masks = on
        self._show()

    def _turn(self, by: int) -> None:
        self.page += by
        self._show()


def legend(title: str, color: str, more: str = "") -> None:
    """A class's colour and title."""
    with ui.element("span").classes("legend"):
        swatch(color)
        ui.label(f"{title} {more}".strip())


def swatch(color: str) -> None:
    """A small field of a colour, ``#RRGGBB``."""
    ui.element("span").classes("swatch").style(f"background: {color}")


def _pager(icon: str, label: str, turn: Callable[[], None]) -> ui.button:
    button = ui.button(icon=icon, on_click=turn).props("flat round dense")
    button.props["aria-label"] = label
    return button
