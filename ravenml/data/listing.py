"""Datasets that have a name, on this machine and in the bucket, as lines of one list."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from ravenml.common.formatting import utc_timestamp
from ravenml.config.home import datasets_dir
from ravenml.data.project import Project
from ravenml.data.registry import known_datasets
from ravenml.errors import InputError, RavenError
from ravenml.store.factory import bucket


@dataclass(frozen=True)
class DatasetRow:
    """A line of the list.

    Attributes:
        images: how many, or ``missing``, ``broken``, or ``-`` where nobody counted them.
        folder: where it lies; for one in the bucket, its address.
        size: in bytes.
        date: when it was last written to, ISO 8601 in UTC; empty where it is missing.
        where: ``local`` or ``remote``.
    """

    name: str
    images: str
    folder: str
    size: int
    date: str
    where: str

    def as_dict(self) -> dict[str, object]:
        """Plain values, ``images`` a number where there is one."""
        return {**asdict(self), "images": int(self.images) if self.images.isdigit() else None}


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


def list_remote(address: str | None = None, required: bool = False) -> list[DatasetRow]:
    """The datasets in the bucket; none where no bucket is configured and none is ``required``."""
    from ravenml.data.remote import datasets_store, remote_datasets

    store = datasets_store(address) if required else bucket("datasets", address=address)
    if store is None:
        return []
    return [
        DatasetRow(
            one.name,
            "-" if one.images is None else str(one.images),
            f"{store.name}/{one.name}",
            one.size,
            one.date,
            "remote",
        )
        for one in remote_datasets(store)
    ]


def remove_here(name: str) -> Path:
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
