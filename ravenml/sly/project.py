"""Projects on disk as plugin authors know them: a thin face over ``ravenml.data``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from enum import Enum, StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ravenml.common.io import JsonObject, read_json, write_bytes, write_json
from ravenml.data.images import read_image
from ravenml.data.layout import Item, find_items
from ravenml.data.writing import META, ProjectWriter, place_image
from ravenml.errors import InputError
from ravenml.sly import image as images
from ravenml.sly.annotation import Annotation
from ravenml.sly.json_fields import inside
from ravenml.sly.project_meta import Collection, ProjectMeta


class ProjectType(StrEnum):
    """What a project's items are; images alone are read."""

    IMAGES = "images"
    VIDEOS = "videos"
    VOLUMES = "volumes"
    POINT_CLOUDS = "point_clouds"


class OpenMode(Enum):
    """Whether a project is there already, or is to be made."""

    READ = 1
    CREATE = 2


class ItemPaths(NamedTuple):
    """Where an item lies."""

    img_path: str
    ann_path: str


class Dataset:
    """A dataset of a project; iterating gives its items' names."""

    def __init__(self, writer: ProjectWriter, name: str, items: list[Item]) -> None:
        self._writer = writer
        self.name = name
        self._items = {item.name: item for item in items}

    @property
    def directory(self) -> str:
        """Its folder."""
        return str(self._writer.item(self.name, "x").image_path.parent.parent)

    @property
    def img_dir(self) -> str:
        """The folder of its images."""
        return os.path.join(self.directory, "img")

    @property
    def ann_dir(self) -> str:
        """The folder of its annotations."""
        return os.path.join(self.directory, "ann")

    item_dir = img_dir

    def generate_item_path(self, item_name: str) -> str:
        """Where an item's image would lie."""
        return os.path.join(self.img_dir, item_name)

    def key(self) -> str:
        """Its name."""
        return self.name

    def item_exists(self, item_name: str) -> bool:
        """Whether it has an item."""
        return item_name in self._items

    def get_item_paths(self, item_name: str) -> ItemPaths:
        """Where an item lies.

        Raises:
            KeyError: it has no such item.
        """
        item = self._items[item_name]
        return ItemPaths(str(item.image_path), str(item.annotation_path))

    def get_img_path(self, item_name: str) -> str:
        """Where an item's image lies."""
        return self.get_item_paths(item_name).img_path

    get_item_path = get_img_path

    def get_ann_path(self, item_name: str) -> str:
        """Where an item's annotation lies."""
        return self.get_item_paths(item_name).ann_path

    def get_ann(self, item_name: str, project_meta: ProjectMeta) -> Annotation:
        """An item's annotation."""
        return Annotation.load_json_file(self.get_ann_path(item_name), project_meta)

    def add_item_file(
        self, item_name: str, item_path: str, ann: Annotation | None = None, **_: object
    ) -> None:
        """Add an item: a copy of an image file, and an annotation; without one, an empty one."""
        item = self._writer.item(self.name, item_name)
        if Path(item_path) != item.image_path:
            place_image(Path(item_path), item.image_path)
        self._add(item, ann)

    def add_item_np(self, item_name: str, img: np.ndarray, ann: Annotation | None = None) -> None:
        """Add an item from uint8 RGB (height, width, 3)."""
        item = self._writer.item(self.name, item_name)
        images.write(str(item.image_path), img)
        self._add(item, ann)

    def add_item_raw_bytes(
        self, item_name: str, item_raw_bytes: bytes, ann: Annotation | None = None
    ) -> None:
        """Add an item from an image file's content."""
        item = self._writer.item(self.name, item_name)
        write_bytes(item.image_path, item_raw_bytes)
        self._add(item, ann)

    def set_ann(self, item_name: str, ann: Annotation) -> None:
        """Write an item's annotation."""
        self.set_ann_dict(item_name, ann.to_json())

    def set_ann_dict(self, item_name: str, ann: JsonObject) -> None:
        """Write an item's annotation from the content of its file."""
        write_bytes(Path(self.get_ann_path(item_name)), json.dumps(ann).encode())

    def set_ann_file(self, item_name: str, ann_path: str) -> None:
        """Write an item's annotation from another file."""
        self.set_ann_dict(item_name, read_json(Path(ann_path)))

    def _add(self, item: Item, ann: Annotation | None) -> None:
        self._items[item.name] = item
        if ann is None:
            height, width = read_image(item.image_path).shape[:2]
            ann = Annotation((height, width))
        self.set_ann(item.name, ann)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def to_json(self) -> str:
        """Its name."""
        return self.name


