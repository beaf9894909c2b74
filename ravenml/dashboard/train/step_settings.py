"""Step 6: hyperparameters; the form is made from what the plugin publishes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from nicegui import ui

from ravenml.common.io import JsonObject
from ravenml.dashboard.drawing import ChartLine
from ravenml.dashboard.layout import empty_state, section
from ravenml.dashboard.metric_column import Points
from ravenml.dashboard.train.draft import Draft
from ravenml.dashboard.train.fields import add_field, mark_wrong
from ravenml.dashboard.train.split_preview import steps_per_epoch
from ravenml.dashboard.train.wizard import HANDLED, STEP_OF_ROLE
from ravenml.dashboard.widgets.chart import Chart
from ravenml.errors import RavenError
from ravenml.remote.client.queues import LOCAL, queues
from ravenml.train.settings import GROUPS

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView

_POINTS = 400  # of the curve


async def build(view: WizardView) -> None:
    """Make the step."""
    form = view.wizard.form
    if form is None:
        empty_state(
            "tune",
            "No settings",
            "This plugin has no settings that can be edited here; it trains with its defaults.",
        )
    else:
        if form["presets"]:
            _presets(view)
        page = Form(view)
        page.build()
        await page.refresh()
    _core(view)


class Form:
    """The groups of fields; which of them are shown depends on the values of others."""

    def __init__(self, view: WizardView) -> None:
        self.view = view
        self.places: dict[str, tuple[JsonObject, ui.element, ui.element]] = {}
        self.curve: ui.element | None = None
        self.chart: Chart | None = None
        self.drawn = 0
        self._locks: dict[str, ui.checkbox] = {}  # by what `….width` and `….height` have in common
        self._ratios: dict[str, float] = {}  # width / height of those that are locked
        self._followed: dict[str, int] = {}  # sides that were set because the other one was

    def build(self) -> None:
        """Make it."""
        groups = grouped(self.view.wizard.form or {"fields": []})
        for group, fields in groups.items():
            with section(group.capitalize()):
                with ui.element("div").classes("fields"):
                    for field in fields:
                        with ui.element("div").classes("form-field") as place:
                            after = partial(self._changed, field["name"])
                            element = add_field(self.view, field, after=after)
                            self._add_lock(field["name"])
                        self.places[field["name"]] = (field, place, element)
                if group == "schedule":
                    self.curve = ui.element("div").classes("curve")

    def _add_lock(self, name: str) -> None:
        """Below a height that has a width, a box that keeps their proportions."""
        size = name.removesuffix(".height")
        if size == name or f"{size}.width" not in self.places:
            return

        def turn() -> None:
            width, height = (self.view.wizard.value(f"{size}.{side}") for side in ("width", "height"))
            if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
                self._ratios[size] = width / height

        self._locks[size] = ui.checkbox("Keep proportions", on_change=turn).props("dense")

    async def _changed(self, name: str) -> None:
        size, _, side = name.rpartition(".")
        value, lock = self.view.wizard.value(name), self._locks.get(size)
        led = self._followed.pop(name, None) == value  # it was set below, not by a person
        if lock is not None and lock.value and size in self._ratios and isinstance(value, int) and not led:
            ratio = self._ratios[size] if side == "width" else 1 / self._ratios[size]
            other, fitting = f"{size}.{'height' if side == 'width' else 'width'}", round(value / ratio)
            element = self.places[other][2]
            if fitting != self.view.wizard.value(other) and isinstance(element, ui.input):
                self._followed[other] = fitting
                element.value = str(fitting)
        await self.refresh()

    async def refresh(self) -> None:
        """After a value changed: which fields count now, what is wrong, and the curve."""
        wizard = self.view.wizard
        for name, (field, place, element) in self.places.items():
            place.set_visibility(
                all(wizard.value(other) in values for other, values in field["when"].items())
            )
            mark_wrong(element, wizard.wrong.get(name))
        if self.curve is not None:
            await self._draw(self.curve)

    async def _draw(self, box: ui.element) -> None:
        wizard = self.view.wizard
        batch = wizard.field("batch_size")
        try:
            size = int(wizard.value(batch["name"])) if batch else 8
            steps = steps_per_epoch(wizard.split_preview, size) if wizard.split_preview else 1
            rates = []
            if not wizard.wrong:
                answer = await wizard.ask(ask="curve", settings=wizard.effective(), steps=min(steps, 50))
                rates = answer["rates"]
        except (RavenError, ValueError, TypeError):
            rates, steps = [], 1
        box.set_visibility(bool(rates))
        if not rates:
            return
        every = max(1, len(rates) // _POINTS)
        per_epoch = min(steps, 50)
        chosen = range(0, len(rates), every)
        x = np.array([*(number / per_epoch for number in chosen), len(rates) / per_epoch], float)
        y = np.array([*(rates[number] for number in chosen), rates[-1]], float)
        self.drawn += 1
        line = ChartLine("learning rate", Points("epoch", x, y, self.drawn))
        if self.chart is None:
            with box:
                self.chart = Chart("Learning rate", [line], legend=False)
        else:
            await self.chart.update([line])


def grouped(form: JsonObject) -> dict[str, list[JsonObject]]:
    """The fields of this step by group: those that everybody knows first, then the plugin's own."""
    own = [
        field
        for field in form["fields"]
        if field["role"] not in STEP_OF_ROLE and field["role"] not in HANDLED
    ]
    names = list(dict.fromkeys([*GROUPS, *(field["group"] for field in own)]))
    system = [name for name in ("logging", "checkpoints", "system") if name in names]
    order = [name for name in names if name not in system] + system
    found = {name: [field for field in own if field["group"] == name] for name in order}
    return {name: fields for name, fields in found.items() if fields}


