"""``/queues``: what runs where, what waits and why."""

from __future__ import annotations

import threading
import time

from nicegui import app, ui

from ravenml.dashboard.pages import Nav, Settings

NAV: Nav | None = Nav("Queues", "/queues", "dns")


def register(settings: Settings) -> None:
    """Declare the page; bring what is new of remote runs into this home as long as the dashboard runs."""

    @ui.page("/queues", response_timeout=60)
    async def queues() -> None:
        from ravenml.dashboard.queues.view import show

        await show()

    app.on_startup(lambda: threading.Thread(target=follow, name="remote runs", daemon=True).start())


_PERIOD = 1.0  # seconds; the mirror itself is written every two


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
