"""A run's folder, and its files for a browser: by the run's id and a path within its folder alone."""

from __future__ import annotations

import mimetypes
import os
import stat
import zipfile
from collections.abc import Iterator
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

ARCHIVE = "/runs/{run_id}/download"
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


def serve_archive(run_id: str) -> Response:
    """The response to a request for a whole run: a ZIP that is made while it is sent."""
    from fastapi.responses import PlainTextResponse, StreamingResponse

    folder = find_folder(run_id)
    if folder is None:
        return PlainTextResponse("This run does not exist.", 404)
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(run_id)}.zip",
        "cache-control": "no-store",
    }
    return StreamingResponse(_archive(folder), media_type="application/zip", headers=headers)


class _Pipe:
    """Takes what `zipfile` writes, which cannot go back in it, until it is fetched."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, content: bytes) -> int:
        self._parts.append(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Nothing is held back."""

    def fetch(self) -> bytes:
        content = b"".join(self._parts)
        self._parts.clear()
        return content


def _archive(folder: Path) -> Iterator[bytes]:
    """A run's files as a ZIP, piece by piece; links, whose targets may not be served, are left out."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:  # type: ignore[call-overload]  # models and pictures are packed
        for place, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(place) / name
                if name.startswith(".") or name in (layout.LOCK, layout.CONTROL):
                    continue
                with suppress(OSError):  # it has just been removed, or is a link or a pipe
                    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                    with open(descriptor, "rb") as source:
                        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                            continue
                        inner = f"{folder.name}/{path.relative_to(folder).as_posix()}"
                        with archive.open(inner, "w", force_zip64=True) as target:
                            while content := source.read(1 << 20):
                                target.write(content)
                                yield pipe.fetch()
    yield pipe.fetch()
