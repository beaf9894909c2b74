"""Writing a Supervisely project: `meta.json`, and an image and an annotation for each item."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from ravenml.common.io import JsonObject, atomic_open, to_user_error, write_bytes, write_json
from ravenml.common.permissions import make_folder
from ravenml.common.reading import open_file
from ravenml.data.annotation import parse_object
from ravenml.data.editable_annotation import EditableAnnotation, as_tags, write_editable
from ravenml.data.images import encode_png, read_bytes
from ravenml.data.layout import Item
from ravenml.data.meta import ObjClass, TagMeta
from ravenml.errors import InputError

META = "meta.json"
_ANY = ("any", "any_geometry")


def meta_json(classes: Iterable[ObjClass] = (), tags: Iterable[TagMeta] = ()) -> JsonObject:
    """A new `meta.json`'s content."""
    return {
        "classes": [_class_json(one) for one in classes],
        "tags": [_tag_json(one) for one in tags],
        "projectType": "images",
    }


def read_meta_json(path: Path) -> JsonObject:
    """The content of a `meta.json` as it can be written again: all its fields, tags in today's form.

    Raises:
        DataProblem: the file is missing or no JSON.
    """
    meta = parse_object(read_bytes(path), path)
    tags = [tag for name in ("tags", "tags_images", "tags_objects") for tag in as_tags(meta.pop(name, None))]
    usual = {"value_type": "none", "color": "#808080"}
    unique = {str(tag.get("name")): {**usual, **tag} for tag in reversed(tags)}
    meta["tags"] = list(unique.values())[::-1]
    return meta


def extended_meta(
    meta: JsonObject,
    classes: Iterable[ObjClass],
    tags: Iterable[TagMeta] = (),
    replaced: Collection[str] = (),
) -> JsonObject:
    """A `meta.json`'s content with more classes and tags; those that are there already stay as they are.

    Args:
        replaced: titles of classes that no object has any longer, and that may change their shape.

    Raises:
        InputError: a class is there with another shape, or a tag with another kind of value.
    """
    known = {str(one.get("title")): dict(one) for one in meta.get("classes", [])}
    for one in classes:
        there = known.get(one.title)
        if there is not None and one.title not in replaced and there.get("shape") not in (one.shape, *_ANY):
            raise InputError(
                f'The project has a class "{one.title}" of the shape {there.get("shape")}, and results of '
                f"the shape {one.shape} cannot be added to it; give them another suffix."
            )
        if there is None or there.get("shape") not in (one.shape, *_ANY):
            known[one.title] = _class_json(one)
    named = {str(tag.get("name")): dict(tag) for tag in meta.get("tags", [])}
    for tag in tags:
        kind = named.setdefault(tag.name, _tag_json(tag)).get("value_type")
        if kind != tag.value_type:
            raise InputError(
                f'The project has a tag "{tag.name}" with values of the kind {kind}, not {tag.value_type}; '
                "choose another name for it."
            )
    return {**meta, "classes": list(known.values()), "tags": list(named.values())}


class ProjectWriter:
    """Writes a project's files.  An item is there when its annotation is, which is written last."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write_meta(self, meta: Mapping[str, object]) -> None:
        """Write `meta.json`: what `meta_json` or `extended_meta` gave."""
        write_json(self.root / META, dict(meta))

    def item(self, dataset: str, name: str) -> Item:
        """Where an item lies; nested datasets are named ``outer/inner``."""
        folder = dataset_folder(self.root, dataset)
        return Item(dataset, name, folder / "img" / name, folder / "ann" / f"{name}.json")

    def add(
        self,
        dataset: str,
        name: str,
        image: Path | np.ndarray,
        annotation: EditableAnnotation,
        link: bool = False,
    ) -> Item:
        """Write an item.

        Args:
            image: an image file, which is copied; or uint8 RGB (height, width, 3), written as PNG.
            link: make a symbolic link to the image file instead of a copy.

        Raises:
            RavenError: the disk is full, or the folder may not be written.
        """
        item = self.item(dataset, name)
        if isinstance(image, np.ndarray):
            write_bytes(item.image_path, encode_png(image))
        else:
            place_image(image, item.image_path, link)
        write_editable(item.annotation_path, annotation)
        return item


def dataset_folder(root: Path, dataset: str) -> Path:
    """Where Supervisely's SDK looks for a dataset: children lie in their parent's folder `datasets`."""
    first, *nested = dataset.split("/")
    folder = root / first
    for name in nested:
        folder = folder / "datasets" / name
    return folder


def place_image(source: Path, target: Path, link: bool = False) -> None:
    """Copy an image file, or make a symbolic link to it; never a hard link, which could change it.

    Where the file system can (Btrfs, XFS), the copy shares the original's blocks.

    Raises:
        RavenError: the source cannot be read, or the disk is full or may not be written.
    """
    if link:
        try:
            make_folder(target.parent)
            beside = target.with_name(f".{os.getpid()}-{target.name}"[:200])
            beside.unlink(missing_ok=True)
            beside.symlink_to(source.resolve())
            os.replace(beside, target)
        except OSError as error:
            raise to_user_error(error, target) from error
        return
    try:
        reader = open_file(source)
    except OSError as error:
        raise to_user_error(error, source) from error
    with reader, atomic_open(target) as writer:
        try:
            while os.copy_file_range(reader.fileno(), writer.fileno(), 1 << 30):
                pass
        except (AttributeError, OSError) as error:  # another system, or another file system
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise
            reader.seek(0)
            writer.seek(0)
            writer.truncate()
            shutil.copyfileobj(reader, writer, 1 << 20)


def is_placed(source: Path, target: Path, link: bool = False) -> bool:
    """Whether `place_image` has put this very image there, in the same way."""
    try:
        there, image = target.stat(), source.stat()
        if target.is_symlink() != link:
            return False
    except OSError:
        return False
    same = there.st_size == image.st_size and there.st_mtime_ns >= image.st_mtime_ns
    return os.path.samestat(there, image) if link else same


def _class_json(one: ObjClass) -> JsonObject:
    return {
        "title": one.title,
        "description": "",
        "shape": one.shape,
        "color": one.color,
        "geometry_config": {},
    }


def _tag_json(tag: TagMeta) -> JsonObject:
    return {"name": tag.name, "value_type": tag.value_type, "color": tag.color}
