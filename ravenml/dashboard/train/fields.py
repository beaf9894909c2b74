"""An input for a setting, whatever its kind; made from its description alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ravenml.runs.secrets import is_secret

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView

_UNSET = object()


def add_field(
    view: WizardView,
    field: dict[str, Any],
    value: Any = _UNSET,
    after: Callable[[], Awaitable[None]] | None = None,
) -> Any:
    """Put an input for ``field`` here.

    Args:
        field: as `ravenml.train.form.describe_settings` has it.
        value: what it shows; by default what holds now.
        after: is called once the draft has taken a new value.

    Returns:
        The element, with the attribute ``error`` where it can show one.
    """
    name = field["name"]
    shown = view.wizard.value(name) if value is _UNSET else value

    async def take(typed: Any) -> None:
        await view.set(name, _unless_default(view, field, typed))
        mark_wrong(element, view.wizard.wrong.get(name))
        if after is not None:
            await after()

    element = _element(view, field, shown, take)
    mark_wrong(element, view.wizard.wrong.get(name))
    return element


def mark_wrong(element: Any, wrong: str | None) -> None:
    """Show, or take away, what is wrong with a field."""
    if hasattr(element, "error"):
        element.error = wrong


def _element(
    view: WizardView, field: dict[str, Any], shown: Any, take: Callable[[Any], Awaitable[None]]
) -> Any:
    from nicegui import ui

    kind, name = field["kind"], field["name"]
    if is_secret(name):
        variable = f"RAVENML_{view.wizard.draft.plugin}_{name}".upper().replace("-", "_").replace(".", "_")
        return ui.label(f"{field['title']}: a secret is not kept in a draft; set {variable}.").classes(
            "muted"
        )
    if kind == "switch":
        switch = ui.switch(field["title"], value=bool(shown))
        switch.on_value_change(lambda event: take(bool(event.value)))
        return _add_hint(switch, field)
    if kind == "choice":
        options = {one["value"]: str(one["value"]) for one in field["choices"]}
        select = ui.select(options, label=field["title"], value=shown if shown in options else None)
        select.props("dense outlined options-dense").on_value_change(lambda event: take(event.value))
        return _add_hint(select, field)
    if kind in ("whole", "number"):
        text = "" if shown is None else str(shown).removesuffix(".0")
        number = ui.input(field["title"], value=text).props("dense outlined debounce=400 inputmode=decimal")
        if field["unit"]:
            number.props["suffix"] = field["unit"]
        number.on_value_change(lambda event: take(as_number(event.value, kind)))
        return _add_hint(number, field)
    plain = ui.input(field["title"], value=as_text(shown)).props("dense outlined debounce=600")
    plain.on_value_change(lambda event: take(from_text(event.value, kind)))
    return _add_hint(plain, field)


def _add_hint(element: Any, field: dict[str, Any]) -> Any:
    """The description below the field."""
    if hasattr(element, "error"):
        element.props["hint"] = field["text"]
        element.props("bottom-slots hide-bottom-space")
    else:
        element.tooltip(field["text"])
    return element


def _unless_default(view: WizardView, field: dict[str, Any], typed: Any) -> Any:
    """None for what the preset or the default says anyway, so that the file stays short."""
    from ravenml.dashboard.train.draft import value_at

    base = value_at(view.wizard.preset_settings(), field["name"], field["default"])
    return None if typed == base or typed == "" else typed


def as_number(text: Any, kind: str) -> Any:
    """A number; what is none stays text, so that the plugin says what is wrong with it."""
    stripped = str(text if text is not None else "").strip().replace(",", ".")
    try:
        return int(stripped) if kind == "whole" else float(stripped)
    except ValueError:
        return stripped


def as_text(value: Any) -> str:
    """Lists with commas, mappings as ``a=1,b=2``."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={inner}" for name, inner in value.items())
    return str(value)


def from_text(text: Any, kind: str) -> Any:
    """What was typed, as the settings take it."""
    stripped = str(text or "").strip()
    if kind == "list":
        return [part.strip() for part in stripped.split(",") if part.strip()]
    return stripped
