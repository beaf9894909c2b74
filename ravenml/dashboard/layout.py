"""What is around every page: header, navigation, theme; and the few pieces that pages are built of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nicegui import ui

from ravenml import __version__
from ravenml.dashboard.pages import navigation

THEME = "raven-theme"  # the cookie that remembers light, dark or auto; not secret, and read by scripts
_DARK: dict[str, bool | None] = {"light": False, "dark": True, "auto": None}
_ICONS = {"light": "light_mode", "dark": "dark_mode", "auto": "brightness_auto"}


def head() -> str:
    """What stands in every page's head."""
    return (
        f'<link rel="stylesheet" href="/static/style.css?v={__version__}">'
        f'<link rel="stylesheet" href="/static/runs.css?v={__version__}">'
        f'<script src="/static/charts.js?v={__version__}" defer></script>'
        f'<script src="/static/upload.js?v={__version__}" defer></script>'
        f'<script src="/static/focus.js?v={__version__}" defer></script>'
    )


@contextmanager
def page_frame(title: str, address: str | None = None) -> Iterator[ui.element]:
    """The page around what the block makes: skip link, header, and the content, which is given.

    Args:
        title: of the browser's tab; plain text.
        address: the address of the navigation's entry that the page belongs to.
    """
    ui.page_title(f"{title} · ravenML")
    theme = _theme()
    with ui.header(elevated=False).classes("top"):
        with ui.link(target="/").classes("brand").props('aria-label="ravenML"'):
            ui.label("raven")
        with ui.element("nav").props('aria-label="Pages"').classes("nav"):
            for entry in navigation():
                with ui.link(target=entry.address).classes("nav-link") as link:
                    ui.icon(entry.icon).props('aria-hidden="true"')
                    ui.label(entry.title)
                if entry.address == address:
                    link.props('aria-current="page"')
        ui.space()
        _theme_button(theme)
    with ui.element("div").classes("content") as content:
        ui.skip_link("Skip to the content", target=content)
        yield content


def _theme() -> str:
    request = ui.context.client.request
    chosen = request.cookies.get(THEME, "auto") if request is not None else "auto"
    return chosen if chosen in _DARK else "auto"


def _theme_button(theme: str) -> None:
    """A button that goes from auto to light to dark; the browser remembers."""
    dark = ui.dark_mode(_DARK[theme])
    order = ["auto", "light", "dark"]
    state = {"theme": theme}

    def show() -> None:
        now = state["theme"]
        following = order[(order.index(now) + 1) % 3]
        button.props(f'icon={_ICONS[now]} aria-label="Theme: {now}; change to {following}"')
        tip.text = f"Theme: {now}"

    def change() -> None:
        state["theme"] = order[(order.index(state["theme"]) + 1) % 3]
        dark.value = _DARK[state["theme"]]
        ui.run_javascript(
            f"document.cookie = '{THEME}={state['theme']}; path=/; max-age=31536000; samesite=strict'"
        )
        show()

    with ui.button(on_click=change).props("flat round dense").classes("quiet") as button:
        tip = ui.tooltip()
    show()


def heading(title: str, text: str = "") -> None:
    """A page's ``<h1>`` and, below it, a line that says what it is for."""
    with ui.element("div").classes("heading"):
        with ui.element("h1"):
            ui.label(title)
        if text:
            ui.label(text).classes("muted")


def section(title: str) -> ui.element:
    """A card with an ``<h2>``; use it in a ``with``."""
    box = ui.element("section").classes("card")
    with box, ui.element("h2"):
        ui.label(title)
    return box


def empty_state(icon: str, title: str, text: str = "", *, whole_page: bool = False) -> ui.element:
    """What stands where nothing is yet, and says how something comes there; more can be put into it.

    Args:
        icon: one of Material's icons.
        title: what is not there.
        text: how it comes there.
        whole_page: whether the page has nothing else, so that the title is its heading.
    """
    box = ui.element("div").classes("empty")
    with box:
        ui.icon(icon).props('aria-hidden="true"')
        with ui.element("h1" if whole_page else "div").classes("strong"):
            ui.label(title)
        if text:
            ui.label(text).classes("muted")
    return box


def show_error(problem: object) -> None:
    """Show what went wrong, as plain text, until it is closed."""
    ui.notify(
        str(problem),
        type="negative",
        multi_line=True,
        close_button="OK",
        timeout=0,
        position="top",
    )


async def confirm(title: str, texts: Sequence[str], action: str, keep: str = "Cancel") -> bool:
    """Ask whether to do what cannot be undone."""
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        ui.label(title).classes("strong")
        for text in texts:
            ui.label(text).classes("wrap")
        with ui.element("div").classes("line"):
            ui.button(action, on_click=lambda: dialog.submit(True)).props("unelevated color=negative")
            ui.button(keep, on_click=dialog.close).props("flat autofocus")
    answer = await dialog
    dialog.delete()
    return bool(answer)


async def ask_text(title: str, label: str, value: str, action: str, text: str = "") -> str | None:
    """Ask for a line of text; None if that was cancelled."""
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        ui.label(title).classes("strong")
        field = ui.input(label, value=value).props("outlined dense autofocus")
        field.on("keydown.enter", lambda: dialog.submit(field.value or ""))
        if text:
            ui.label(text).classes("small muted")
        with ui.element("div").classes("line"):
            ui.button(action, on_click=lambda: dialog.submit(field.value or "")).props("unelevated")
            ui.button("Cancel", on_click=dialog.close).props("flat")
    answer = await dialog
    dialog.delete()
    return None if answer is None else str(answer)


def command_box(text: str) -> None:
    """A command line to copy."""

    def copy() -> None:
        ui.clipboard.write(text)
        ui.notify("Copied.", position="bottom", timeout=1000)

    with ui.element("div").classes("command"):
        with ui.element("code"):
            ui.label(text)
        ui.button(icon="content_copy", on_click=copy).props(
            'flat dense round aria-label="Copy the command"'
        ).classes("quiet")
