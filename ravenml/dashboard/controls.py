"""Small pieces that pages are built of: the browser's own controls, and text that stays text.

What people wrote is never put into a string of ``props``, which would read settings out of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

_VALUE = "(event) => emit(Number(event.target.value))"
_CHECKED = "(event) => emit(event.target.checked)"


def named(element: Any, name: str) -> Any:
    """Give an element the name that people hear who do not see it."""
    element.props["aria-label"] = name
    return element


def slider(
    name: str,
    low: float,
    high: float,
    step: float,
    value: float,
    change: Callable[[Any], Awaitable[None]],
    pause: float = 0.15,
) -> Any:
    """The browser's own slider; ``change`` is given an event whose ``args`` are the number.

    Args:
        pause: seconds between two changes that are told.
    """
    from nicegui import ui

    element = ui.element("input").classes("slider")
    element.props.update({"type": "range", "min": low, "max": high, "step": step, "value": value})
    element.on("input", change, throttle=pause, leading_events=False, js_handler=_VALUE)
    return named(element, name)


def checkbox(name: str, value: bool, change: Callable[[Any], Any]) -> Any:
    """The browser's own checkbox, without words beside it; ``change`` is given an event with a bool."""
    from nicegui import ui

    element = ui.element("input").classes("checkbox")
    element.props.update({"type": "checkbox", "checked": value})
    element.on("change", change, js_handler=_CHECKED)
    return named(element, name)


def choice(name: str, field: str, options: Mapping[str, str], value: str) -> Any:
    """The browser's own list of choices in a form, which is sent as soon as another one is chosen.

    Args:
        name: what people hear.
        field: its name in the form.
        options: texts by value.
        value: what is chosen.
    """
    from nicegui import ui

    with ui.element("select").classes("field") as element:
        element.props["name"] = field
        for one, text in options.items():
            option = ui.element("option")
            option.props["value"] = one
            if one == value:
                option.props["selected"] = True
            with option:
                ui.label(text)
    element.on("change", js_handler="(event) => event.target.form.requestSubmit()")
    return named(element, name)


def link(text: str, target: str, classes: str = "") -> Any:
    """A link within the dashboard; ``text`` is plain."""
    from nicegui import ui

    return ui.link(text, target).classes(classes)


def facts(rows: list[tuple[str, Any]]) -> None:
    """Names and values as a list of definitions; a value may be text, or a function that makes it."""
    from nicegui import ui

    with ui.element("dl").classes("facts"):
        for name, value in rows:
            if value is None or value == "":
                continue
            with ui.element("dt"):
                ui.label(name)
            with ui.element("dd"):
                if callable(value):
                    value()
                else:
                    ui.label(str(value)).classes("wrap")


def table(head: list[str], rows: list[list[Any]], numbers: bool = True) -> None:
    """A small table; a cell is text, or a function that makes it.  All but the first column hold numbers."""
    from nicegui import ui

    with ui.element("div").classes("scroll-x"), ui.element("table").classes("table"):
        with ui.element("thead"), ui.element("tr"):
            for place, name in enumerate(head):
                with ui.element("th").props("scope=col").classes("number" if numbers and place else ""):
                    ui.label(name)
        with ui.element("tbody"):
            for row in rows:
                with ui.element("tr"):
                    for place, cell in enumerate(row):
                        with ui.element("td").classes("number" if numbers and place else ""):
                            cell() if callable(cell) else ui.label(str(cell))
