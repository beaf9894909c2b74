"""The form that takes a ``model-state.tar`` from a browser and stores it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from ravenml.common.formatting import format_size
from ravenml.dashboard.controls import set_label
from ravenml.dashboard.layout import show_error
from ravenml.dashboard.models import uploads
from ravenml.errors import RavenError
from ravenml.store.factory import models_store
from ravenml.store.model_state import check_model
from ravenml.store.models import push_file

ADDRESS = "/models/upload/{key}"


class UploadForm:
    """The form on one page.

    Args:
        again: called when a model was stored.
    """

    def __init__(self, again: Callable[[], Awaitable[None]]) -> None:
        self._again = again
        self._key = ""
        self._name = ""

    def build(self) -> None:
        """Put it on the page."""
        from nicegui import ui

        self._key = uploads.begin()
        ui.context.client.on_delete(lambda: uploads.forget(self._key))
        ui.label(
            "A model-state.tar: config.json and the weights, as a run leaves it, or Supervisely exports it."
        ).classes("muted")
        with ui.element("div").classes("line"):
            field = ui.element("input").props('type=file accept=".tar"').classes("file")
            field.on(
                "change",
                self._sent,
                js_handler=f"(event) => sendInParts(event.target.files[0], '/models/upload/{self._key}', "
                f"{uploads.PART}, (told) => emit(told))",
            )
            set_label(field, "The model's file")
            self._progress = ui.element("progress").props("max=1 value=0")
            self._progress.set_visibility(False)
            self._status = ui.label().classes("small muted")
        with ui.element("div").classes("line"):
            self._title = ui.input("Name in lists").props("outlined dense").classes("medium")
            self._plugin = ui.input("Plugin, if the file does not say").props("outlined dense")
            self._plugin.classes("medium")
            self._only = ui.checkbox("for transfer learning only").props("dense")
            self._store = ui.button("Store", on_click=self._push).props("unelevated")
            self._store.disable()

    async def _sent(self, event: Any) -> None:
        """The browser tells how far it is."""
        sent_state = event.args if isinstance(event.args, dict) else {}
        if sent_state.get("problem"):
            show_error(sent_state["problem"])
            return
        sent, size = float(sent_state.get("sent") or 0), float(sent_state.get("size") or 0)
        self._name = str(sent_state.get("name") or "model-state.tar")
        self._progress.set_visibility(True)
        self._progress.props["value"] = sent / size if size else 1
        self._status.text = f"{format_size(int(sent))} of {format_size(int(size))}"
        self._store.set_enabled(sent >= size)

    async def _push(self) -> None:
        from nicegui import run, ui

        self._store.disable()
        self._status.text = "Checking and storing…"
        try:
            model = await run.io_bound(
                _store_file,
                self._key,
                self._plugin.value or None,
                self._title.value or self._name.removesuffix(".tar"),
                bool(self._only.value),
            )
        except RavenError as error:
            # The person knows the file by another name than the one it was kept under.
            text = str(error)
            with contextlib.suppress(RavenError):
                text = text.replace(str(uploads.path_of(self._key)), self._name)
            show_error(
                text.replace("with --plugin", "in the form").replace(
                    "store it with --transfer-only", "tick the box"
                )
            )
            self._status.text = ""
            self._store.enable()
            return
        ui.notify(f"Stored as {model}.", position="bottom")
        uploads.clear(self._key)
        self._status.text = ""
        self._progress.set_visibility(False)
        await self._again()


def _store_file(key: str, plugin: str | None, name: str, transfer_only: bool) -> str:
    """Check the file as if it were unpacked, and store it."""
    path = uploads.path_of(key)
    check_model(path)
    return push_file(models_store(), path, plugin, name, transfer_only)
