"""Step 4: augmentations, with a live preview."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ravenml.dashboard.layout import empty_state, section
from ravenml.dashboard.train.augmenting import paint_augmentations
from ravenml.dashboard.train.step_project import choice_card
from ravenml.errors import RavenError

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView


async def build(view: WizardView) -> None:
    """Make the step."""
    from nicegui import ui

    field = view.wizard.field("augmentations")
    if field is None:
        empty_state(
            "auto_fix_off",
            "Nothing to choose here",
            f"The plugin {view.wizard.draft.plugin} publishes no setting for augmentations.",
        )
        return
    name = field["name"]
    offered = {one["value"]: one["text"] for one in field["choices"]}
    now = view.wizard.value(name)

    async def choose(value: Any) -> None:
        await view.set(name, None if value == field["default"] else value)
        await view.redo()

    async def typed() -> None:
        text = (file.value or "").strip()
        if not text or text == view.wizard.value(name):
            return
        try:
            path = view.wizard.shared.settings.roots.resolve(text)
        except RavenError as error:
            file.error = str(error)
            return
        if not path.is_file():
            file.error = f"There is no file {path}."
            return
        await choose(str(path))

    with section("How training images are changed"):
        ui.label(field["text"]).classes("muted")
        with ui.element("div").classes("choices").props('role="radiogroup" aria-label="Augmentations"'):
            for value, text in offered.items():
                choice_card(value, text, now == value, lambda value=value: choose(value))
        file = ui.input("Or a file of your own", value="" if now in offered else str(now or ""))
        file.props("dense outlined clearable").on("keydown.enter", typed).on("blur", typed)
    with section("Preview"):
        await AugmentPreview(view).build()


class AugmentPreview:
    """A few images, and what training could see of them."""

    def __init__(self, view: WizardView) -> None:
        self.view = view
        self.seed = int(time.time()) % 1_000_000

    async def build(self) -> None:
        """Make it; the pictures come when they are painted."""
        from nicegui import ui

        with ui.element("div").classes("line"):
            ui.label(
                "Random images with the chosen classes: as they are, then as training sees them."
            ).classes("muted grow")
            ui.button("Other images", icon="casino", on_click=self.again).props("flat dense")
        self.box = ui.element("div").classes("stack")
        ui.timer(0.01, self.paint, once=True)

    async def again(self) -> None:
        """Take other images."""
        self.seed += 1
        await self.paint()

    async def paint(self) -> None:
        """Ask the plugin for pictures."""
        from nicegui import ui

        self.box.clear()
        with self.box, ui.element("div").classes("line muted"):
            ui.spinner(size="sm")
            ui.label("The plugin paints them; the first time takes a few seconds.").classes("small")
        try:
            rows = await paint_augmentations(self.view.wizard, self.seed)
            message = "" if any(len(row) > 1 for _, row in rows) else "The plugin shows no preview."
        except RavenError as error:
            rows, message = [], str(error)
        self.box.clear()
        with self.box:
            if message:
                ui.label(message).classes("muted wrap").props('role="status"')
                return
            for name, pictures in rows:
                with ui.element("div").classes("augmented"):
                    for number, source in enumerate(pictures):
                        image = ui.element("img")
                        image.props["src"] = source
                        image.props["alt"] = f"{name}, {'as it is' if not number else f'changed, {number}'}"
