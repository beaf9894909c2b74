"""``/queues``: what runs where, what waits and why."""

from __future__ import annotations

import threading
import time

from nicegui import app, ui

from ravenml.dashboard.pages import PATIENCE, Nav, Settings
from ravenml.dashboard.queues import view

NAV: Nav | None = Nav("Queues", "/queues", "dns")
_PERIOD = 1.0  # seconds; the mirror itself is written every two


def register(settings: Settings) -> None:
    """Declare the page; bring what is new of remote runs into this home as long as the dashboard runs."""
    ui.page("/queues", response_timeout=PATIENCE)(view.show)
    app.on_startup(lambda: threading.Thread(target=follow, name="remote runs", daemon=True).start())


def follow() -> None:
    """Bring what is new, again and again; work for a thread that ends with the process."""
    from ravenml.remote.client.sync import refresh_all, unfinished

    while True:
        try:
            if unfinished():
                refresh_all()
        except Exception as error:  # the thread must live on: the next look may be better
            print(f"Note: remote runs cannot be updated at the moment: {error}", flush=True)
            time.sleep(30)
        time.sleep(_PERIOD)
