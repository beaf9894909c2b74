"""Datasets of ravenML 1: a folder with a `metadata.json`, in a layout that the plugin knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from ravenml.common.io import JsonObject
from ravenml.config.home import datasets_dir
from ravenml.data.project import METADATA, Project
from ravenml.data.registry import known_datasets, resolve_dataset
from ravenml.errors import InputError, RavenError


class Dataset(Project):
    """A folder that is not a Supervisely project: it has a path, a name and metadata, but no items.

    Args:
        name: the dataset's name.
        metadata: what is known of it.
        path: the folder.
    """

    def __init__(self, name: str, metadata: Mapping[str, object], path: str | Path) -> None:
        super().__init__(Path(path), [], [], [], [])
        self.name = name
        self.metadata = dict(metadata)

    def get_num_folds(self) -> int:
        """How many folds the folder holds."""
        return len(list((self.path / "dev").glob("fold_*")))


def is_dataset(folder: Path) -> bool:
    """Whether a folder looks like a dataset of ravenML 1, and is no project."""
    made_by_1 = (folder / METADATA).is_file() or (folder / "splits").is_dir()
    return made_by_1 and not (folder / "meta.json").exists()


def open_dataset(name_or_path: str) -> Project:
    """Open a project, or a dataset of ravenML 1: a folder, or a name in ravenML's datasets or in the bucket.

    Raises:
        InputError: there is none, or it is not readable.
        RavenError: it lies in the bucket and cannot be fetched.
    """
    folder = datasets_dir() / name_or_path
    if not is_dataset(folder):
        try:
            folder = resolve_dataset(name_or_path)
        except InputError:
            from ravenml.data.remote import pull_if_exists

            fetched = None if "/" in name_or_path else pull_if_exists(name_or_path, METADATA)
            if fetched is None:
                raise
            folder = fetched
    if not is_dataset(folder):
        return Project.open(folder)
    return Dataset(folder.name, Project(folder, [], [], [], []).metadata, folder)


def get_dataset(name: str) -> Project:
    """A dataset by its name or folder.

    Raises:
        ValueError: there is none.
    """
    try:
        return open_dataset(name)
    except InputError as error:
        raise ValueError(str(error)) from error


def get_dataset_names() -> list[str]:
    """The names of all datasets that are known on this machine."""
    folder = datasets_dir()
    former = [child.name for child in folder.iterdir() if is_dataset(child)] if folder.is_dir() else []
    return sorted({*known_datasets(), *former})


def get_dataset_metadata(name: str, no_check: bool = False) -> JsonObject:
    """A dataset's metadata.

    Raises:
        ValueError: there is no such dataset.
    """
    return get_dataset(name).metadata


def get_imageset_names() -> NoReturn:
    """Image sets are gone.

    Raises:
        RavenError: always; it says what to do instead.
    """
    raise RavenError("ravenML has no image sets since 2.0; import annotated images with `raven data import`.")


def get_imageset_metadata(name: str, no_check: bool = False) -> NoReturn:
    """Image sets are gone.

    Raises:
        RavenError: always; it says what to do instead.
    """
    get_imageset_names()
