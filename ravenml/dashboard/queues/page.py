"""``/queues``: what runs where, what waits and why."""

from __future__ import annotations

import threading

from ravenml.dashboard.pages import Nav
from ravenml.dashboard.settings import Settings

NAV: Nav | None = Nav("Queues", "/queues", "dns")


def register(settings: Settings) -> None:
    """Declare the page; bring what is new of remote runs into this home as long as the dashboard runs."""
    from nicegui import app, ui

    from ravenml.dashboard.queues.following import follow

    @ui.page("/queues", response_timeout=60)
    async def queues() -> None:
        from ravenml.dashboard.queues.view import show

        await show()

    app.on_startup(lambda: threading.Thread(target=follow, name="remote runs", daemon=True).start())
