"""The files of a run for a browser: by the run's id and a path within its folder, and nothing else."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ravenml.config.home import runs_dir
from ravenml.runs import layout

ADDRESS = "/runs/{run_id}/files/{path:path}"
# What a browser may show in its own window.  Everything else is saved: a page or a drawing that somebody put
# into a run must not run here, with the dashboard's cookie.
_SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")


def file_url(run_id: str, path: str) -> str:
    """Where a file of a run is served."""
    return f"/runs/{quote(run_id)}/files/{quote(path)}"


def find_folder(run_id: str) -> Path | None:
    """The folder of the run that is called exactly so; None where there is none."""
    if run_id.startswith(".") or Path(run_id).name != run_id or "\0" in run_id:
        return None
    folder = runs_dir() / run_id
    try:
        return folder if (folder / layout.RUN_JSON).is_file() else None
    except OSError:  # a name that is too long
        return None


def resolve_inside(folder: Path, path: str) -> Path | None:
    """The file of a run, with all links resolved; None where that is none, or lies elsewhere."""
    try:
        base = folder.resolve()
        found = (base / path).resolve()
        return found if found.is_relative_to(base) and found.is_file() else None
    except (OSError, RuntimeError, ValueError):  # a loop of links, a null character, a name too long
        return None


def serve_file(run_id: str, path: str) -> Any:
    """The response to a request for a file."""
    from fastapi.responses import FileResponse, PlainTextResponse

    folder = find_folder(run_id)
    found = resolve_inside(folder, path) if folder is not None else None
    if found is None:
        return PlainTextResponse("There is no such file in this run.", 404)
    kind = mimetypes.guess_type(found.name)[0] or ""
    shown = kind in _SHOWN
    return FileResponse(
        found,
        media_type=kind if shown else "application/octet-stream",
        filename=found.name,
        content_disposition_type="inline" if shown else "attachment",
        headers={"cache-control": "private, max-age=0, must-revalidate"},
    )
