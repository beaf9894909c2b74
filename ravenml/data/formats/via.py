"""VGG Image Annotator, versions 1 and 2 (https://www.robots.ox.ac.uk/~vgg/software/via): a file per folder.

It is JSON or CSV.  Version 1 has an image's regions in a dict, version 2 in a list; a project that version 2
saved has the images in ``_via_img_metadata``; scripts write the images as a list.  Exports are projects of
version 2, one in each dataset's folder of images.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import cast

import orjson

from ravenml.common.io import atomic_open
from ravenml.common.parsing import ParseError, parse_json
from ravenml.data.editable_annotation import Label, Tag
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import TAGS, Format, ImportSource, LeftOut, Record, make_label
from ravenml.data.formats.coco import Coco
from ravenml.data.formats.encodings import Utf8Files
from ravenml.data.formats.export import Export, ExportedImage
from ravenml.data.formats.image_finder import (
    Images,
    dataset_name,
    files_of,
    found_instead,
    read_ends,
    split_tags,
    tell_left_alone,
)
from ravenml.data.formats.json_stream import members
from ravenml.data.geometry import AnyGeometry, Bitmap, Point, Polygon, Rectangle
from ravenml.data.geometry_json import InvalidGeometry
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem, from_parse_error
from ravenml.errors import InputError

_FILE = "via_region_data.json"
_CLASS = "class"
_CHECKED = "tags"  # the checkboxes that tags without a value become
_DEFAULT_CLASS = "object"
_METADATA = "_via_img_metadata"
_ENDINGS = (".json", ".csv")
_LONGEST_CELL = 1 << 24  # characters
_USUAL = ("class", "label", "name", "category", "type")


@dataclass(frozen=True)
class _File:
    path: Path
    images: list[tuple[str, object]]  # where in the file, and the entry
    classes: tuple[str, ...] = ()


class Via(Format):
    """Reads and writes VIA's JSON; each folder with such a file is a dataset."""

    title = "VGG Image Annotator 1 and 2 (JSON or CSV)"
    sign = "a JSON or CSV of regions for each image file"
    holds = frozenset({"polygon", "rectangle", "line", "point", "unused classes"}) | TAGS

    def recognises(self, path: Path) -> bool:
        return any(_looks_like(file) for file in _files(path))

    def read(self, source: ImportSource) -> Iterator[Record | LeftOut | DataProblem]:
        files: list[_File] = []
        broken: list[DataProblem] = []
        texts = Utf8Files()
        named = [path for path in _files(source.path) if path == source.path or _looks_like(path)]
        if not any(map(_looks_like, named)) and Coco().recognises(source.path):
            source.notice(f"{source.path.name} is COCO's JSON, as VIA exports it too, and read as such.")
            yield from Coco().read(source)
            return
        for path in named:
            try:
                files.append(_load(path, texts))
            except DataProblem as error:
                if path == source.path:
                    raise
                broken.append(error)
        texts.tell(source.notice)
        if not files and broken:
            raise broken[0]
        if not files:
            what = "no JSON or CSV of the VGG Image Annotator, which has filename and regions"
            raise InputError(f"{source.path} holds {what}; {found_instead(source.path, '.json')}.")
        tell_left_alone(source, ".json", named, "VIA's")
        source.total = len(broken) + sum(len(file.images) for file in files)
        source.classes = [ObjClass(title, "any", "") for file in files for title in file.classes]
        yield from broken  # only now: progress is shown from the first record on
        reading = _Reading(source, _class_attribute(source, files))
        for file in files:
            yield from reading.records(file)

    def write(self, export: Export) -> None:
        made = export.map(lambda image: _described(export, image))
        for dataset, entries in groupby(made, key=lambda one: one[0]):
            with atomic_open(export.target / dataset / _FILE) as file:
                ids: list[str] = []
                file.write(b'{"_via_img_metadata": {')
                file.writelines(members(_images(entries, ids)))
                file.write(b'},\n"_via_image_id_list": ' + orjson.dumps(ids))
                for name, value in _rest(export).items():
                    file.write(b",\n" + orjson.dumps(name) + b": " + orjson.dumps(value))
                file.write(b"}\n")


