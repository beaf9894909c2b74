"""Step 3: the classes, how often they occur, and which of them are learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ravenml.dashboard.layout import section
from ravenml.dashboard.train.draft import value_at
from ravenml.dashboard.train.gallery import swatch
from ravenml.data.classes import BACKGROUND

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView


async def build(view: WizardView) -> None:
    """Make the step."""
    from nicegui import ui

    wizard = view.wizard
    job, field = wizard.job, wizard.field("classes")
    assert job is not None and job.project is not None
    titles = [known.title for known in job.project.classes if known.title != BACKGROUND]
    with section("Classes"):
        if field is None:
            ui.label(f"The plugin {wizard.draft.plugin} learns all classes.").classes("muted")
        else:
            ui.label(
                "What is not chosen becomes background. The background itself is added by itself, as class 0."
            ).classes("muted")
            with ui.element("div").classes("line"):
                ui.button("All", on_click=lambda: choose_all(True)).props("flat dense")
                ui.button("None", on_click=lambda: choose_all(False)).props("flat dense")
        boxes: dict[str, Any] = {}
        many = False  # whether several boxes are being changed as one

        async def choose() -> None:
            assert field is not None
            chosen = [title for title in titles if boxes[title].value]
            await view.set(field["name"], None if len(chosen) == len(titles) else chosen)

        def one_changed() -> Any:
            return None if many else choose()

        async def choose_all(on: bool) -> None:
            nonlocal many
            many = True
            for box in boxes.values():
                box.set_value(on)
            many = False
            await choose()

        chosen = value_at(wizard.draft.settings, field["name"]) if field is not None else None
        _table(view, titles, chosen, boxes, one_changed if field is not None else None)
    stage = job.stats is None

    async def tick() -> None:
        nonlocal stage
        if stage and job.stats is not None:
            stage = False
            await view.redo()

    view.tick = tick


def _table(
    view: WizardView, titles: list[str], chosen: list[str] | None, boxes: dict[str, Any], choose: Any
) -> None:
    from nicegui import ui

    job = view.wizard.job
    assert job is not None and job.project is not None
    stats = job.stats
    area = int(stats.sizes.sum()) if stats is not None else 0
    with ui.element("div").classes("scroll-x"), ui.element("table").classes("table"):
        with ui.element("thead"), ui.element("tr"):
            for text, kind in (("Class", ""), ("Shape", ""), ("Objects", "number"), ("Images", "number")):
                _cell(text, f"th {kind}")
            _cell("Area", "th number")
        with ui.element("tbody"):
            for column, known in enumerate(job.project.classes):
                background = known.title == BACKGROUND
                with ui.element("tr"):
                    with ui.element("td"), ui.element("div").classes("line nowrap"):
                        if choose is not None and not background:
                            box = ui.checkbox(value=chosen is None or known.title in chosen, on_change=choose)
                            box.props("dense").props["aria-label"] = f"Learn {known.title}"
                            boxes[known.title] = box
                        swatch(known.color)
                        ui.label(known.title).classes("strong wrap")
                    _cell(known.shape)
                    if stats is None:
                        for _ in range(3):
                            _cell("…", "number muted")
                        continue
                    _cell(f"{int(stats.objects[:, column].sum()):,}", "number")
                    _cell(f"{stats.images_with(column):,}", "number")
                    _cell(f"{100 * stats.pixels[:, column].sum() / max(area, 1):.2f} %", "number")
            if stats is not None:
                _rest(100 * (1 - stats.pixels.sum() / max(area, 1)), BACKGROUND in titles)


def _rest(percent: float, known: bool) -> None:
    from nicegui import ui

    if known:
        return
    with ui.element("tr").classes("muted"):
        with ui.element("td"), ui.element("div").classes("line nowrap"):
            swatch("#000000")
            ui.label(f"background ({BACKGROUND})")
        for _ in range(3):
            _cell("")
        _cell(f"{percent:.2f} %", "number")


def _cell(text: str, classes: str = "") -> None:
    from nicegui import ui

    head = classes.startswith("th")
    with ui.element("th" if head else "td").classes(classes.removeprefix("th")):
        ui.label(text)
