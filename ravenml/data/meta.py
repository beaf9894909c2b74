"""A project's `meta.json`: its classes and the names of its tags."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ravenml.data.annotation import parse_object
from ravenml.data.images import read_bytes
from ravenml.data.layout import IMPORT_NOTE
from ravenml.data.problems import DataProblem, Report, raise_problem

_EXPORT_AGAIN = "export the project again"
_GREY = "#808080"


@dataclass(frozen=True, slots=True)
class ObjClass:
    """A class of objects: its title, the shape its objects are drawn with, and its colour ``#RRGGBB``."""

    title: str
    shape: str
    color: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as (red, green, blue), 0 to 255."""
        value = int(self.color[1:], 16)
        return value >> 16, value >> 8 & 255, value & 255


@dataclass(frozen=True, slots=True)
class TagMeta:
    """A tag for images and objects; ``value_type`` is none, any_string, any_number or oneof_string."""

    name: str
    value_type: str = "none"
    color: str = "#808080"


def spare_color(number: int) -> str:
    """A colour ``#RRGGBB`` for the class of this number, far from those of its neighbours."""
    wheel = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.7, 0.9)
    return "#{:02X}{:02X}{:02X}".format(*(round(255 * part) for part in wheel))


def read_meta(path: Path, report: Report = raise_problem) -> tuple[list[ObjClass], list[TagMeta]]:
    """Read `meta.json`: classes and tags, in the file's order.

    Tags stand under ``tags``, or (in older projects) under ``tags_images`` and ``tags_objects``, as
    objects or as bare names.

    Raises:
        DataProblem: the file is missing, is not JSON, or one of its fields is unusable.
    """
    if not path.is_file():
        raise _no_project(path)
    data = parse_object(read_bytes(path), path)
    entries = data.get("classes")
    if not isinstance(entries, list):
        raise DataProblem(path, "classes", "is missing or no list", _EXPORT_AGAIN)
    classes: dict[str, ObjClass] = {}
    for number, entry in enumerate(entries):
        where = f"classes[{number}]"
        try:
            made = _class(entry, path, where, report)
            if made.title in classes:
                raise DataProblem(
                    path, f"{where}.title", f'"{made.title}" appears twice', "rename one of them"
                )
            classes[made.title] = made
        except DataProblem as error:
            report(error)
    tags: dict[str, TagMeta] = {}
    for where, entry in _tag_entries(data, path):
        try:
            tag = _tag(entry, path, where)
            tags.setdefault(tag.name, tag)
        except DataProblem as error:
            report(error)
    return list(classes.values()), list(tags.values())


def _no_project(path: Path) -> DataProblem:
    if (path.parent / IMPORT_NOTE).is_file():
        problem = "is missing, because the import of this project was not completed"
        return DataProblem(path, "", problem, "run the same `raven data import` again")
    problem = "is missing, so this is not a Supervisely project"
    return DataProblem(
        path, "", problem, "name a project's own folder, or make one: raven data import SRC DST"
    )


def _class(entry: object, path: Path, where: str, report: Report) -> ObjClass:
    title = entry.get("title") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(title, str) or not title:
        raise DataProblem(path, f"{where}.title", "is missing", _EXPORT_AGAIN)
    shape = entry.get("shape")
    if not isinstance(shape, str):
        raise DataProblem(path, f"{where}.shape", "is missing", _EXPORT_AGAIN)
    try:
        color = _color(entry.get("color", _GREY), path, f"{where}.color")
    except DataProblem as error:  # the class is there all the same, and its objects are not at fault
        report(error)
        color = _GREY
    return ObjClass(title, shape, color)


def _tag_entries(data: Mapping[str, object], path: Path) -> Iterator[tuple[str, object]]:
    for field in ("tags", "tags_images", "tags_objects"):
        entries = data.get(field) or []
        if not isinstance(entries, list):
            raise DataProblem(path, field, "is not a list", _EXPORT_AGAIN)
        yield from ((f"{field}[{number}]", entry) for number, entry in enumerate(entries))


def _tag(entry: object, path: Path, where: str) -> TagMeta:
    if isinstance(entry, str):
        return TagMeta(entry)
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(name, str) or not name:
        raise DataProblem(path, f"{where}.name", "is missing", _EXPORT_AGAIN)
    color = _color(entry.get("color", "#808080"), path, f"{where}.color")
    return TagMeta(name, str(entry.get("value_type", "none")), color)


def _color(value: object, path: Path, where: str) -> str:
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return value.upper()
    raise DataProblem(path, where, f"{value!r} is not a colour", 'write it as "#RRGGBB"')
