"""``/models``: what is stored, what is being served, and a form for what was made elsewhere."""

from __future__ import annotations

from nicegui import app, ui
from nicegui import run as threads

from ravenml.dashboard.pages import Nav, Settings

NAV: Nav | None = Nav("Models", "/models", "layers")
PATIENCE = 60.0  # seconds that a page may read before it is sent


def register(settings: Settings) -> None:
    """Declare the pages."""
    from fastapi import Request
    from fastapi.responses import JSONResponse

    from ravenml.dashboard.models import upload
    from ravenml.errors import InputError, RavenError

    @ui.page("/models", response_timeout=PATIENCE)
    async def models() -> None:
        from ravenml.dashboard.models.table import show

        await show()

    @ui.page("/models/{model_id}", response_timeout=PATIENCE)
    async def model(model_id: str) -> None:
        from ravenml.dashboard.models.model import show

        await show(model_id)

    async def part(key: str, request: Request, at: int = 0) -> object:
        try:
            return {"size": await threads.io_bound(upload.add_part, key, at, await request.body())}
        except RavenError as error:
            return JSONResponse({"detail": str(error)}, 413 if isinstance(error, InputError) else 500)

    # FastAPI reads the names of types from the function's module, where they are not imported.
    part.__annotations__ = {"key": str, "request": Request, "at": int}
    app.post(upload.ADDRESS, include_in_schema=False)(part)
