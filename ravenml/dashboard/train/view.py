"""The wizard on the page: the rail of steps, the step that is open, and what leads on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path

from nicegui import ui

from ravenml.dashboard.layout import heading, show_error
from ravenml.dashboard.train.draft import STEPS, Draft, put, value_at
from ravenml.dashboard.train.wizard import TITLES, Wizard
from ravenml.dashboard.widgets.controls import count_text, set_label
from ravenml.errors import RavenError

_LOOK = 1.0  # seconds between two looks at what other browsers do

Step = Callable[["WizardView"], Awaitable[None]]


class WizardView:
    """One browser's wizard.

    Attributes:
        wizard: what is known of the draft.
        step: the step that is open.
        tick: called every second by steps that show what goes on; a step sets its own.
    """

    def __init__(self, wizard: Wizard, content: ui.element) -> None:
        self.wizard = wizard
        self.content = content
        self.step = STEPS[0]
        self.tick: Callable[[], Awaitable[None]] | None = None
        self._busy = False
        self._wanted = 0
        self._showing = asyncio.Lock()
        self._shown: str | None = None  # the step that is built, or being built
        self._problems: dict[str, str | None] = {}
        self._buttons: dict[str, tuple[ui.element, ui.label]] = {}
        self._foot_shows: object = None

    async def build(self, step: str | None = None) -> None:
        """Make the page."""
        wanted = step if step in STEPS else self.wizard.draft.step
        self.step = (
            wanted if wanted in STEPS and not self.wizard.lock_reason(wanted) else self._furthest(wanted)
        )
        with ui.element("div").classes("wizard-head"):
            with ui.element("h1"):
                ui.label("Training")
            name = ui.input(placeholder="Title", value=self.wizard.draft.title)
            name.props('dense borderless debounce=600 aria-label="Draft title" maxlength=200').classes("grow")
            name.on_value_change(lambda event: self.change(lambda d: setattr(d, "title", event.value or "")))
        with ui.element("div").classes("wizard"):
            with ui.element("nav").props('aria-label="Steps"').classes("rail"):
                for number, one in enumerate(STEPS, 1):
                    self._rail_button(number, one)
            with ui.element("div").classes("step"):
                self._body = ui.element("section").classes("step-body").props("tabindex=-1")
                self._foot = ui.element("div").classes("step-foot")
        self.wizard.on_change = self.refresh_around
        self.refresh_around()
        await self._show()
        ui.timer(_LOOK, self._poll)

    async def open(self, step: str) -> None:
        """Go to a step, if it is not locked."""
        why = self.wizard.lock_reason(step)
        if why is not None:
            ui.notify(why, position="top")
            return
        self.step = step
        with self.content:  # the button that was pressed may be gone by now
            ui.navigate.history.replace(f"/train/{self.wizard.draft.id}?step={step}")
            await self.change(lambda draft: setattr(draft, "step", step))
            await self._show()
            # The button that was pressed is gone, and whoever goes on by keyboard begins at the step's top.
            ui.run_javascript(
                f"getHtmlElement({self._body.id}).focus({{preventScroll: true}}); window.scrollTo({{top: 0}})"
            )

    async def change(self, change: Callable[[Draft], None]) -> bool:
        """Change the draft; whether it could be."""
        try:
            with self.content:
                await self.wizard.change(change)
            return True
        except RavenError as error:
            with self.content:
                show_error(error)
            return False

    async def set(self, name: str, value: object) -> None:
        """Set one of the plugin's settings."""
        await self.change(lambda draft: put(draft.settings, name, value))

    async def redo(self) -> None:
        """Build the open step anew; not where another one is on its way, which knows what was chosen here."""
        if self.step == self._shown:
            await self._show()

    def refresh_around(self) -> None:
        """The rail and the foot, after something was chosen."""
        self._problems = {step: self.wizard.find_problem(step) for step in STEPS}
        for step, (button, line) in self._buttons.items():
            why = self.wizard.lock_reason(step)
            done = why is None and self.wizard.find_problem(step) is None and step != "train"
            button.classes(
                add=" ".join(name for name, on in (("done", done), ("locked", bool(why))) if on),
                remove=" ".join(name for name, on in (("done", done), ("locked", bool(why))) if not on),
            )
            button.props["aria-disabled"] = "true" if why else "false"
            if step == self.step:
                button.props["aria-current"] = "step"
            else:
                button.props.pop("aria-current", None)
            button.update()
            line.text = summarize(step, self.wizard) if why is None else ""
        self._show_foot()

    def _rail_button(self, number: int, step: str) -> None:
        async def go() -> None:
            await self.open(step)

        with ui.element("button").classes("rail-step").props("type=button").on("click", go) as button:
            ui.label(str(number)).classes("rail-number").props('aria-hidden="true"')
            with ui.element("div").classes("rail-words"):
                ui.label(TITLES[step]).classes("rail-title")
                line = ui.label().classes("muted small cut")
        self._buttons[step] = (button, line)

    def _show_foot(self) -> None:
        place = STEPS.index(self.step)
        why = self.wizard.find_problem(self.step)
        closed = [self.wizard.lock_reason(one) is not None for one in STEPS[place + 1 : place + 2]]
        if (place, why, closed) == self._foot_shows:
            return  # a button that is made anew loses the click that is on its way
        self._foot_shows = (place, why, closed)
        self._foot.clear()
        with self._foot:
            if place:
                before = STEPS[place - 1]
                ui.button("Back", on_click=lambda: self.open(before)).props("flat")
            ui.label(why or "").classes("grow muted wrap").props('role="status"')
            if place + 1 < len(STEPS):
                following = STEPS[place + 1]
                forward = ui.button(f"Next: {TITLES[following]}", on_click=lambda: self.open(following))
                forward.set_enabled(why is None and not closed[0])

    async def _show(self) -> None:
        """Build the open step.  Of several that are wanted at once, one after the other, the last counts."""
        self._wanted += 1
        mine = self._wanted
        async with self._showing:
            if mine != self._wanted:
                return
            self.tick = None
            self._shown = self.step
            self._body.clear()
            set_label(self._body, TITLES[self.step])
            self.refresh_around()
            build: Step = import_module(f"ravenml.dashboard.train.step_{self.step}").build
            with self._body:
                try:
                    await build(self)
                except RavenError as error:
                    heading(TITLES[self.step], str(error))

    def _furthest(self, wanted: str) -> str:
        """The step that has to be seen to before ``wanted`` opens."""
        for step in STEPS[: STEPS.index(wanted) if wanted in STEPS else 0]:
            if self.wizard.find_problem(step) is not None:
                return step
        return STEPS[0]

    async def _poll(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            if await self.wizard.poll():
                with self.content:
                    await self._show()
                return
            await self.wizard.follow_project()  # once it is open, or counted
            if {step: self.wizard.find_problem(step) for step in STEPS} != self._problems:
                self.refresh_around()
            if self.tick is not None:
                with self._body:
                    await self.tick()
        except RavenError as error:
            with self.content:
                show_error(error)
        finally:
            self._busy = False


def summarize(step: str, wizard: Wizard) -> str:
    """A few words for the rail; empty where nothing was chosen yet."""
    draft = wizard.draft
    if step == "project":
        images = len(wizard.job.project.items) if wizard.job and wizard.job.project else 0
        return (
            f"{Path(draft.dataset).name} · {count_text(images, 'image')}" if draft.dataset and images else ""
        )
    if step == "split":
        return _split(wizard)
    if step == "classes":
        field = wizard.field("classes")
        total = len(wizard.job.project.classes) if wizard.job and wizard.job.project else 0
        chosen = value_at(draft.settings, field["name"]) if field else None
        return f"all {total}" if not chosen else f"{len(chosen)} of {total}"
    if step in ("augment", "model"):
        field = wizard.field("augmentations" if step == "augment" else "architecture")
        return str(wizard.value(field["name"])) if field else ""
    if step == "settings":
        field = wizard.field("epochs")
        epochs = f"{wizard.value(field['name'])} epochs" if field else ""
        return " · ".join(part for part in (draft.preset, epochs) if part)
    return count_text(len(draft.runs), "run") if draft.runs else ""


def _split(wizard: Wizard) -> str:
    split_preview = wizard.split_preview
    if split_preview is None or not split_preview.splits:
        return ""
    if len(split_preview.splits) > 1:
        return f"{len(split_preview.splits)} folds"
    return f"{len(split_preview.splits[0].train):,} + {len(split_preview.splits[0].val):,}"
