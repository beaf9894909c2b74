"""VGG Image Annotator, versions 1 and 2 (https://www.robots.ox.ac.uk/~vgg/software/via): a JSON per folder.

Version 1 has an image's regions in a dict, version 2 in a list; a project that version 2 saved has the
images in ``_via_img_metadata``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravenml.data.annotation import parse_object
from ravenml.data.editable_annotation import Label, Tag
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import TAGS, Format, ImportSource, Record, make_label
from ravenml.data.formats.image_finder import Images, dataset_name, files_below, split_tags
from ravenml.data.formats.via_writing import CLASS, write_via
from ravenml.data.geometry import AnyGeometry
from ravenml.data.images import read_bytes
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem
from ravenml.data.shapes import InvalidGeometry
from ravenml.errors import InputError

if TYPE_CHECKING:
    from ravenml.data.formats.exporting import Export

DEFAULT_CLASS = "object"
_METADATA = "_via_img_metadata"
_USUAL = ("class", "label", "name", "category", "type")


@dataclass(frozen=True)
class _File:
    path: Path
    images: dict[str, Any]
    classes: tuple[str, ...] = ()


class Via(Format):
    """Reads and writes VIA's JSON; each folder with such a file is a dataset."""

    title = "VGG Image Annotator 1 and 2 (JSON)"
    holds = frozenset({"polygon", "rectangle", "line", "point", "unused classes"}) | TAGS

    def recognises(self, path: Path) -> bool:
        return any(_looks_like(file) for file in _candidates(path))

    def read(self, source: ImportSource) -> Iterator[Record | DataProblem]:
        files: list[_File] = []
        broken: list[DataProblem] = []
        for path in _candidates(source.path):
            if path == source.path or _looks_like(path):
                try:
                    files.append(_load(path))
                except DataProblem as error:
                    if path == source.path:
                        raise
                    broken.append(error)
        if not files:
            raise InputError(f"{source.path} holds no JSON of the VGG Image Annotator.")
        source.total = len(broken) + sum(len(file.images) for file in files)
        source.classes = [ObjClass(title, "any", "") for file in files for title in file.classes]
        yield from broken  # only now: progress is shown from the first record on
        reading = _Reading(source, _class_attribute(source, files))
        for file in files:
            yield from reading.records(file)

    def write(self, export: Export) -> None:
        write_via(export)


class _Reading:
    def __init__(self, source: ImportSource, attribute: str | None) -> None:
        self.root = source.options.images or source.folder
        self.source, self.attribute = source, attribute
        self.default = source.options.class_name or DEFAULT_CLASS

    def records(self, file: _File) -> Iterator[Record | DataProblem]:
        folder = file.path.parent
        below = folder.relative_to(self.source.folder) if folder != self.source.folder else Path(folder.name)
        dataset = dataset_name(below.as_posix())
        own = self.source.options.images
        near = own / below if own is not None and (own / below).is_dir() else own or folder
        images = Images(self.root, near)
        for key, entry in file.images.items():
            try:
                yield self._record(file.path, key, entry, images, dataset)
            except DataProblem as error:
                yield error

    def _record(self, path: Path, key: str, entry: Any, images: Images, dataset: str) -> Record:
        if not isinstance(entry, dict):
            raise DataProblem(
                path, key, "is not an object with a filename and regions", "correct or remove it"
            )
        name = entry.get("filename")
        image = images.find(name, path, f"{key}.filename")
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

    def _label(self, path: Path, where: str, region: Any) -> Label | DataProblem:
        shape = region.get("shape_attributes") if isinstance(region, dict) else None
        if not isinstance(shape, dict):
            return DataProblem(
                path, f"{where}.shape_attributes", "is missing", "draw the region again, or remove it"
            )
        attributes = region.get("region_attributes")
        attributes = attributes if isinstance(attributes, dict) else {}
        title = self.default
        if self.attribute is not None:
            values = _values(attributes.get(self.attribute))
            if len(values) > 1:
                field = f"{where}.region_attributes.{self.attribute}"
                return DataProblem(path, field, f"says {' and '.join(values)} at once", "choose one of them")
            title = values[0] if values else self.default
        tags = _as_tags(attributes, {self.attribute})
        return make_label(path, f"{where}.shape_attributes", title, lambda: _geometry(shape), tags)


