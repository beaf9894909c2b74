"""The form that takes a ``model-state.tar`` from a browser and stores it."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from nicegui import run, ui
from nicegui.events import GenericEventArguments

from ravenml.common.formatting import format_size
from ravenml.common.io import to_user_error
from ravenml.common.permissions import make_folder
from ravenml.config.home import cache_dir
from ravenml.dashboard.cleanup import Leftovers
from ravenml.dashboard.layout import show_error
from ravenml.dashboard.widgets.controls import set_label
from ravenml.errors import InputError, RavenError
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
        self._key = start_upload()
        ui.context.client.on_delete(lambda: forget_upload(self._key))
        ui.label(
            "A model-state.tar with config.json and weights, from a run or exported by Supervisely."
        ).classes("muted")
        with ui.element("div").classes("line"):
            field = ui.element("input").props('type=file accept=".tar"').classes("file")
            field.on(
                "change",
                self._sent,
                js_handler=f"(event) => sendInParts(event.target.files[0], '/models/upload/{self._key}', "
                f"{PART}, (told) => emit(told))",
            )
            set_label(field, "The model's file")
            self._progress = ui.element("progress").props("max=1 value=0")
            self._progress.set_visibility(False)
            self._status = ui.label().classes("small muted")
        with ui.element("div").classes("line"):
            self._title = ui.input("Name").props("outlined dense").classes("medium")
            self._plugin = ui.input("Plugin (if not in the file)").props("outlined dense")
            self._plugin.classes("medium")
            self._only = ui.checkbox("for transfer learning only").props("dense")
            self._store = ui.button("Store", on_click=self._push).props("unelevated")
            self._store.disable()

    async def _sent(self, event: GenericEventArguments) -> None:
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
                text = text.replace(str(upload_path(self._key)), self._name)
            show_error(
                text.replace("with --plugin", "in the form").replace(
                    "store it with --transfer-only", "tick the box"
                )
            )
            self._status.text = ""
            self._store.enable()
            return
        ui.notify(f"Stored as {model}.", position="bottom")
        delete_upload(self._key)
        self._status.text = ""
        self._progress.set_visibility(False)
        await self._again()


def _store_file(key: str, plugin: str | None, name: str, transfer_only: bool) -> str:
    """Check the file as if it were unpacked, and store it."""
    path = upload_path(key)
    check_model(path)
    return push_file(models_store(), path, plugin, name, transfer_only)


PART = 16 << 20  # bytes of a part; the browser sends no larger ones
LIMIT = 16 << 30  # bytes of a file
_keys: set[str] = set()  # of the pages that are open


def start_upload() -> str:
    """Make room for a file; its key, under which parts are taken."""
    leftover_uploads().sweep(time.time())
    make_folder(cache_dir() / "dashboard" / "uploads")
    key = secrets.token_hex(16)
    _keys.add(key)
    return key


def leftover_uploads() -> Leftovers:
    """What was never stored, but for the files of pages that are open."""
    return Leftovers(
        cache_dir() / "dashboard" / "uploads", 1, 4 * LIMIT, needed=lambda path: path.stem in _keys
    )


def upload_path(key: str) -> Path:
    """Where the file of a key lies, once something was sent.

    Raises:
        InputError: there is no such key.
    """
    if key not in _keys:
        raise InputError("This upload is unknown or has ended; reload the page.")
    return cache_dir() / "dashboard" / "uploads" / f"{key}.tar"


def add_part(key: str, at: int, content: bytes) -> int:
    """Put a part behind those that are there; the file's size then.

    Raises:
        InputError: it is not a part that follows, or the file becomes larger than allowed.
        RavenError: the disk is full.
    """
    path = upload_path(key)
    if at == 0:  # another file was chosen
        delete_upload(key)
    size = path.stat().st_size if path.exists() else 0
    if at != size:
        raise InputError(f"The upload continues at byte {size}, not at {at}; choose the file again.")
    if len(content) > PART or size + len(content) > LIMIT:
        raise InputError(f"A model file may have at most {LIMIT >> 30} GiB.")
    try:
        with open(path, "ab", opener=_private) as file:
            file.write(content)
    except OSError as error:
        raise to_user_error(error, path) from error
    return size + len(content)


def delete_upload(key: str) -> None:
    """Delete what was sent; another file may be."""
    with suppress(InputError, OSError):
        upload_path(key).unlink()


def forget_upload(key: str) -> None:
    """Delete what was sent, and take nothing more."""
    delete_upload(key)
    _keys.discard(key)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
