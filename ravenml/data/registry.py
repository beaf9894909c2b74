"""Datasets by name: folders in ravenML's home, and those that the configuration names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ravenml.common.formatting import utc_timestamp
from ravenml.data.problems import suggestion
from ravenml.errors import InputError, RavenError

if TYPE_CHECKING:
    from ravenml.data.project import Project
    from ravenml.data.remote import DatasetRow


def load_dataset(dataset: str | Path) -> Project:
    """Open a dataset by its folder or its name; one that is only in the bucket is fetched.

    Raises:
        InputError: there is none, or it is not a readable project; the sentence names the file and the fix.
        RavenError: it lies in the bucket and cannot be fetched.
    """
    from ravenml.data.project import Project

    return Project.open(resolve_dataset(str(dataset)))


def known_datasets() -> dict[str, Path]:
    """Names and folders: projects below ravenML's datasets folder, and the configuration's ``datasets``.

    A name in the configuration wins.  That a folder exists is not promised.

    Raises:
        InputError: the configuration is broken.
    """
    from ravenml.config.config import load_config
    from ravenml.config.home import datasets_dir

    found: dict[str, Path] = {}
    folder = datasets_dir()
    if folder.is_dir():
        found = {child.name: child for child in folder.iterdir() if (child / "meta.json").is_file()}
    found |= {name: Path(path).expanduser() for name, path in load_config().datasets.items()}
    return dict(sorted(found.items()))


def resolve_dataset(name_or_path: str) -> Path:
    """The folder of a dataset that is given by path or by name; an existing folder wins over a name.

    What is not known here but lies in the configured bucket of datasets, or at an ``s3://`` address, is
    fetched.

    Raises:
        InputError: there is neither such a folder nor such a name, or the name's folder is gone.
        RavenError: it lies in the bucket and cannot be fetched.
    """
    given = Path(name_or_path).expanduser()
    if given.exists():
        return given.absolute()
    known = known_datasets()
    if name_or_path in known:
        path = known[name_or_path]
        if not path.exists():
            raise InputError(
                f'The dataset "{name_or_path}" is configured as {path}, which does not exist; '
                "put it back or change the configuration's `datasets`."
            )
        return path.absolute()
    if name_or_path.startswith("s3://") or not ("/" in name_or_path or name_or_path.startswith(("~", "."))):
        from ravenml.data.remote import pull_if_exists

        fetched = pull_if_exists(name_or_path)
        if fetched is not None:
            return fetched.absolute()
    if name_or_path.startswith("s3://"):
        raise InputError(f"There is no dataset {name_or_path}: it has no meta.json there.")
    if "/" in name_or_path or name_or_path.startswith(("~", ".")):
        raise InputError(f"{given.absolute()} does not exist; name a project's folder.")
    hint = suggestion(name_or_path, list(known)) if known else "no dataset has a name yet"
    raise InputError(
        f'No folder or dataset is called "{name_or_path}"; name a project\'s folder or a dataset ({hint}).'
    )


def list_local() -> list[DatasetRow]:
    """The datasets that are known on this machine."""
    from ravenml.data.project import Project
    from ravenml.data.remote import DatasetRow

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
    from ravenml.config.home import datasets_dir

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