def _geometry(shape: dict[str, Any]) -> AnyGeometry:
    name = shape.get("name")
    if name in ("polygon", "polyline"):
        x, y = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
            raise InvalidGeometry("all_points_x", "and all_points_y are no lists of one length")
        corners = [list(pair) for pair in zip(x, y, strict=True)]
        return (
            geometry_parsing.polygon(corners, "all_points")
            if name == "polygon"
            else geometry_parsing.line(corners, "all_points")
        )
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
        if len(names) > 1 and chosen != CLASS:
            others = ", ".join(sorted(set(names) - {chosen}))
            source.notice(
                f'the attribute "{chosen}" is taken as the class (--class-attribute), {others} as tags.'
            )
    if without and (names or source.options.class_name is None):
        title = source.options.class_name or DEFAULT_CLASS
        how = "" if source.options.class_name else "; --class NAME gives them another"
        source.notice(
            f'{without} regions have no attributes, and become objects of the class "{title}"{how}.'
        )
    return chosen


def _regions(file: _File) -> Iterator[Any]:
    for entry in file.images.values():
        regions = entry.get("regions") if isinstance(entry, dict) else None
        yield from (
            regions.values() if isinstance(regions, dict) else regions if isinstance(regions, list) else ()
        )


def _values(given: Any) -> list[str]:
    """An attribute's values: a text, or the names of the boxes that are checked."""
    if isinstance(given, dict):
        return [str(name) for name, checked in given.items() if checked]
    return [] if given is None or str(given).strip() in ("", "undefined") else [str(given).strip()]


def _as_tags(attributes: Any, but: set[str | None]) -> list[Tag]:
    """Attributes as tags: a checked box is a tag, a text is the value of one."""
    tags: list[Tag] = []
    for name, given in attributes.items() if isinstance(attributes, dict) else ():
        if name in but:
            continue
        if isinstance(given, dict):
            tags += [{"name": value} for value in _values(given)]
        elif isinstance(given, int | float) and not isinstance(given, bool):
            tags.append({"name": name, "value": given})
        else:
            tags += [{"name": name, "value": value} for value in _values(given)]
    return tags


def _candidates(path: Path) -> Iterator[Path]:
    if path.is_dir():
        return files_below(path, frozenset({".json"}))
    return iter([path] if path.suffix.lower() == ".json" else [])


def _looks_like(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            begin = file.read(1 << 16)
    except OSError:
        return False
    return any(word in begin for word in (b'"_via_settings"', b'"_via_img_metadata"')) or (
        b'"filename"' in begin and b'"regions"' in begin
    )


def _load(path: Path) -> _File:
    data = parse_object(read_bytes(path), path)
    if "_via_attributes" in data and _METADATA not in data and "project" in data:
        raise DataProblem(path, "", "is a project of VIA 3, which is not read", "export it from version 2")
    images = data.get(_METADATA, data)
    if not isinstance(images, dict):
        raise DataProblem(path, _METADATA, "is not an object", "save the project again")
    images = {key: entry for key, entry in images.items() if not key.startswith("_via_")}
    if not any(isinstance(entry, dict) and "filename" in entry for entry in images.values()):
        raise DataProblem(path, "", "holds no images of the VGG Image Annotator", "name another file")
    return _File(path, images, tuple(_options(data)))


def _options(data: dict[str, Any]) -> list[str]:
    """The classes that a project written here may choose from, in their order."""
    try:
        return [str(name) for name in data["_via_attributes"]["region"][CLASS]["options"]]
    except (KeyError, TypeError):
        return []
