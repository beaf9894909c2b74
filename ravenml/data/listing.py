"""Datasets that have a name on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ravenml.common.formatting import utc_timestamp
from ravenml.config.home import datasets_dir
from ravenml.data.project import Project
from ravenml.data.registry import known_datasets
from ravenml.data.remote import DatasetRow
from ravenml.errors import InputError, RavenError


def list_local() -> list[DatasetRow]:
    """The datasets that are known on this machine."""
    found = []
    for name, path in known_datasets().items():
        try:
            images = str(len(Project.read(path, lambda problem: None).items))
        except RavenError:
            images = "missing" if not path.exists() else "broken"
        size, newest = _extent(path)
        date = utc_timestamp(newest, milliseconds=False) if newest else ""
        found.append(DatasetRow(name, images, str(path), size, date, "local"))
    return found


def remove_local(name: str) -> Path:
    """Remove a dataset's copy below ravenML's datasets folder; folders of the user's are never removed.

    Raises:
        InputError: there is none.
    """
    folder = datasets_dir() / name
    if "/" in name or name in ("", ".", "..") or not folder.is_dir() or folder.is_symlink():
        raise InputError(f"There is no dataset {name!r} in {datasets_dir()}; `raven data list` shows them.")
    shutil.rmtree(folder)
    return folder


def _extent(folder: Path) -> tuple[int, float]:
    """The size of all files, and when the newest was written."""
    size, newest = 0, 0.0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.stat(os.path.join(place, name))
            except OSError:
                continue
            size, newest = size + found.st_size, max(newest, found.st_mtime)
    return size, newest
