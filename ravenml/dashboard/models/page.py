"""``/models``: what is stored, what is being served, and a form for what was made elsewhere."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from nicegui import app, run, ui

from ravenml.dashboard.models import model, table, upload
from ravenml.dashboard.pages import PATIENCE, Nav, Settings
from ravenml.errors import InputError, RavenError

NAV: Nav | None = Nav("Models", "/models", "layers")


def register(settings: Settings) -> None:
    """Declare the pages."""

    @ui.page("/models", response_timeout=PATIENCE)
    async def show_table() -> None:
        await table.show()

    @ui.page("/models/{model_id}", response_timeout=PATIENCE)
    async def show_model(model_id: str) -> None:
        await model.show(model_id)

    @app.post(upload.ADDRESS, include_in_schema=False)
    async def take_part(key: str, request: Request, at: int = 0) -> Response:
        try:
            return JSONResponse({"size": await run.io_bound(upload.add_part, key, at, await request.body())})
        except RavenError as error:
            return JSONResponse({"detail": str(error)}, 413 if isinstance(error, InputError) else 500)
