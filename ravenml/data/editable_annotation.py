"""An annotation file as it is changed and written again.

Unlike `ravenml.data.annotation.Annotation`, which knows only what a mask needs, an `EditableAnnotation`
keeps the file's own JSON: unknown fields, and objects of unknown kinds, are written as they were read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import orjson

from ravenml.common.io import write_bytes
from ravenml.data.annotation import (
    EXPORT_AGAIN,
    parse_class,
    parse_object,
    parse_objects,
    parse_size,
    parse_tag_names,
)
from ravenml.data.geometry import AnyGeometry, Polygon, Size
from ravenml.data.geometry_json import InvalidGeometry, geometry_json, parse_geometry
from ravenml.data.images import read_bytes
from ravenml.data.problems import DataProblem

Tag = Mapping[str, object]  # {"name": …, "value": …} and whatever else the file says


@dataclass(frozen=True, eq=False)
class Label:
    """One annotated thing, as its JSON says.

    Attributes:
        entry: the object in the file, with a ``geometryType``.
        file: where it was read, for messages.
        number: which of the file's objects it is.
    """

    entry: Mapping[str, object]
    file: Path | None = None
    number: int = 0

    @classmethod
    def make(cls, title: str, geometry: AnyGeometry, tags: Iterable[Tag] = ()) -> Label:
        """A new object of the class ``title``."""
        entry = {"classTitle": title, "description": "", "tags": [dict(tag) for tag in tags]}
        made = cls({**entry, **geometry_json(geometry)})
        if isinstance(geometry, Polygon) and geometry.exterior.dtype == np.int32:
            made.__dict__["geometry"] = geometry  # it need not be read back from what was just written
        return made

    @property
    def title(self) -> str:
        """The class's title."""
        return str(self.entry["classTitle"])

    @property
    def kind(self) -> str:
        """``bitmap``, ``polygon``, ``rectangle``, ``line``, ``point``, or what else the file says."""
        return str(self.entry["geometryType"])

    @property
    def tags(self) -> list[Tag]:
        """The object's own tags."""
        return as_tags(self.entry.get("tags"))

    @cached_property
    def geometry(self) -> AnyGeometry | None:
        """The shape; None for kinds that are not known here.

        Raises:
            DataProblem: the shape is broken.
        """
        try:
            return parse_geometry(self.entry)
        except InvalidGeometry as bad:
            where = f"objects[{self.number}].{bad.field}"
            raise DataProblem(
                self.file or Path("an object"), where, bad.problem, bad.fix or EXPORT_AGAIN
            ) from None

    def changed(
        self,
        title: str | None = None,
        geometry: AnyGeometry | None = None,
        tags: Iterable[Tag] | None = None,
    ) -> Label:
        """The same with another title, shape or tags; all other fields are kept."""
        entry = dict(self.entry)
        if title is not None and title != self.title:
            entry["classTitle"] = title
            entry.pop("classId", None)  # the old class's number on a server
        if tags is not None:
            entry["tags"] = [dict(tag) for tag in tags]
        if geometry is not None:
            entry.pop("bitmap", None)
            entry.pop("points", None)
            entry |= geometry_json(geometry)
        return Label(entry, self.file, self.number)


@dataclass(frozen=True, eq=False)
class EditableAnnotation:
    """One image's annotation.

    Attributes:
        size: (height, width) of the image.
        labels: the objects, in the file's order, which is the order of drawing.
        tags: the image's tags.
        rest: the other fields of the file.
    """

    size: Size
    labels: tuple[Label, ...] = ()
    tags: tuple[Tag, ...] = ()
    rest: Mapping[str, object] = field(default_factory=lambda: {"description": ""})

    def with_labels(self, labels: Iterable[Label]) -> EditableAnnotation:
        """The same with other objects."""
        return replace(self, labels=tuple(labels))

    def to_json(self) -> dict[str, object]:
        """The file's content."""
        return {
            **self.rest,
            "tags": [dict(tag) for tag in self.tags],
            "size": {"height": self.size[0], "width": self.size[1]},
            "objects": [dict(label.entry) for label in self.labels],
        }


def read_editable(path: Path, shapes: Mapping[str, str] | None = None) -> EditableAnnotation:
    """Read an annotation file; see `parse_editable`."""
    return parse_editable(read_bytes(path), path, shapes)


def parse_editable(content: bytes, path: Path, shapes: Mapping[str, str] | None = None) -> EditableAnnotation:
    """Parse an annotation file's content.  Shapes are looked at only when they are asked for.

    Args:
        path: for messages.
        shapes: class title to shape of the project; None allows any title.

    Raises:
        DataProblem: the file, its size, a tag or an object's class is broken or unknown.
    """
    data = parse_object(content, path)
    size = parse_size(data, path)
    parse_tag_names(data.get("tags"), path, "tags")
    objects = parse_objects(data, path)
    labels = tuple(_label(entry, path, number, shapes) for number, entry in enumerate(objects))
    rest = {name: value for name, value in data.items() if name not in ("tags", "size", "objects")}
    return EditableAnnotation(size, labels, tuple(as_tags(data.get("tags"))), rest)


def write_editable(path: Path, annotation: EditableAnnotation) -> None:
    """Write an annotation file, whole or not at all."""
    write_bytes(path, editable_content(annotation))


def editable_content(annotation: EditableAnnotation) -> bytes:
    """An annotation file's content."""
    told = annotation.to_json()
    try:
        return orjson.dumps(told)
    except TypeError:  # a tag's value is an integer of more than 64 bits
        return json.dumps(told).encode()


def as_tags(given: object) -> list[Tag]:
    """Tags as objects; older files have bare names."""
    entries = given if isinstance(given, list) else []
    return [dict(tag) if isinstance(tag, dict) else {"name": str(tag)} for tag in entries]


def _label(given: object, path: Path, number: int, shapes: Mapping[str, str] | None) -> Label:
    where = f"objects[{number}]"
    entry, _, kind = parse_class(given, path, where, shapes)
    parse_tag_names(entry.get("tags"), path, f"{where}.tags")
    return Label({**entry, "geometryType": kind, "tags": as_tags(entry.get("tags"))}, path, number)
