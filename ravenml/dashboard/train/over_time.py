"""Predictions over time: the same images at every epoch, with a slider over the epochs."""

from __future__ import annotations

from typing import Any

from ravenml.dashboard.layout import section
from ravenml.dashboard.runs.files import file_url
from ravenml.dashboard.train.live import Part, Picture

_MOST = 12  # pictures of one moment


class OverTime:
    """The gallery; hidden while there is no picture."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.epochs: list[float] = []
        self.at: dict[float, list[tuple[str, str]]] = {}
        self._count = -1
        self._follow = True

    def build(self) -> None:
        """Make it."""
        from nicegui import ui

        with section("Predictions over time") as self._box:
            with ui.element("div").classes("line"):
                self._slider = ui.slider(min=0, max=1, step=1, value=0, on_change=self._move).classes("grow")
                self._slider.props('label markers aria-label="Epoch"')
                self._word = ui.label().classes("strong number").style("min-width: 6em")
            self._grid = ui.element("div").classes("over-time")
        self._box.set_visibility(False)

    def show(self, pictures: list[Picture], parts: list[Part]) -> None:
        """Take in the pictures that there are."""
        if len(pictures) == self._count:
            return
        self._count = len(pictures)
        self.at = {}
        for part in parts:
            label = f"folds/{part.folder.name}/" if part is not parts[0] else ""
            for picture in part.pictures:
                rows = self.at.setdefault(picture.epoch, [])
                rows.append((f"{label}{picture.name}", f"{label}{picture.file}"))
        self.epochs = sorted(self.at)
        self._box.set_visibility(bool(self.epochs))
        if not self.epochs:
            return
        self._slider.props["max"] = max(len(self.epochs) - 1, 0)
        self._slider.set_enabled(len(self.epochs) > 1)
        if self._follow:
            self._slider.value = len(self.epochs) - 1
        self._slider.update()
        self._draw()

    def _move(self, event: Any) -> None:
        self._follow = int(event.value or 0) >= len(self.epochs) - 1
        self._draw()

    def _draw(self) -> None:
        from nicegui import ui

        if not self.epochs:
            return
        epoch = self.epochs[min(int(self._slider.value or 0), len(self.epochs) - 1)]
        self._word.text = f"epoch {epoch:g}"
        self._grid.clear()
        with self._grid:
            for name, file in self.at[epoch][:_MOST]:
                with ui.element("figure"):
                    image = ui.element("img").props("decoding=async")
                    image.props["src"] = file_url(self.run_id, file)
                    image.props["alt"] = f"{name}, epoch {epoch:g}"
                    with ui.element("figcaption"):
                        ui.label(name).classes("muted small cut")
