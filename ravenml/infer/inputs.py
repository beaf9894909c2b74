"""What is to be annotated: a project, a folder of images, or one image."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import JsonObject
from ravenml.data.decoding import check_size
from ravenml.data.editable_annotation import EditableAnnotation, read_editable
from ravenml.data.images import (
    EXTENSIONS,
    UNREAD_EXTENSIONS,
    decode_image,
    has_more_pages,
    read_bytes,
    unread_kind,
)
from ravenml.data.item_names import why_unusable
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem
from ravenml.data.project import Item, Project
from ravenml.data.registry import resolve_dataset
from ravenml.data.writing import META, meta_json, read_meta_json
from ravenml.errors import InputError

DATASET = "images"  # where images go that lie in no dataset


@dataclass(frozen=True)
class InputImage:
    """An image, and its annotation where it has one."""

    dataset: str
    name: str
    image_path: Path
    annotation_path: Path | None = None

    @property
    def key(self) -> str:
        """``dataset/name``."""
        return f"{self.dataset}/{self.name}"


@dataclass
class Inputs:
    """What is to be annotated.

    Attributes:
        path: what the user named.
        meta: the project's `meta.json`; of images alone, an empty one.
        classes: the project's classes.
        pictures: sorted by dataset and name.
        faults: what of the project cannot be used.
        more_pages: images read so far whose further pages or frames were not read.
    """

    path: Path
    meta: JsonObject
    classes: list[ObjClass] = field(default_factory=list)
    pictures: list[InputImage] = field(default_factory=list)
    faults: list[DataProblem] = field(default_factory=list)
    more_pages: list[Path] = field(default_factory=list)

    def read(self, picture: InputImage) -> tuple[NDArray[np.uint8], EditableAnnotation]:
        """Read an image, uint8 RGB, and what is known about it.

        Raises:
            DataProblem: one of the files is missing or broken, or they differ in size.
        """
        content = read_bytes(picture.image_path)
        image = decode_image(content, picture.image_path)
        if has_more_pages(content):
            self.more_pages.append(picture.image_path)
        if picture.annotation_path is None:
            return image, EditableAnnotation(image.shape[:2])
        document = read_editable(picture.annotation_path, {one.title: one.shape for one in self.classes})
        check_size(document.size, image, picture.annotation_path, picture.image_path)
        return image, document


def open_inputs(data: str, split: str | None = None) -> Inputs:
    """Open what ``--data`` names: a project (by path or by name), a folder of images, or an image.

    With ``split``, only a project's images with this tag are used; one whose annotation is broken may have
    it, and is among the faults.

    Images in folders within a folder become datasets of those names; those beside such folders become
    ``images``, or ``images_2`` where a folder is called so.

    Raises:
        InputError: there is no such thing, no image in it, or none with the tag.
    """
    path = Path(data).expanduser()
    path = path.absolute() if path.exists() else resolve_dataset(data)
    if split is not None and not (path / META).is_file():
        raise InputError(
            f"--split: {path} is not a project, so its images have no tags; leave the option out."
        )
    if path.is_file():
        if path.suffix.lower() in UNREAD_EXTENSIONS:
            raise unread_kind(path)
        if path.suffix.lower() not in EXTENSIONS:
            raise InputError(f"{path} is not an image; name a project, a folder of images, or an image.")
        return Inputs(path, meta_json(), [], [InputImage(DATASET, path.name, path)])
    if (path / META).is_file():
        faults: list[DataProblem] = []
        project = Project.read(path, faults.append)
        pictures = [
            InputImage(item.dataset, item.name, item.image_path, item.annotation_path)
            for item in (project.items if split is None else _tagged(project, split, faults))
        ]
        inputs = Inputs(path, read_meta_json(path / META), project.classes, pictures, faults)
    else:
        inputs = Inputs(path, meta_json())
        inputs.pictures = _pictures(path, inputs.faults)
    if not inputs.pictures and inputs.faults:
        raise InputError(str(inputs.faults[0]))
    if not inputs.pictures:
        raise InputError(f"{path} holds no images; name a project, a folder of images, or an image.")
    return inputs


def _tagged(project: Project, tag: str, faults: list[DataProblem]) -> list[Item]:
    """The images with a tag, as far as annotations can be read."""
    found = []
    for item in project.items:
        try:
            if tag in project.tags_of(item):
                found.append(item)
        except DataProblem as problem:
            faults.append(problem)
    return found if found or faults else project.tagged(tag)  # which says what tags there are


def _pictures(root: Path, faults: list[DataProblem]) -> list[InputImage]:
    found: list[tuple[str, str, Path]] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        dataset = Path(folder).relative_to(root).as_posix()
        for name in sorted(names):
            extension = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            if extension in EXTENSIONS and (unusable := why_unusable(f"{dataset}/{name}")):
                faults.append(DataProblem(Path(folder) / name, "", unusable, "rename it"))
            elif extension in EXTENSIONS:
                found.append((dataset, name, Path(folder) / name))
            elif extension in UNREAD_EXTENSIONS:
                faults.append(unread_kind(Path(folder) / name))
    taken, beside, number = {dataset for dataset, _, _ in found}, DATASET, 1
    while beside in taken:
        number += 1
        beside = f"{DATASET}_{number}"
    pictures = [
        InputImage(beside if dataset == "." else dataset, name, path) for dataset, name, path in found
    ]
    return sorted(pictures, key=lambda one: (one.dataset, one.name))
