"""Step 5: the architecture, and what it begins with."""

from __future__ import annotations

from asyncio import to_thread
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from ravenml.common.io import JsonObject
from ravenml.config.home import runs_dir, store_dir
from ravenml.dashboard.layout import empty_state, section
from ravenml.dashboard.train.fields import add_cards, add_field, add_path
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.overview import full_name
from ravenml.runs.record import read_record

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView

_MOST = 200  # starting models of either kind
SCRATCH, FILE, STORED = "From scratch", "From a checkpoint", "From a stored model"


async def build(view: WizardView) -> None:
    """Make the step."""
    architecture, weights = view.wizard.field("architecture"), view.wizard.field("weights")
    if architecture is None and weights is None:
        empty_state("memory", "Nothing to configure", "The plugin has no model settings.")
        return
    if architecture is not None:
        with section(architecture["title"]):
            _architectures(view, architecture)
    if weights is not None:
        with section(weights["title"]):
            ui.label(weights["text"]).classes("muted")
            await _weights(view, weights)


def _architectures(view: WizardView, field: JsonObject) -> None:
    name, now = field["name"], view.wizard.value(field["name"])
    offered = field["choices"]

    async def choose(value: object) -> None:
        await view.set(name, value)
        await view.redo()

    def describe(one: JsonObject) -> str:
        size = describe_parameters(one["parameters"]) if one["parameters"] else ""
        return " · ".join(part for part in (size, one["text"]) if part)

    if offered:
        cards = [(one["value"], str(one["value"]), describe(one)) for one in offered]
        add_cards("Architectures", cards, now, choose)
    if field["kind"] == "text":
        own = {**field, "choices": [], "title": "Other", "default": ""}
        shown = "" if now in [one["value"] for one in offered] else now
        add_field(view, own, value=shown, after=view.redo)


def describe_parameters(count: int) -> str:
    """``21.8 million parameters``, or ``48,000 parameters`` of a small network, to three figures."""
    if count >= 1_000_000:
        return f"{count / 1e6:.1f} million parameters"
    figures = max(0, len(str(count)) - 3)
    return f"{round(count, -figures):,} parameters"


async def _weights(view: WizardView, field: JsonObject) -> None:
    name, now = field["name"], view.wizard.value(field["name"])
    points = await to_thread(find_starting_models)
    known = {point.path: point for point in points}
    way = SCRATCH if not now else STORED if now in known else FILE

    async def choose(value: str | None) -> None:
        await view.set(name, value)
        await view.redo()

    def show(chosen: str) -> None:
        file.set_visibility(chosen == FILE)
        stored.set_visibility(chosen == STORED)

    toggle = ui.toggle([SCRATCH, FILE, STORED], value=way).props("no-caps unelevated")
    title = "A checkpoint, model-state.tar or training folder"
    file = add_path(view, title, now if way == FILE else "", choose, folders=True).classes("wide")
    with ui.element("div").classes("stack") as stored:
        if points:
            options = {point.path: f"{point.name} · {point.text}" for point in points}
            select = ui.select(options, label="Model", value=now if now in options else None, with_input=True)
            select.props("dense outlined").classes("wide")
            select.on_value_change(lambda event: choose(event.value))
        else:
            ui.label("No stored models yet.").classes("muted")
    show(way)

    async def turn(event: ValueChangeEventArguments[Any]) -> None:
        show(event.value)
        if event.value == SCRATCH:
            await choose(None)

    toggle.on_value_change(turn)
    mode = view.wizard.field("weights_mode")
    if mode is not None and now:
        add_field(view, mode)


@dataclass(frozen=True)
class StartingModel:
    """A ``model-state.tar``: where it lies, what it is called, and what is known of it."""

    path: str
    name: str
    text: str


def find_starting_models() -> list[StartingModel]:
    """The newest first; reads run records, so call it in a thread."""
    found = []
    for run_id in reversed(layout.run_ids()):
        path = runs_dir() / run_id / layout.MODEL_STATE
        if not path.exists():
            continue
        try:
            record = read_record(path.parent)
        except RavenError:
            continue
        dataset = (record.get("dataset") or {}).get("name")
        named = run_id if full_name(record) else None
        text = " · ".join(str(part) for part in (record.get("plugin"), dataset, named) if part)
        found.append(StartingModel(str(path), full_name(record) or f"run {run_id}", text))
        if len(found) >= _MOST:
            break
    models = store_dir() / "models"
    files = sorted(models.glob("*.tar"), key=lambda file: -file.stat().st_mtime) if models.is_dir() else []
    return [*found, *(StartingModel(str(file), file.stem, "local store") for file in files[:_MOST])]
