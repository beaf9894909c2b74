"""Where a Supervisely project keeps its images and annotations.

A dataset is a folder with `img/` and `ann/`; datasets nest as `<dataset>/datasets/<child>/`, and plain
folders around them (`a/b/img`) are names too.  An image's annotation is `ann/<image name>.json`, or, in
old projects, `ann/<stem>.json`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ravenml.data.images import EXTENSIONS, unread_kind
from ravenml.data.item_names import why_unusable
from ravenml.data.problems import DataProblem, Report

IMPORT_NOTE = "import.json"  # in a project that is being, or was, imported: of what
_NESTED = "datasets"
_CONTENT = frozenset({"img", "ann", "meta", "img_info", "seg", "blob", _NESTED})
_KINDS = {
    "videos": "videos", "volumes": "volumes", "point_clouds": "point clouds",
    "point_cloud_episodes": "point cloud episodes",
}  # fmt: skip
_FOLDERS = {"pointcloud": "point clouds", "video": "videos", "volume": "volumes"}  # in place of img/
_LITTER = frozenset({"thumbs.db", "desktop.ini"})
_DEEPEST = 100  # folders of datasets within each other


@dataclass(frozen=True, slots=True)
class Item:
    """An image and its annotation; nested datasets are named ``outer/inner``."""

    dataset: str
    name: str
    image_path: Path
    annotation_path: Path

    @property
    def key(self) -> str:
        """``dataset/name``, by which the project knows the item."""
        return f"{self.dataset}/{self.name}"


def refuse_other_kinds(root: Path) -> None:
    """Refuse a project of what Supervisely annotates beside images, which its `meta.json` or folders tell.

    Raises:
        DataProblem: it holds videos, point clouds or volumes.
    """
    if not (root / "meta.json").is_file():  # a named pipe, say, which nobody may ever write to
        return
    kind = _KINDS.get(_read_kind(root / "meta.json"))
    if kind is None:
        with _scan(root) as entries:
            datasets = [root / entry.name for entry in entries if _is_folder(entry)]
        inner = {name for name in _FOLDERS for one in datasets if (one / name).is_dir()}
        if inner and not any((one / "img").is_dir() for one in datasets):
            kind = _FOLDERS[min(inner)]
    if kind is not None:
        problem = f"is a Supervisely project of {kind}, and ravenML reads projects of images"
        raise DataProblem(root, "", problem, "convert it to images in Supervisely, and export that project")


def _read_kind(meta: Path) -> str:
    """The `projectType` of a `meta.json`; empty where it has none, or cannot be read."""
    try:
        found = json.loads(meta.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    kind = found.get("projectType") if isinstance(found, dict) else None
    return kind if isinstance(kind, str) else ""


def find_items(root: Path, report: Report) -> tuple[list[str], list[Item]]:
    """Find a project's datasets and items, both sorted by name, whatever the order on disk.

    ``report`` is called for each image without an annotation, each annotation without an image, and each
    file and dataset whose name cannot be used.
    """
    folders: dict[str, Path] = {}
    for name, folder in _datasets(root, (), frozenset()):
        if unusable := why_unusable(name):
            report(DataProblem(folder, "", unusable, "rename it"))
            continue
        if name in folders:
            problem = f'is a second dataset named "{name}" beside {folders[name]}'
            report(DataProblem(folder, "", problem, "rename it"))
        folders.setdefault(name, folder)
    names = sorted(folders)
    return names, [item for name in names for item in _items(name, folders[name], report)]


def _datasets(folder: Path, names: tuple[str, ...], above: frozenset[str]) -> Iterator[tuple[str, Path]]:
    """Every dataset at or below ``folder``, with its name; ``above`` guards against links in circles."""
    real = os.path.realpath(folder)
    if real in above:
        return
    if len(names) > _DEEPEST:
        raise DataProblem(folder, "", f"is more than {_DEEPEST} folders deep", "name a project's folder")
    with _scan(folder) as entries:
        children = sorted(entry.name for entry in entries if _is_folder(entry))
    if names and ("img" in children or "ann" in children):
        yield "/".join(names), folder
    for child in children:
        # `datasets` in a dataset is not a name of its own; at the project's root it is one like any other.
        if names and child == _NESTED:
            yield from _datasets(folder / child, names, above | {real}) if _is_wrapper(folder / child) else ()
        elif child not in _CONTENT or (not names and child == _NESTED):
            yield from _datasets(folder / child, (*names, child), above | {real})


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return not entry.name.startswith(".") and entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def _scan(folder: Path) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
    try:
        return os.scandir(folder)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise DataProblem(folder, "", problem, "make it readable") from None


def _is_wrapper(folder: Path) -> bool:
    return not (folder / "img").is_dir()


def _items(dataset: str, folder: Path, report: Report) -> Iterator[Item]:
    images = _files(folder / "img")
    annotations = _files(folder / "ann")
    unused = {name for name in annotations if name.endswith(".json")}
    for name in images:
        stem, extension = os.path.splitext(name)
        wanted = next((n for n in (f"{name}.json", f"{stem}.json") if n in unused), None)
        image, annotation = folder / "img" / name, folder / "ann" / (wanted or f"{name}.json")
        if unusable := why_unusable(name):
            report(DataProblem(image, "", unusable, "rename it and its annotation"))
        elif extension.lower() not in EXTENSIONS:
            report(unread_kind(image))
        elif wanted is None:
            report(
                DataProblem(image, "", f"has no annotation {annotation}", "annotate the image or remove it")
            )
        else:
            yield Item(dataset, name, image, annotation)
        unused.discard(wanted or "")
    for name in sorted(unused):
        image = folder / "img" / name.removesuffix(".json")
        if unusable := why_unusable(name):
            report(DataProblem(folder / "ann" / name, "", unusable, "rename it"))
            continue
        fix = "put the image back or remove the file"
        report(DataProblem(folder / "ann" / name, "", f"has no image {image}", fix))


def _files(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with _scan(folder) as entries:
        names = [entry.name for entry in entries if _is_file(entry)]
    return sorted(name for name in names if not name.startswith(".") and name.lower() not in _LITTER)