class _Reading:
    def __init__(self, source: ImportSource, attribute: str | None) -> None:
        self.images = Images(source.options.images or source.folder, notice=source.notice)
        self.source, self.attribute = source, attribute
        self.default = source.options.class_name or _DEFAULT_CLASS

    def records(self, file: _File) -> Iterator[Record | DataProblem]:
        folder = file.path.parent
        below = folder.relative_to(self.source.folder) if folder != self.source.folder else Path(folder.name)
        dataset = dataset_name(below.as_posix())
        own = self.source.options.images
        near = own / below if own is not None and (own / below).is_dir() else own or folder
        for key, entry in file.images:
            try:
                yield self._record(file.path, key, entry, near, dataset)
            except DataProblem as error:
                yield error

    def _record(self, path: Path, key: str, entry: object, near: Path, dataset: str) -> Record:
        if not isinstance(entry, dict):
            raise DataProblem(
                path, key, "is not an object with a filename and regions", "correct or remove it"
            )
        name = entry.get("filename")
        image = self.images.find(name, path, f"{key}.filename", near)
        given = entry.get("regions") or {}
        if not isinstance(given, dict | list):
            raise DataProblem(
                path, f"{key}.regions", "is neither a list nor an object", "correct or remove it"
            )
        regions = given.items() if isinstance(given, dict) else enumerate(given)
        where = str(name)
        labels = [self._label(path, f"{where}.regions[{number}]", region) for number, region in regions]
        tags = [*split_tags(dataset), *_as_tags(entry.get("file_attributes"), set())]
        return Record(image, dataset, labels, tags, file=path, field=where)

    def _label(self, path: Path, where: str, region: object) -> Label | LeftOut:
        attributes = region.get("region_attributes") if isinstance(region, dict) else None
        attributes = attributes if isinstance(attributes, dict) else {}
        values = _values(attributes.get(self.attribute)) if self.attribute is not None else []
        if len(values) > 1:
            field = f"{where}.region_attributes.{self.attribute}"
            problem = DataProblem(path, field, f"says {' and '.join(values)} at once", "choose one of them")
            return LeftOut(problem)
        title = values[0] if values else self.default
        shape = region.get("shape_attributes") if isinstance(region, dict) else None
        if not isinstance(shape, dict):
            fix = "draw the region again, or remove it"
            said = "is missing" if shape is None else "is not an object"
            return LeftOut(DataProblem(path, f"{where}.shape_attributes", said, fix), title=title)
        tags = _as_tags(attributes, {self.attribute})
        return make_label(path, f"{where}.shape_attributes", title, lambda: _geometry(shape), tags)


def _geometry(shape: dict[str, object]) -> AnyGeometry:
    name = shape.get("name")
    if name in ("polygon", "polyline"):
        x, y = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
            raise InvalidGeometry("all_points_x", "and all_points_y are not lists of the same length")
        corners = [list(pair) for pair in zip(x, y, strict=True)]
        if name == "polygon":
            return geometry_parsing.polygon(corners, "all_points")
        return geometry_parsing.line(corners, "all_points")
    if name == "rect":
        left, top, width, height = geometry_parsing.numbers(shape, "x", "y", "width", "height")
        return geometry_parsing.box(left, top, left + width, top + height)
    if name == "circle":
        x, y, r = geometry_parsing.numbers(shape, "cx", "cy", "r")
        return geometry_parsing.ellipse(x, y, r, r)
    if name == "ellipse":
        x, y, across, down = geometry_parsing.numbers(shape, "cx", "cy", "rx", "ry")
        (turn,) = geometry_parsing.numbers(shape, "theta") if "theta" in shape else (0.0,)
        return geometry_parsing.ellipse(x, y, across, down, turn)
    if name == "point":
        return geometry_parsing.point(*geometry_parsing.numbers(shape, "cx", "cy"))
    raise InvalidGeometry("name", f"{name!r} is not a shape of VIA")


