"""Pictures of a draft's project, by the number of the image: no path comes from outside."""

from __future__ import annotations

from asyncio import to_thread
from typing import Any

from ravenml.dashboard.train.draft import read_draft
from ravenml.dashboard.train.pictures import WIDTHS, make_thumbnail
from ravenml.dashboard.train.wizard import Shared
from ravenml.errors import RavenError

_KEPT = {"Cache-Control": "private, max-age=86400"}  # the address changes with the project


def image_url(draft_id: str, number: int, width: int, masks: bool, stamp: str) -> str:
    """Where an image's picture is fetched from."""
    return f"/train/{draft_id}/images/{number}?width={width}&masks={int(masks)}&v={stamp[:12]}"


def register(app: Any, shared: Shared) -> None:
    """Declare the addresses."""
    from fastapi import HTTPException
    from fastapi.responses import Response

    def made(draft_id: str, number: int, width: int, masks: bool) -> bytes:
        draft = read_draft(draft_id)
        job = shared.stats_jobs.get(shared.root_of(draft.dataset or ""))
        job.opened.wait(60)
        if job.project is None or not 0 <= number < len(job.project.items):
            raise RavenError("There is no such image.")
        wide = min(WIDTHS, key=lambda known: abs(known - width))
        return make_thumbnail(job.project, job.project.items[number], wide, masks)

    @app.get("/train/{draft_id}/images/{number}", include_in_schema=False)
    async def image(draft_id: str, number: int, width: int = 320, masks: int = 1) -> Response:
        try:
            content = await to_thread(made, draft_id, number, width, bool(masks))
        except RavenError as error:
            raise HTTPException(404, str(error)) from None
        return Response(content, media_type="image/jpeg", headers=_KEPT)

    @app.get("/train/{draft_id}/augmented/{place}/{name}", include_in_schema=False)
    async def augmented(draft_id: str, place: str, name: str) -> Response:
        from ravenml.dashboard.train.augmenting import read_picture

        try:
            content = await to_thread(read_picture, draft_id, place, name)
        except RavenError as error:
            raise HTTPException(404, str(error)) from None
        return Response(content, media_type="image/jpeg", headers=_KEPT)
