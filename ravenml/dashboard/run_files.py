"""A run's folder, and its files for a browser: by the run's id and a path within its folder alone."""

from __future__ import annotations

import mimetypes
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ravenml.common.io import resolve_inside
from ravenml.config.home import runs_dir
from ravenml.runs import layout

if TYPE_CHECKING:
    from fastapi import Response

ADDRESS = "/runs/{run_id}/files/{path:path}"
# What a browser may show in its own window.  Everything else is saved: a page or a drawing that somebody put
# into a run must not run here, with the dashboard's cookie.
_DISPLAYED = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")


@dataclass
class RunFolder:
    """Where a run's page, or the wizard, finds a run or one of its folds.

    Attributes:
        id: the run's; of a fold, that of the whole.
        fold: which one; None for the whole.
        folder: the run's, or the fold's.
    """

    id: str
    fold: int | None
    folder: Path

    def url(self, name: str) -> str:
        """Where a file is served, by its path within this folder."""
        path = name if self.fold is None else f"{layout.FOLDS}/{self.fold}/{name}"
        return f"/runs/{quote(self.id)}/files/{quote(path)}"

    def stamp(self) -> list[tuple[int, int]]:
        """What changes whenever the run is resumed, or ends."""
        found = []
        for name in (layout.RUN_JSON, layout.HEARTBEAT):
            with suppress(OSError):
                status = (self.folder / name).stat()
                found.append((status.st_ino, status.st_mtime_ns))
        return found


def find_folder(run_id: str) -> Path | None:
    """The folder of the run that is called exactly so; None where there is none."""
    if run_id.startswith(".") or Path(run_id).name != run_id or "\0" in run_id:
        return None
    folder = runs_dir() / run_id
    try:
        return folder if (folder / layout.RUN_JSON).is_file() else None
    except OSError:  # a name that is too long
        return None


def serve_file(run_id: str, path: str) -> Response:
    """The response to a request for a file."""
    from fastapi.responses import FileResponse, PlainTextResponse

    folder = find_folder(run_id)
    found = resolve_inside(folder, path) if folder is not None else None
    if found is None:
        return PlainTextResponse("This file does not exist.", 404)
    kind = mimetypes.guess_type(found.name)[0] or ""
    displayed = kind in _DISPLAYED
    return FileResponse(
        found,
        media_type=kind if displayed else "application/octet-stream",
        filename=found.name,
        content_disposition_type="inline" if displayed else "attachment",
        headers={"cache-control": "private, max-age=0, must-revalidate"},
    )
