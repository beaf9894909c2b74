"""What lies in a run's folder and is worth a link."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ravenml.common.formatting import format_size
from ravenml.common.io import write_bytes
from ravenml.dashboard.runs.files import file_url
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.serve.access import Access, reachable_name

LINK = "open_app.lnk"
_LEFT_OUT = {layout.LOCK, layout.CONTROL, ".inbox.jsonl", LINK}
_FOLDERS = ("", layout.INFO, layout.CHECKPOINTS, layout.ARTIFACTS)
_MOST = 300


@dataclass(frozen=True)
class Artifact:
    """A file: its name within the run, its address, and its size in words."""

    name: str
    file_url: str
    size: str


def artifacts(run: Path) -> list[Artifact]:
    """The link to the run's page first, then its files, those of its folds too."""
    if not run.is_dir():
        return []
    found = [Artifact(LINK, f"/runs/{run.name}", "the run's page")] if (run / LINK).exists() else []
    folds = sorted((run / layout.FOLDS).glob("*"))
    for place in [run, *folds]:
        for folder in _FOLDERS:
            for file in sorted((place / folder).iterdir()) if (place / folder).is_dir() else []:
                if file.is_file() and file.name not in _LEFT_OUT and not file.name.startswith("."):
                    name = str(file.relative_to(run))
                    found.append(Artifact(name, file_url(run.name, name), format_size(file.stat().st_size)))
    return found[:_MOST]


def write_link(run: Path, access: Access) -> None:
    """Write ``open_app.lnk``: the address of the run's page, without a token."""
    file_url = f"http://{reachable_name(access.host)}:{access.port}/runs/{run.name}\n"
    try:
        write_bytes(run / LINK, file_url.encode())
    except RavenError:
        return  # a folder that may only be read: the page itself has the link
