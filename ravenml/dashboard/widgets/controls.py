"""Small pieces that pages are built of: the browser's own controls, and text that stays text.

What people wrote is never put into a string of ``props``, which would read settings out of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

E = TypeVar("E", bound=ui.element)

_VALUE = "(event) => emit(Number(event.target.value))"


def set_label(element: E, name: str) -> E:
    """Give an element the name that people hear who do not see it."""
    element.props["aria-label"] = name
    return element


def slider(
    name: str,
    low: float,
    high: float,
    step: float,
    value: float,
    change: Callable[[GenericEventArguments], Awaitable[None]],
    pause: float = 0.15,
) -> ui.element:
    """The browser's own slider; ``change`` is given an event whose ``args`` are the number.

    Args:
        pause: seconds between two changes that are told.
    """
    element = ui.element("input").classes("slider")
    # `^value` is where the thumb begins.  A `value` would put it back there whenever the page draws anything.
    element.props.update({"type": "range", "min": low, "max": high, "step": step, "^value": value})
    element.on("input", change, throttle=pause, leading_events=False, js_handler=_VALUE)
    return set_label(element, name)


def select_field(name: str, field: str, options: Mapping[str, str], value: str) -> ui.element:
    """The browser's own list of choices in a form, which is sent as soon as another one is chosen.

    Args:
        name: what people hear.
        field: its name in the form.
        options: texts by value.
        value: what is chosen.
    """
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
    return set_label(element, name)


def search_form(address: str) -> ui.element:
    """A plain form whose fields become the address of the page that it asks for; use it in a ``with``."""
    form = ui.element("form").classes("line").props("method=get role=search")
    form.props["action"] = address
    # Empty fields would only lengthen the address.  Whoever comes back to the page finds them as they were.
    return form.on(
        "submit",
        js_handler="""(event) => {
          const empty = [...event.target.elements].filter((field) => field.name && !field.value);
          for (const field of empty) field.disabled = true;
          setTimeout(() => { for (const field of empty) field.disabled = false; });
        }""",
    )


def search_field(name: str, field: str, value: str, example: str) -> ui.element:
    """A field of a form for text that is searched for.

    Args:
        name: what people hear.
        field: its name in the form.
        value: what it holds.
        example: the placeholder.
    """
    element = ui.element("input").classes("field grow search").props("type=search")
    element.props.update({"name": field, "value": value, "placeholder": example})
    # Without a button to send it, a browser sends only forms that have a single such field.
    element.on("keydown.enter.prevent", js_handler="(event) => event.target.form.requestSubmit()")
    return set_label(element, name)


def short_path(path: object) -> str:
    """A path as people know it: below one's own home it begins with ``~``."""
    text, own = str(path), str(Path.home())
    return f"~{text[len(own) :]}" if own != "/" and (text == own or text.startswith(f"{own}/")) else text


def count_text(number: int, word: str) -> str:
    """``1 image``, ``1,200 images``."""
    plural = word[:-1] + "ies" if word.endswith("y") else word + ("es" if word.endswith("s") else "s")
    return f"{number:,} {word if number == 1 else plural}"


def text_element(tag: str, text: str, classes: str = "") -> TextElement:
    """An element of plain text.  Tables are made of these: a page of them is drawn in half the time that
    labels within cells take.
    """
    from nicegui.elements.mixins.text_element import TextElement

    return TextElement(tag=tag, text=text).classes(classes)


def link(text: str, target: str, classes: str = "") -> TextElement:
    """A link within the dashboard; ``text`` is plain."""
    element = text_element("a", text, classes)
    element.props["href"] = target
    return element


def definition_list(rows: Sequence[tuple[str, object]]) -> None:
    """Names and values as a list of definitions; a value may be text, or a function that makes it."""
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


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    numbers: bool = True,
    texts: Collection[str] = (),
    wide: Collection[str] = (),
    sort: Callable[[str], None] | None = None,
    sorted_by: tuple[str, bool] | None = None,
) -> None:
    """A small table; a cell is text, or a function that makes it.

    Args:
        head: the columns' titles.
        rows: their cells.
        numbers: whether all but the first column hold numbers.
        texts: the titles of columns that do not, nevertheless.
        wide: the titles of columns for which a phone has no room.
        sort: is called with the title of the column that people press.
        sorted_by: the title of the column by which the rows are sorted, and whether downwards.
    """
    plain = (*head[:1], *texts) if numbers else head
    kinds = [
        " ".join(kind for kind, on in (("number", name not in plain), ("wide", name in wide)) if on)
        for name in head
    ]

    box = ui.element("div").classes("scroll-x")
    if sort is None:
        # There may be nothing in it that takes the focus, so the table itself does: the arrow keys scroll it.
        set_label(box.props("tabindex=0 role=group"), "Table")
    with box, ui.element("table").classes("table"):
        with ui.element("thead"), ui.element("tr"):
            for name, kind in zip(head, kinds, strict=True):
                # A column without a title has no header: an empty one would be read as one.
                if not name or sort is None:
                    text_element("th", name, kind).props("scope=col") if name else ui.element("td")
                    continue
                with ui.element("th").classes(kind).props("scope=col") as column:
                    button = ui.button(name, on_click=partial(sort, name)).props("flat dense no-caps")
                if sorted_by is not None and sorted_by[0] == name:
                    column.props["aria-sort"] = "descending" if sorted_by[1] else "ascending"
                    button.props["icon-right"] = "arrow_downward" if sorted_by[1] else "arrow_upward"
        with ui.element("tbody"):
            for row in rows:
                with ui.element("tr"):
                    for cell, kind in zip(row, kinds, strict=True):
                        if not callable(cell):
                            text_element("td", str(cell), kind)
                            continue
                        with ui.element("td").classes(kind):
                            cell()