class Project:
    """A project; iterating gives its datasets.

    Args:
        directory: its folder.
        mode: ``READ`` for one that is there, ``CREATE`` for a new one.

    Raises:
        InputError: there is none to be read, or it is broken.
    """

    def __init__(self, directory: str, mode: OpenMode) -> None:
        self._writer = ProjectWriter(Path(directory).absolute())
        self._datasets: list[Dataset] = []
        self._meta = ProjectMeta()
        if mode is OpenMode.READ:
            root = self._writer.root
            if not (root / META).is_file():
                raise InputError(f"{root} is not a Supervisely project: it has no {META}.")
            content = read_json(root / META)
            with inside("", str(root / META)):
                self._meta = ProjectMeta.from_json(content)
            names, items = find_items(root, _refuse)
            self._datasets = [
                Dataset(self._writer, name, [item for item in items if item.dataset == name])
                for name in names
            ]
        else:
            self.set_meta(self._meta)

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self._writer.root.name

    @property
    def directory(self) -> str:
        """Its folder."""
        return str(self._writer.root)

    @property
    def parent_dir(self) -> str:
        """The folder that it lies in."""
        return str(self._writer.root.parent)

    @property
    def meta(self) -> ProjectMeta:
        """Its classes and tags."""
        return self._meta

    @property
    def datasets(self) -> Collection[Dataset]:
        """Its datasets by name."""
        return Collection(self._datasets)

    @property
    def total_items(self) -> int:
        """How many images it has."""
        return sum(len(dataset) for dataset in self._datasets)

    def set_meta(self, new_meta: ProjectMeta) -> None:
        """Write its classes and tags."""
        self._meta = new_meta
        write_json(self._writer.root / META, new_meta.to_json())

    def create_dataset(self, ds_name: str) -> Dataset:
        """Add a dataset, which is empty."""
        dataset = Dataset(self._writer, ds_name, [])
        for folder in (dataset.img_dir, dataset.ann_dir):
            os.makedirs(folder, exist_ok=True)
        self._datasets.append(dataset)
        return dataset

    def validate(self) -> None:
        """Nothing is left to check: what cannot be read was refused when it was opened."""

    def copy_data(self, dst_directory: str, dst_name: str | None = None, **_: object) -> Project:
        """Copy it into another folder; the copy."""
        copied = Project(os.path.join(dst_directory, dst_name or self.name), OpenMode.CREATE)
        copied.set_meta(self.meta)
        for dataset in self:
            made = copied.create_dataset(dataset.name)
            for name in dataset:
                made.add_item_file(name, dataset.get_img_path(name), dataset.get_ann(name, self.meta))
        return copied

    @classmethod
    def read_single(cls, dir: str) -> Project:
        """The one project in a folder; see :func:`read_single_project`."""
        return cls(str(find_single_project(dir)), OpenMode.READ)

    def __iter__(self) -> Iterator[Dataset]:
        return iter(self._datasets)

    def __len__(self) -> int:
        return len(self._datasets)


def read_single_project(dir: str, project_class: type[Project] = Project) -> Project:
    """The one project in a folder.

    Raises:
        InputError: there is none, or there are several.
    """
    return project_class(str(find_single_project(dir)), OpenMode.READ)


def find_single_project(directory: str) -> Path:
    """The folder of the one project in a folder; see :func:`read_single_project`."""
    found = sorted(entry for entry in Path(directory).iterdir() if (entry / META).is_file())
    if len(found) != 1:
        raise InputError(f"{directory} must hold one project, not {len(found)}.")
    return found[0]


def _refuse(fault: InputError) -> None:
    raise fault
