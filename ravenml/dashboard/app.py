"""The dashboard as an ASGI application."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ravenml.config.home import cache_dir
from ravenml.dashboard.settings import Settings
from ravenml.errors import RavenError
from ravenml.serve.security import Guard

# NiceGUI puts scripts into its pages, and Vue compiles templates; all that runs still comes from here.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
STATIC = Path(__file__).parent / "static"


def make_app(settings: Settings) -> Any:
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
            "The dashboard needs the extra `dashboard`: pip install 'ravenml[dashboard]'."
        ) from None
    from fastapi.responses import RedirectResponse

    from ravenml.dashboard.layout import head
    from ravenml.dashboard.pages import modules, navigation

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


def _handle_missing_pages(pages: Any) -> None:
    """An address that leads nowhere shows a page of ours, with a way back."""
    from fastapi.exception_handlers import http_exception_handler
    from nicegui import Client, ui
    from nicegui.page import page
    from starlette.exceptions import HTTPException

    from ravenml.dashboard.layout import empty_state, page_frame

    async def missing(request: Any, error: Any) -> Any:
        # A file that is not there is told to a program; `endpoint` is the application where no address fits.
        found = request.scope.get("endpoint") not in (None, pages)
        if found and not request.scope.get("nicegui_page_path") and isinstance(error, HTTPException):
            return await http_exception_handler(request, error)
        with Client(page(""), request=request) as client:
            text = f"Nothing is at {request.url.path[:200]}."
            with page_frame("No such page"), empty_state("search_off", "There is no such page.", text):
                ui.link("To the start", "/")
        return client.build_response(request, 404)

    pages.add_exception_handler(404, missing)
