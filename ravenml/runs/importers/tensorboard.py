"""TensorBoard: every folder with event files is a run; scalars and pictures are read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from ravenml.errors import InputError
from ravenml.runs.importers.base import Image, ImportedRun, Measured
from ravenml.runs.process.tfevents import EventFile, Picture, Scalar

_MARK = "tfevents"


def read_runs(path: Path) -> Iterator[ImportedRun]:
    """The runs in a folder of logs, by folder."""
    files = sorted(path.rglob(f"*{_MARK}*")) if path.is_dir() else [path]
    folders: dict[Path, list[Path]] = {}
    for file in files:
        if file.is_file() and not file.is_symlink():
            folders.setdefault(file.parent, []).append(file)
    if not any(_MARK in file.name for file in files):
        raise InputError(f"{path} holds no event files of TensorBoard.")
    root = path if path.is_dir() else path.parent
    for folder, of_run in folders.items():
        run = _read(folder, of_run, root)
        if run is not None:
            yield run


def _read(folder: Path, files: list[Path], root: Path) -> ImportedRun | None:
    measured: list[Measured] = []
    images: list[Image] = []
    for file in files:
        for found in EventFile(file).read_new():
            if not math.isfinite(found.seconds):
                continue
            if isinstance(found, Scalar):
                measured.append(Measured(found.tag, found.value, found.step, found.seconds))
            elif isinstance(found, Picture):
                images.append(Image(found.tag, found.content, found.step, found.seconds))
    times = [*(one.seconds for one in measured), *(one.seconds for one in images)]
    if not times:
        return None
    below = folder.relative_to(root).as_posix()
    name = below if below != "." else folder.resolve().name
    return ImportedRun(
        key=f"{below}\n{files[0].name}",  # whose name holds its time, its machine and its process
        begun=min(times),
        finished=max(times),
        name=name,
        project=root.resolve().name if below != "." else None,
        measured=measured,
        images=images,
    )
