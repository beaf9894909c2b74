"""A real uvicorn on loopback, in a thread of the test's own process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from ravenml.serve.access import Access, listen
from ravenml.serve.server import uvicorn_config


@contextmanager
def listening(make_app: Any, token: str | None, **more: Any) -> Iterator[Access]:
    """Serve ``make_app(access)`` while the block runs."""
    opened = listen("127.0.0.1", 0, 0)
    access = Access(token, "127.0.0.1", opened.getsockname()[1], **more)
    server = uvicorn.Server(uvicorn_config(make_app(access), log_level="info", access_log=True))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise AssertionError("the server has not started")
            thread.join(0.01)
        yield access
    finally:
        server.should_exit = True
        thread.join(10)
        opened.close()
