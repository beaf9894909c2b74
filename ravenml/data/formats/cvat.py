"""CVAT for images 1.1 (https://docs.cvat.ai/docs/manual/advanced/formats/format-cvat): an XML for all images.

Coordinates are continuous: the pixel in the column 2 reaches from 2 to 3.  A mask has its place, its size,
and the lengths of runs along its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from ravenml.data.bitmap import trim
from ravenml.data.editable_annotation import Label, Tag
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import CLASSES, SPLITS, TAGS, Format, ImportSource, Record, make_label
from ravenml.data.formats.cvat_writing import write_cvat
from ravenml.data.formats.image_finder import Images, dataset_name, files_below, folder_of, split_of
from ravenml.data.formats.rle import flat_of
from ravenml.data.formats.xml import elements_of
from ravenml.data.geometry import AnyGeometry, Bitmap, Point
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem
from ravenml.data.shapes import InvalidGeometry
from ravenml.errors import InputError

if TYPE_CHECKING:
    from ravenml.data.formats.exporting import Export

_IMAGE = b"<image "
_LARGEST = 1 << 28  # pixels of a mask
_SHAPES = ("box", "polygon", "polyline", "points", "mask", "ellipse", "cuboid", "skeleton")
Kinds = Mapping[str, str]  # an attribute's name to `checkbox`, `number`, `text` …


class Cvat(Format):
    """Reads and writes annotations.xml."""

    title = "CVAT for images 1.1 (XML)"
    holds = frozenset({"polygon", "rectangle", "bitmap", "line", "point"}) | TAGS | SPLITS | CLASSES

    def recognises(self, path: Path) -> bool:
        first = next(_files(path), None)
        return first is not None and _looks_like(first)

    def read(self, source: ImportSource) -> Iterator[Record | DataProblem]:
        files = [file for file in _files(source.path) if file == source.path or _looks_like(file)]
        if not files:
            raise InputError(f"{source.path} holds no XML of CVAT for images.")
        source.read_through(files)
        source.total = sum(_count(file) for file in files)
        for path in files:
            yield from _records(source, path)

    def write(self, export: Export) -> None:
        write_cvat(export)


def _records(source: ImportSource, path: Path) -> Iterator[Record | DataProblem]:
    kinds: dict[str, str] = {}
    own = source.options.images or next(
        (path.parent / name for name in ("images", "data") if (path.parent / name).is_dir()), path.parent
    )
    images = Images(own)
    default = dataset_name(path.parent.name)
    for element in elements_of(path, "label", "image", "track"):
        if element.tag == "label":
            _declare(source, element, kinds)
        elif element.tag == "track":
            where = f"track {element.get('id')}"
            fix = "export the task as CVAT for images"
            yield DataProblem(path, where, "is a track of a video, which is not read", fix)
        else:
            try:
                yield _record(path, element, images, kinds, default)
            except DataProblem as error:
                yield error


def _declare(source: ImportSource, element: Element, kinds: dict[str, str]) -> None:
    title = element.findtext("name")
    if not title or element.findtext("type") == "tag":
        title = None
    if title and title not in {one.title for one in source.classes}:
        color = element.findtext("color") or ""
        sound = len(color) == 7 and color[0] == "#" and all(c in "0123456789abcdefABCDEF" for c in color[1:])
        source.classes.append(ObjClass(title, "any", color.upper() if sound else ""))
    for attribute in element.iter("attribute"):
        kinds[attribute.findtext("name") or ""] = attribute.findtext("input_type") or "text"


def _record(path: Path, element: Element, images: Images, kinds: Kinds, default: str) -> Record:
    name = element.get("name")
    where = f"image {name}"
    image = images.find(name, path, where)
    tags: list[Tag] = []
    subset = split_of(element.get("subset") or "")
    if subset:
        tags.append({"name": subset})
    for tag in element.findall("tag"):
        value = next((a.text for a in tag.findall("attribute") if a.get("name") == "value"), None)
        tags.append({"name": tag.get("label") or "tag", **({"value": value} if value else {})})
    try:
        height, width = int(element.get("height") or 0), int(element.get("width") or 0)
    except ValueError:
        height = width = 0
    shapes = [child for child in element if child.tag in _SHAPES]
    shapes.sort(key=_order)
    labels = [
        one for number, shape in enumerate(shapes) for one in _labels(path, where, number, shape, kinds)
    ]
    size = (height, width) if height > 0 and width > 0 else None
    return Record(image, folder_of(image, images.root, default), labels, tags, size, path, where)


def _labels(
    path: Path, where: str, number: int, shape: Element, kinds: Kinds
) -> Iterator[Label | DataProblem]:
    where = f"{where}, {shape.tag} {number + 1}"
    title = shape.get("label")
    if not title:
        yield DataProblem(path, f"{where}, label", "is missing", "correct or remove it")
        return
    tags: list[Tag] = [{"name": "occluded"}] if shape.get("occluded") == "1" else []
    for attribute in shape.findall("attribute"):
        tags += _tag(attribute.get("name") or "", attribute.text or "", kinds)
    if shape.tag == "points":
        given = (shape.get("points") or "").split(";")
        for one in given:
            yield make_label(path, where, title, partial(_point, one), tags)
    else:
        yield make_label(path, where, title, lambda: _geometry(shape), tags)


def _tag(name: str, text: str, kinds: Kinds) -> list[Tag]:
    """An attribute as a tag: a box that is checked is one without a value."""
    kind = kinds.get(name, "text")
    if kind == "checkbox":
        return [{"name": name}] if text.strip().lower() == "true" else []
    if kind == "number":
        try:
            return [{"name": name, "value": float(text) if "." in text else int(text)}]
        except ValueError:
            pass
    return [{"name": name, "value": text}] if text else []


def _geometry(shape: Element) -> AnyGeometry:
    if shape.tag == "box":
        left, top, right, bottom = geometry_parsing.numbers(shape.attrib, "xtl", "ytl", "xbr", "ybr")
        (turn,) = geometry_parsing.numbers(shape.attrib, "rotation") if shape.get("rotation") else (0.0,)
        return (
            geometry_parsing.turned_box(left, top, right, bottom, turn)
            if turn
            else geometry_parsing.box(left, top, right, bottom)
        )
    if shape.tag == "polygon":
        return geometry_parsing.polygon(_pairs(shape.get("points")))
    if shape.tag == "polyline":
        return geometry_parsing.line(_pairs(shape.get("points")))
    if shape.tag == "ellipse":
        x, y, across, down = geometry_parsing.numbers(shape.attrib, "cx", "cy", "rx", "ry")
        (turn,) = geometry_parsing.numbers(shape.attrib, "rotation") if shape.get("rotation") else (0.0,)
        return geometry_parsing.ellipse(x, y, across, down, turn * 3.141592653589793 / 180)
    if shape.tag == "mask":
        return _mask(shape)
    raise InvalidGeometry(
        "", f"is a {shape.tag}, which is not read", "draw it as another shape, or remove it"
    )


def _mask(shape: Element) -> Bitmap:
    left, top, width, height = (
        int(number) for number in geometry_parsing.numbers(shape.attrib, "left", "top", "width", "height")
    )
    if width <= 0 or height <= 0 or width * height > _LARGEST:
        raise InvalidGeometry("width", f"and height are {width} and {height}")
    try:
        runs = [int(length) for length in (shape.get("rle") or "").split(",")]
        mask = flat_of(runs, width * height).reshape(height, width)
    except ValueError as error:
        raise InvalidGeometry("rle", str(error)) from None
    if not mask.any():
        raise InvalidGeometry("rle", "the mask is empty")
    (x, y), part = trim(mask)
    return Bitmap((left + x, top + y), part)


def _point(text: str) -> Point:
    x, y = _pairs(text)[0]
    return geometry_parsing.point(x, y)


def _pairs(text: str | None) -> list[list[float]]:
    try:
        pairs = [
            [float(part) for part in pair.split(",")] for pair in (text or "").split(";") if pair.strip()
        ]
    except ValueError:
        pairs = []
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise InvalidGeometry("points", "is not a list x,y;x,y;…")
    return pairs


def _order(shape: Element) -> int:
    try:
        return int(shape.get("z_order") or 0)
    except ValueError:
        return 0


def _count(path: Path) -> int:
    """How many images a file has, by its text alone, which may be one line; 0 where it cannot be read."""
    count, rest = 0, b""
    with suppress(OSError), path.open("rb") as file:
        while part := file.read(1 << 20):
            text = rest + part
            count += text.count(_IMAGE)
            rest = text[1 - len(_IMAGE) :]
    return count


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        return files_below(path, frozenset({".xml"}))
    return iter([path] if path.suffix.lower() == ".xml" else [])


def _looks_like(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"<annotations" in file.read(4096)
    except OSError:
        return False
