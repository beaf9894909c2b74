"""The wizard's inputs: cards to choose from, a path, and whatever a setting's description asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from nicegui import ui
from nicegui.elements.mixins.validation_element import ValidationElement

from ravenml.common.io import JsonObject
from ravenml.common.secret_patterns import is_secret
from ravenml.dashboard.train.draft import value_at
from ravenml.dashboard.widgets.controls import set_label
from ravenml.errors import RavenError

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView

T = TypeVar("T")
_UNSET = object()


def add_field(
    view: WizardView,
    field: JsonObject,
    value: object = _UNSET,
    after: Callable[[], Awaitable[None]] | None = None,
) -> ui.element:
    """Put an input for ``field`` here.

    Args:
        field: as `ravenml.train.form.describe_settings` has it.
        value: what it shows; by default what holds now.
        after: is called once the draft has taken a new value.
    """
    name = field["name"]
    if is_secret(name):
        variable = f"RAVENML_{view.wizard.draft.plugin}_{name}".upper().replace("-", "_").replace(".", "_")
        text = f"{field['title']}: secrets are not saved in drafts; set {variable}."
        return ui.label(text).classes("muted")

    async def take(typed: object) -> None:
        # What the preset or the default says anyway is left out, so that the file stays short.
        base = value_at(view.wizard.preset_settings(), name, field["default"])
        await view.set(name, None if typed in (base, "") else typed)
        mark_wrong(element, view.wizard.wrong.get(name))
        if after is not None:
            await after()

    element = _input(field, view.wizard.value(name) if value is _UNSET else value, take)
    if isinstance(element, ValidationElement):
        element.props["hint"] = field["text"]
        element.props("bottom-slots hide-bottom-space")
    else:
        element.tooltip(field["text"])
    mark_wrong(element, view.wizard.wrong.get(name))
    return element


def add_cards(
    label: str,
    options: Iterable[tuple[T, str, str]],
    chosen: object,
    choose: Callable[[T], Awaitable[None]],
) -> dict[T, ui.element]:
    """Cards of which one can be chosen; they are returned by their values.

    Args:
        label: what people hear.
        options: each card's value, its title and the line below it.
        chosen: the value that is chosen.
        choose: is called with another one.
    """
    cards: dict[T, ui.element] = {}
    with set_label(ui.element("div").classes("choices").props("role=radiogroup"), label):
        for value, title, text in options:
            with ui.element("button").classes("choice").props("type=button role=radio") as card:
                ui.label(title).classes("strong wrap")
                ui.label(text).classes("muted small wrap")
            set_label(card, title).props["aria-checked"] = "true" if value == chosen else "false"
            cards[value] = card.on("click", partial(choose, value))
    return cards


def add_path(
    view: WizardView, label: str, value: str, choose: Callable[[str], Awaitable[None]], folders: bool = False
) -> ui.input:
    """An input for a file below the dashboard's roots.

    Args:
        label: of the input.
        value: what it shows.
        choose: is called with the path as soon as there is something else.
        folders: whether it may be a folder.
    """

    async def take() -> None:
        text = (element.value or "").strip()
        if not text or text == value:
            return
        try:
            path = view.wizard.shared.settings.roots.resolve(text)
        except RavenError as error:
            element.error = str(error)
            return
        if path.is_file() or (folders and path.exists()):
            await choose(str(path))
        else:
            element.error = f"There is no {path}."

    element = ui.input(label, value=value).props("dense outlined clearable")
    return element.on("keydown.enter", take).on("blur", take)


def mark_wrong(element: ui.element, wrong: str | None) -> None:
    """Show, or take away, what is wrong with a field."""
    if isinstance(element, ValidationElement):
        element.error = wrong


def _input(field: JsonObject, value: object, take: Callable[[object], Awaitable[None]]) -> ui.element:
    kind, title = field["kind"], field["title"]
    if kind == "switch":
        return ui.switch(title, value=bool(value)).on_value_change(lambda event: take(bool(event.value)))
    if kind == "choice":
        options = {one["value"]: str(one["value"]) for one in field["choices"]}
        select = ui.select(options, label=title, value=value if value in options else None)
        return select.props("dense outlined options-dense").on_value_change(lambda event: take(event.value))
    if kind in ("whole", "number"):
        text = "" if value is None else str(value).removesuffix(".0")
        number = ui.input(title, value=text).props("dense outlined debounce=400 inputmode=decimal")
        if field["unit"]:
            number.props["suffix"] = field["unit"]
        return number.on_value_change(lambda event: take(as_number(event.value, kind)))
    plain = ui.input(title, value=as_text(value)).props("dense outlined debounce=600")
    return plain.on_value_change(lambda event: take(from_text(event.value, kind)))


def as_number(text: object, kind: str) -> int | float | str:
    """A number; what is none stays text, so that the plugin says what is wrong with it."""
    stripped = str(text if text is not None else "").strip().replace(",", ".")
    try:
        return int(stripped) if kind == "whole" else float(stripped)
    except ValueError:
        return stripped


def as_text(value: object) -> str:
    """Lists with commas, mappings as ``a=1,b=2``."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={inner}" for name, inner in value.items())
    return str(value)


def from_text(text: object, kind: str) -> str | list[str]:
    """What was typed, as the settings take it."""
    stripped = str(text or "").strip()
    if kind == "list":
        return [part.strip() for part in stripped.split(",") if part.strip()]
    return stripped