def _class_attribute(source: ImportSource, files: list[_File]) -> str | None:
    """Which attribute of the regions is their class; None where they have none."""
    names: dict[str, int] = {}
    without = 0
    for file in files:
        for region in _regions(file):
            attributes = region.get("region_attributes") if isinstance(region, dict) else None
            said = [n for n, v in attributes.items() if _values(v)] if isinstance(attributes, dict) else []
            without += not said
            for name in said:
                names[name] = names.get(name, 0) + 1
    chosen = source.options.class_attribute
    if chosen is not None:
        if chosen not in names:
            there = f"they have {', '.join(sorted(names))}" if names else "they have none at all"
            raise InputError(f"No region in {source.path} has an attribute {chosen!r}; {there}.")
    elif names:
        usual = [name for word in _USUAL for name in names if name.lower() == word]
        if len(names) > 1 and not usual:
            there = ", ".join(sorted(names))
            raise InputError(
                f"The regions in {source.path} have the attributes {there}; say which is the class with "
                "--class-attribute."
            )
        chosen = usual[0] if usual else next(iter(names))
        if len(names) > 1 and chosen != _CLASS:
            others = ", ".join(sorted(set(names) - {chosen}))
            source.notice(
                f'the attribute "{chosen}" is taken as the class (--class-attribute), {others} as tags.'
            )
    if without and (names or source.options.class_name is None):
        title = source.options.class_name or _DEFAULT_CLASS
        how = "" if source.options.class_name else "; --class NAME gives them another"
        source.notice(
            f'{without} regions have no attributes, and become objects of the class "{title}"{how}.'
        )
    return chosen


def _regions(file: _File) -> Iterator[object]:
    for _, entry in file.images:
        regions = entry.get("regions") if isinstance(entry, dict) else None
        yield from (
            regions.values() if isinstance(regions, dict) else regions if isinstance(regions, list) else ()
        )


def _values(given: object) -> list[str]:
    """An attribute's values: a text, or the names of the boxes that are checked."""
    if isinstance(given, dict):
        return [str(name) for name, checked in given.items() if checked]
    text = "" if given is None else str(given).strip()
    return [] if text in ("", "undefined") or given != given else [text]  # and NaN is not a value


def _as_tags(attributes: object, but: set[str | None]) -> list[Tag]:
    """Attributes as tags: a checked box is a tag, a text is the value of one."""
    tags: list[Tag] = []
    for name, given in attributes.items() if isinstance(attributes, dict) else ():
        if name in but:
            continue
        if isinstance(given, dict):
            tags += [{"name": value} for value in _values(given)]
        elif isinstance(given, float) and not math.isfinite(given):
            continue
        elif isinstance(given, int | float) and not isinstance(given, bool):
            tags.append({"name": name, "value": given})
        else:
            tags += [{"name": name, "value": value} for value in _values(given)]
    return tags


def _files(path: Path) -> Iterator[Path]:
    """The files that may be VIA's."""
    for ending in _ENDINGS:
        yield from files_of(path, ending)


def _looks_like(path: Path) -> bool:
    begin = read_ends(path, 1 << 16)
    if path.suffix.lower() == ".csv":
        return b"filename" in begin and b"region_shape_attributes" in begin
    if b'"_via_settings"' in begin or b'"_via_img_metadata"' in begin:
        return True
    return b'"filename"' in begin and b'"regions"' in begin


def _load(path: Path, texts: Utf8Files) -> _File:
    content = texts.read(path)
    if path.suffix.lower() == ".csv":
        return _File(path, _table(path, content))
    try:
        data = parse_json(content, str(path))
    except ParseError as error:
        raise from_parse_error(path, error, "export it again") from None
    classes: tuple[str, ...] = ()
    entries = data
    if isinstance(data, dict):
        if "_via_attributes" in data and _METADATA not in data and "project" in data:
            fix = "export it from version 2"
            raise DataProblem(path, "", "is a project of VIA 3, which is not read", fix)
        classes, entries = tuple(_options(data)), data.get(_METADATA, data)
    if isinstance(entries, list):
        images = [(f"[{number}]", entry) for number, entry in enumerate(entries)]
    elif isinstance(entries, dict):
        images = [(key, entry) for key, entry in entries.items() if not key.startswith("_via_")]
    else:
        raise DataProblem(path, _METADATA, "is neither an object nor a list", "save the project again")
    if not any(isinstance(entry, dict) and "filename" in entry for _, entry in images):
        raise DataProblem(path, "", "holds no images of the VGG Image Annotator", "name another file")
    return _File(path, images, classes)