def _presets(view: WizardView) -> None:
    form = view.wizard.form or {"presets": []}

    async def choose(title: str | None) -> None:
        def change(draft: Draft) -> None:
            draft.preset = title

        if await view.change(change):
            await view.redo()

    with section("Preset"), ui.element("div").classes("line"):
        options = {"": "none", **{one["title"]: one["title"] for one in form["presets"]}}
        toggle = ui.toggle(options, value=view.wizard.draft.preset or "").props("no-caps unelevated")
        toggle.on_value_change(lambda event: choose(event.value or None))
        ui.label("Settings below override the preset.").classes("muted small")


def _core(view: WizardView) -> None:
    """What ravenML itself can be told about a training."""
    draft = view.wizard.draft

    async def store(name: str, value: object) -> None:
        await view.change(lambda d: setattr(d, name, value))

    with section("Execution and storage"):
        with ui.element("div").classes("fields"):
            where = ui.select(_places(draft.queue), label="Train on", value=draft.queue or "")
            where.props("dense outlined")
            where.classes("form-field").on_value_change(lambda event: store("queue", event.value or None))
            if draft.split.way == "kfold":
                jobs = ui.number("Parallel folds", value=draft.jobs, min=1, max=64, precision=0)
                jobs.props("dense outlined clearable placeholder=auto stack-label").classes("form-field")
                jobs.on_value_change(
                    lambda event: store("jobs", max(1, int(event.value)) if event.value else None)
                )
            kept = {"": "as configured", "best": "best", "all": "all", "none": "none"}
            upload = ui.select(kept, label="Stored checkpoints", value=draft.upload_checkpoints or "")
            upload.props("dense outlined").classes("form-field")
            upload.on_value_change(lambda event: store("upload_checkpoints", event.value or None))
        note = ui.textarea("Note", value=draft.comments)
        note.props("dense outlined autogrow debounce=600 maxlength=4000").on_value_change(
            lambda event: store("comments", event.value or "")
        )


def _places(chosen: str | None) -> dict[str, str]:
    """Where a training can run, by the queue's name."""
    known = {name: f"queue {name}" for name in queues()} | {
        LOCAL: f"queue {LOCAL}: this machine, one after the other"
    }
    lost = {chosen: f"queue {chosen}, which is not configured"} if chosen and chosen not in known else {}
    return {"": "this machine, immediately", **known, **lost}
