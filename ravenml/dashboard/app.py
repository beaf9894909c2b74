"""The dashboard: the ASGI application, and what runs it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ravenml.common.extras import install_command
from ravenml.config.home import cache_dir
from ravenml.dashboard.pages import PORT, Settings
from ravenml.errors import RavenError
from ravenml.serve.access import Access, choose_token, hide_token, listen, token_source
from ravenml.serve.allowed_paths import AllowedPaths
from ravenml.serve.security import Guard

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

# NiceGUI puts scripts into its pages, and Vue compiles templates; all that runs still comes from here.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
STATIC = Path(__file__).parent / "static"


def is_worth_printing(record: logging.LogRecord) -> bool:
    """Whether NiceGUI's log should show this: all but that a browser left a page while it was filled."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, RuntimeError) and "has been deleted" in str(error))


def make_app(settings: Settings) -> Guard:
    """The whole dashboard behind its guard, as an ASGI application.

    NiceGUI keeps its pages in the process, so a process makes one dashboard.

    Raises:
        RavenError: the extra ``dashboard`` is not installed.
    """
    # NiceGUI makes a folder at its import, which must not be one in the folder that one happens to be in.
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(cache_dir() / "nicegui"))
    try:
        from fastapi import FastAPI
        from nicegui import app as pages
        from nicegui import ui
    except ImportError:
        raise RavenError(
            f"The dashboard needs the extra `dashboard`; install it with: {install_command('dashboard')}"
        ) from None
    from fastapi.responses import RedirectResponse

    from ravenml.dashboard.layout import head
    from ravenml.dashboard.pages import modules, navigation

    logging.getLogger("nicegui").addFilter(is_worth_printing)
    pages.add_static_files("/static", STATIC)
    ui.add_head_html(head(), shared=True)
    for module in modules():
        module.register(settings)

    @pages.get("/", include_in_schema=False)
    def start() -> RedirectResponse:
        return RedirectResponse(navigation()[0].address)

    _handle_missing_pages(pages)
    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(
        outer,
        title="ravenML",
        favicon=STATIC / "favicon.svg",
        dark=None,
        language="en-US",
        tailwind=False,  # it compiles styles in the browser, which is slow; ours are in static/style.css
        reconnect_timeout=30,
        show_welcome_message=False,
    )
    return Guard(outer, settings.access, POLICY)


def _handle_missing_pages(pages: FastAPI) -> None:
    """An address that leads nowhere shows a page of ours, with a way back."""
    from fastapi.exception_handlers import http_exception_handler
    from nicegui import Client, ui
    from nicegui.page import page
    from starlette.exceptions import HTTPException

    from ravenml.dashboard.layout import empty_state, page_frame

    async def missing(request: Request, error: Exception) -> Response:
        # A file that is not there is told to a program; `endpoint` is the application where no address fits.
        found = request.scope.get("endpoint") not in (None, pages)
        if found and not request.scope.get("nicegui_page_path") and isinstance(error, HTTPException):
            return await http_exception_handler(request, error)
        with Client(page(""), request=request) as client:
            text = f"There is no page at {request.url.path[:200]}."
            with (
                page_frame("No such page"),
                empty_state("search_off", "This page does not exist.", text, whole_page=True),
            ):
                ui.link("Go to the start page", "/")
        return client.build_response(request, 404)

    pages.add_exception_handler(404, missing)


def serve(
    port: int | None,
    host: str,
    roots: Sequence[Path] = (),
    names: Sequence[str] = (),
    token_file: Path | None = None,
    *,
    token: bool = True,
    browser: bool = True,
) -> None:
    """Run the dashboard until it is interrupted.

    Args:
        port: where to listen; 0 any free port, None the usual one or the next that is free.
        host: the address to listen on.
        roots: below which folders a typed path may lie; without any, the working folder and the home.
        names: further names by which it may be called.
        token_file: where its token stands.
        token: whether browsers must show one.
        browser: whether to open one.

    Raises:
        RavenError: NiceGUI is not installed.
        InputError: the port is taken, the host is none of this machine's, or the token is unusable.
    """
    secret = choose_token(not token, token_file, "dashboard")
    listening = listen(host, port, PORT)
    given = token_source(not token, token_file, "dashboard")
    access = Access(secret, host, listening.getsockname()[1], tuple(names), given)
    hide_token()
    app = make_app(Settings(access, AllowedPaths(roots)))
    import uvicorn

    from ravenml.dashboard.cleanup import leftovers, sweep_daily
    from ravenml.dashboard.models.upload import leftover_uploads
    from ravenml.serve.server import uvicorn_config

    sweep_daily([*leftovers(), leftover_uploads()])

    print(*access.announce("Dashboard:", sys.stdout.isatty()), sep="\n", flush=True)
    print("Press Ctrl-C to stop; running trainings continue.", file=sys.stderr, flush=True)
    if browser:
        _open(access.address_once())
    config = uvicorn_config(app, timeout_graceful_shutdown=2, ws_max_size=2**24)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        access.forget_token()


def _open(address: str) -> None:
    """Open a browser where there is a desktop to open it on."""
    import webbrowser

    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(address)