def _table(path: Path, content: bytes) -> list[tuple[str, object]]:
    """The images of a CSV: a line for each region, or for an image without one."""
    text = content.decode("utf-8-sig", "replace")
    first = text.partition("\n")[0]
    csv.field_size_limit(_LONGEST_CELL)
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if ";" in first else ",")
    images: dict[tuple[str, str], dict[str, object]] = {}
    try:
        for line in lines:
            name, size = str(line.get("filename") or ""), str(line.get("file_size"))
            regions: list[object] = []
            entry = {"filename": name, "regions": regions, "file_attributes": _cell(line, "file_attributes")}
            regions = cast("list[object]", images.setdefault((name, size), entry)["regions"])
            shape = _cell(line, "region_shape_attributes")
            if shape != {} or str(line.get("region_count")).strip() not in ("0", "", "None"):
                regions.append(
                    {"shape_attributes": shape, "region_attributes": _cell(line, "region_attributes")}
                )
    except csv.Error as error:
        problem = f"is not valid CSV ({error})"
        raise DataProblem(path, f"line {lines.line_num}", problem, "export it again") from None
    if not lines.fieldnames or not {"filename", "region_shape_attributes"}.issubset(lines.fieldnames):
        problem = "has no columns filename and region_shape_attributes"
        raise DataProblem(path, "line 1", problem, "name a CSV of the VGG Image Annotator")
    return [(name, entry) for (name, _), entry in images.items()]


def _cell(line: dict[str, str], column: str) -> object:
    """What a cell's JSON says; its text where it is none."""
    text = line.get(column)
    if not text:
        return {}
    try:
        return parse_json(text, column)
    except ParseError:
        return text


def _options(data: object) -> list[str]:
    """The classes that a project written here may choose from, in their order."""
    for key in ("_via_attributes", "region", _CLASS, "options"):
        data = data.get(key) if isinstance(data, dict) else None
    return [str(name) for name in data] if isinstance(data, dict | list) else []


def _described(export: Export, image: ExportedImage) -> tuple[str, str, dict[str, object]]:
    """An image's dataset, its id and its entry."""
    item = image.item
    export.place(item, export.target / item.dataset / item.name)
    size = item.image_path.stat().st_size
    regions = [
        {
            "shape_attributes": _shape(thing.geometry),
            "region_attributes": {**_attributes(thing.tags, export), _CLASS: thing.title},
        }
        for thing in image.objects
    ]
    attributes = _attributes(image.tags, export)
    entry = {"filename": item.name, "size": size, "regions": regions, "file_attributes": attributes}
    return item.dataset, f"{item.name}{size}", entry


def _images(
    entries: Iterable[tuple[str, str, dict[str, object]]], ids: list[str]
) -> Iterator[tuple[str, object]]:
    """Each image's id, which is noted in ``ids``, and its entry."""
    for _, key, image in entries:
        ids.append(key)
        yield key, image


def _rest(export: Export) -> dict[str, object]:
    options = {one.title: "" for one in export.classes}
    chosen = {"type": "dropdown", "description": "", "options": options, "default_options": {}}
    checked = {one.name: "" for one in export.project.tags if one.value_type == "none"}
    boxes = {"type": "checkbox", "description": "", "options": checked, "default_options": {}}
    texts = {
        one.name: {"type": "text", "description": "", "default_value": ""}
        for one in export.project.tags
        if one.value_type != "none"
    }
    return {
        "_via_attributes": {
            "region": {_CLASS: chosen, _CHECKED: boxes, **texts},
            "file": {_CHECKED: boxes, **texts},
        },
        "_via_settings": {
            "ui": {},
            "core": {"buffer_size": 18, "filepath": {}, "default_filepath": ""},
            "project": {"name": export.project.name},
        },
        "_via_data_format_version": "2.0.10",
    }


def _attributes(tags: Iterable[Tag], export: Export) -> dict[str, object]:
    attributes: dict[str, object] = {}
    checked: dict[str, bool] = {}
    for tag in tags:
        name, value = str(tag["name"]), tag.get("value")
        if value is None:
            checked[name] = True
            attributes[_CHECKED] = checked
        elif name in (_CLASS, _CHECKED):
            export.lose(f'tags called "{name}" with a value')
        else:
            attributes[name] = value if isinstance(value, int | float) else str(value)
    return attributes


def _shape(geometry: AnyGeometry) -> dict[str, object]:
    if isinstance(geometry, Rectangle):
        return {
            "name": "rect",
            "x": geometry.left,
            "y": geometry.top,
            "width": geometry.right - geometry.left + 1,
            "height": geometry.bottom - geometry.top + 1,
        }
    if isinstance(geometry, Point):
        return {"name": "point", "cx": geometry.x, "cy": geometry.y}
    assert not isinstance(geometry, Bitmap)
    corners = geometry.exterior if isinstance(geometry, Polygon) else geometry.points
    name = "polygon" if isinstance(geometry, Polygon) else "polyline"
    return {"name": name, "all_points_x": corners[:, 0].tolist(), "all_points_y": corners[:, 1].tolist()}
