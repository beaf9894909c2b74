"""Small pictures of a project's images, with the masks over them; made once and kept in the cache."""

from __future__ import annotations

import hashlib
import os
from asyncio import to_thread
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ravenml.common.io import write_cache
from ravenml.config.home import cache_dir
from ravenml.dashboard.train.draft import read_draft
from ravenml.dashboard.train.wizard import Shared
from ravenml.data.images import read_image
from ravenml.data.masks import draw_mask, overlay_masks
from ravenml.data.problems import DataProblem
from ravenml.data.project import Item, Project
from ravenml.errors import RavenError

if TYPE_CHECKING:
    from fastapi import FastAPI

WIDTHS = (320, 1280)
_QUALITY = 85


def make_thumbnail(project: Project, item: Item, width: int, masks: bool) -> bytes:
    """A JPEG of an item, at most ``width`` pixels wide.

    Raises:
        DataProblem: the image or the annotation is missing or broken.
    """
    path = _place(project, item, width, masks)
    try:
        return path.read_bytes()
    except OSError:
        pass
    content = _draw(project, item, width, masks)
    with suppress(OSError):  # a full disk: it is made again the next time
        write_cache(path, [content])
    return content


def _draw(project: Project, item: Item, width: int, masks: bool) -> bytes:
    image = read_image(item.image_path)
    scale = min(1.0, width / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if masks:
        mask = draw_mask(project.annotation(item, lambda fault: None), project.titles)
        fitting = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        colours = np.array([known.rgb for known in project.classes], np.uint8).reshape(-1, 3)
        small = overlay_masks(small, np.asarray(fitting), colours)
    done, content = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise DataProblem(item.image_path, "", "cannot be displayed", "check the file")
    return content.tobytes()


def _place(project: Project, item: Item, width: int, masks: bool) -> Path:
    try:
        image, annotation = os.stat(item.image_path), os.stat(item.annotation_path)
    except OSError:
        raise DataProblem(item.image_path, "", "does not exist any more", "reload the project") from None
    identity = (
        f"{item.image_path}\0{image.st_mtime_ns}\0{image.st_size}\0{annotation.st_mtime_ns}\0{width}\0{masks}"
    )
    colours = ",".join(known.color for known in project.classes)
    key = hashlib.sha256(
        identity.encode(errors="surrogateescape") + colours.encode() + project.fingerprint
    ).hexdigest()
    return cache_dir() / "thumbnails" / key[:2] / f"{key[2:34]}.jpg"


_KEPT = {"Cache-Control": "private, max-age=86400"}  # the address changes with the project


def image_url(draft_id: str, number: int, width: int, masks: bool, stamp: str) -> str:
    """Where an image's picture is fetched from."""
    return f"/train/{draft_id}/images/{number}?width={width}&masks={int(masks)}&v={stamp[:12]}"


def register(app: FastAPI, shared: Shared) -> None:
    """Declare the addresses."""
    from fastapi import HTTPException
    from fastapi.responses import Response

    def made(draft_id: str, number: int, width: int, masks: bool) -> bytes:
        draft = read_draft(draft_id)
        job = shared.stats_jobs.get(shared.root_of(draft.dataset or ""))
        job.opened.wait(60)
        if job.project is None or not 0 <= number < len(job.project.items):
            raise RavenError("This image does not exist.")
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
        from ravenml.dashboard.train.step_augment import read_picture

        try:
            content = await to_thread(read_picture, draft_id, place, name)
        except RavenError as error:
            raise HTTPException(404, str(error)) from None
        return Response(content, media_type="image/jpeg", headers=_KEPT)
