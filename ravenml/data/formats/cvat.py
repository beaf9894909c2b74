"""CVAT for images 1.1 (https://docs.cvat.ai/docs/manual/advanced/formats/format-cvat): an XML for all images.

Coordinates are continuous: the pixel in the column 2 reaches from 2 to 3.  A mask has its place, its size,
and the lengths of runs along its rows.  Exports are `annotations.xml` and the images in `images/<dataset>/`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from ravenml.common.io import atomic_open
from ravenml.common.reading import is_folder, open_file
from ravenml.data.bitmap import trim
from ravenml.data.editable_annotation import Label, Tag
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import (
    CLASSES,
    SPLITS,
    TAGS,
    Format,
    ImportSource,
    LeftOut,
    Record,
    left_out_image,
    make_label,
)
from ravenml.data.formats.export import Export, ExportedImage, ExportedObject
from ravenml.data.formats.image_finder import (
    IMAGE_FOLDERS,
    Images,
    dataset_name,
    files_of,
    folder_of,
    folders_in,
    split_of,
    split_tags,
)
from ravenml.data.formats.rle import flat_of, runs_of
from ravenml.data.formats.xml import DECLARE, ILLEGIBLE, elements_of, is_legible, outermost, tag
from ravenml.data.geometry import AnyGeometry, Bitmap, Point, Polygon, Rectangle
from ravenml.data.geometry_json import InvalidGeometry
from ravenml.data.meta import ObjClass
from ravenml.data.problems import DataProblem
from ravenml.errors import InputError

_IMAGE = b"<image "
_ROOT = "annotations"
_LOOKED_AT = 20  # files, to see what they are
_LARGEST = 1 << 28  # pixels of a mask
_SHAPES = ("box", "polygon", "polyline", "points", "mask", "ellipse", "cuboid", "skeleton")
_SUBSETS = {"train": "Train", "val": "Validation", "test": "Test"}
_OCCLUDED = "occluded"
_INPUT_TYPES = {"none": "checkbox", "any_number": "number"}  # of attributes, by the type of a tag's values
Kinds = Mapping[str, str]  # an attribute's name to `checkbox`, `number`, `text` …


class Cvat(Format):
    """Reads and writes annotations.xml."""

    title = "CVAT for images 1.1 (XML)"
    sign = "an XML of CVAT for images"
    holds = frozenset({"polygon", "rectangle", "bitmap", "line", "point"}) | TAGS | SPLITS | CLASSES

    def recognises(self, path: Path) -> bool:
        return any(outermost(file) == _ROOT for file in islice(files_of(path, ".xml"), _LOOKED_AT))

    def read(self, source: ImportSource) -> Iterator[Record | LeftOut | DataProblem]:
        files = [
            file
            for file in files_of(source.path, ".xml")
            if file == source.path or outermost(file) in (_ROOT, "")  # "" is told when it is read
        ]
        if not files:
            raise InputError(f"{source.path} holds no XML of CVAT for images.")
        source.read_through(files)
        source.total = sum(_count(file) for file in files)
        for path in files:
            yield from _records(source, path)

    def write(self, export: Export) -> None:
        with atomic_open(export.target / "annotations.xml") as file:
            file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
            file.write(_meta(export).encode())
            for number, element in enumerate(export.map(lambda image: _image(export, image))):
                file.write(f"  {element.replace('{id}', str(number), 1)}\n".encode())
            file.write(b"</annotations>\n")


def _records(source: ImportSource, path: Path) -> Iterator[Record | LeftOut | DataProblem]:
    kinds: dict[str, str] = {}
    images = _images_of(source, path)
    default = dataset_name(path.parent.name)
    images_seen = seen = 0
    try:
        for element in elements_of(path, "label", "image", "track"):
            images_seen += element.tag == "image"
            seen += sum(child.tag in _SHAPES for child in element)
            if element.tag == "label":
                _declare(source, element, kinds)
            elif element.tag == "track":
                yield _track(path, element)
            else:
                try:
                    yield _record(path, element, images, kinds, default)
                except DataProblem as error:
                    shapes = sum(child.tag != "tag" for child in element)
                    yield LeftOut(error, shapes, images=1)
    except DataProblem as error:  # nothing behind this place is read
        lost = sum(_count(path, f"<{shape} ".encode()) for shape in _SHAPES) - seen
        yield LeftOut(error, max(lost, 0), images=max(_count(path) - images_seen, int(lost <= 0)))


def _images_of(source: ImportSource, path: Path) -> Images:
    """Where the images of a file are: in a folder beside it, or beside the folder that it is in."""
    if source.options.images is not None:
        return Images(source.options.images, notice=source.notice)
    for top in (path.parent, path.parent.parent):
        if top.is_relative_to(source.folder):
            named = {one.name.lower(): one for one in folders_in(top)}
            if found := next((named[name] for name in (*IMAGE_FOLDERS, "data") if name in named), None):
                return Images(found, notice=source.notice)
    return Images(path.parent, notice=source.notice)


def _track(path: Path, element: Element) -> LeftOut:
    problem = DataProblem(
        path,
        f"track {element.get('id')}",
        "is a track of a video, which is not read",
        "export the task as CVAT for images",
    )
    shown = sum(shape.get("outside") != "1" for shape in element if shape.tag in _SHAPES)
    return LeftOut(problem, max(shown, 1), element.get("label"))


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


def _record(path: Path, element: Element, images: Images, kinds: Kinds, default: str) -> Record | LeftOut:
    name = element.get("name")
    where = f"image {name}"
    if name is not None and not is_legible(name):
        raise DataProblem(path, where, ILLEGIBLE, DECLARE)
    subset = element.get("subset") or ""
    # A project's export has the images of a subset in a folder that is called after it.
    near = images.root / subset
    shapes = sorted((child for child in element if child.tag != "tag"), key=_order)
    labels = [
        one for number, shape in enumerate(shapes) for one in _labels(path, where, number, shape, kinds)
    ]
    try:
        image = images.find(name, path, where, near if is_folder(near) else None)
    except DataProblem as error:
        return left_out_image(error, labels)
    dataset = folder_of(image, images.root, default)
    split = split_of(subset)
    tags: list[Tag] = [{"name": split}] if split else list(split_tags(dataset))
    for one in element.findall("tag"):
        value = next((a.text for a in one.findall("attribute") if a.get("name") == "value"), None)
        tags.append({"name": one.get("label") or "tag", **({"value": value} if value else {})})
    height, width = _whole(element, "height"), _whole(element, "width")
    size = (height, width) if height > 0 and width > 0 else None
    return Record(image, dataset, labels, tags, size, path, where)


def _labels(
    path: Path, where: str, number: int, shape: Element, kinds: Kinds
) -> Iterator[Label | LeftOut | DataProblem]:
    where = f"{where}, {shape.tag} {number + 1}"
    title = shape.get("label")
    if not title:
        yield DataProblem(path, f"{where}, label", "is missing", "correct or remove it")
        return
    if not is_legible(title):
        yield LeftOut(DataProblem(path, f"{where}, label", ILLEGIBLE, DECLARE), title=title)
        return
    tags: list[Tag] = [{"name": _OCCLUDED}] if shape.get("occluded") == "1" else []
    for attribute in shape.findall("attribute"):
        tags += _as_tag(attribute.get("name") or "", attribute.text or "", kinds)
    if shape.tag == "points":
        given = (shape.get("points") or "").split(";")
        for one in given:
            yield make_label(path, where, title, partial(_point, one), tags)
    else:
        yield make_label(path, where, title, lambda: _geometry(shape), tags)


def _as_tag(name: str, text: str, kinds: Kinds) -> list[Tag]:
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
    (turn,) = geometry_parsing.numbers(shape.attrib, "rotation") if shape.get("rotation") else (0.0,)
    if shape.tag == "box":
        left, top, right, bottom = geometry_parsing.numbers(shape.attrib, "xtl", "ytl", "xbr", "ybr")
        if turn:
            return geometry_parsing.turned_box(left, top, right, bottom, turn)
        return geometry_parsing.box(left, top, right, bottom)
    if shape.tag == "polygon":
        return geometry_parsing.polygon(_pairs(shape.get("points")))
    if shape.tag == "polyline":
        return geometry_parsing.line(_pairs(shape.get("points")))
    if shape.tag == "ellipse":
        x, y, across, down = geometry_parsing.numbers(shape.attrib, "cx", "cy", "rx", "ry")
        return geometry_parsing.ellipse(x, y, across, down, math.radians(turn))
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
    return _whole(shape, "z_order")


def _whole(element: Element, name: str) -> int:
    """A whole number that an attribute says, as a float too; else 0."""
    try:
        return int(float(element.get(name) or 0))
    except (ValueError, OverflowError):
        return 0


def _count(path: Path, beginning: bytes = _IMAGE) -> int:
    """How many elements a file has, by its text alone, which may be one line; 0 where it cannot be read."""
    count, rest = 0, b""
    with suppress(OSError), open_file(path) as file:
        while part := file.read(1 << 20):
            text = rest + part
            count += text.count(beginning)
            rest = text[1 - len(beginning) :]
    return count


def _image(export: Export, image: ExportedImage) -> str:
    """An image's element, whose id is still to be filled in; objects keep their order by ``z_order``."""
    item, (height, width) = image.item, image.size
    export.place(item, export.target / "images" / item.dataset / item.name)
    subset = _SUBSETS.get(image.split or "")
    said = {"name": f"{item.dataset}/{item.name}", **({"subset": subset} if subset else {})}
    own = [_image_tag(t) for t in image.tags if t["name"] != image.split]
    shapes = [_shape(thing, order) for order, thing in enumerate(image.objects)]
    content = "".join(f"\n    {child}" for child in (*own, *shapes))
    return tag("image", {"id": "{id}", **said, "width": width, "height": height}, f"{content}\n  ")


def _meta(export: Export) -> str:
    kinds = {one.name: _INPUT_TYPES.get(one.value_type, "text") for one in export.project.tags}
    attributes = "".join(_attribute(name, kind) for name, kind in kinds.items())
    labels = "".join(
        f"<label><name>{escape(one.title)}</name><color>{one.color.lower()}</color><type>any</type>"
        f"<attributes>{attributes}</attributes></label>"
        for one in export.classes
    )
    labels += "".join(
        f"<label><name>{escape(one.name)}</name><color>{one.color.lower()}</color><type>tag</type>"
        f"<attributes>{_attribute('value', 'text')}</attributes></label>"
        for one in export.project.tags
    )
    name = escape(export.project.name)
    return f"  <meta><task><name>{name}</name><labels>{labels}</labels></task></meta>\n"


def _attribute(name: str, kind: str) -> str:
    values = "false" if kind == "checkbox" else ""
    return (
        f"<attribute><name>{escape(name)}</name><mutable>False</mutable><input_type>{kind}</input_type>"
        f"<default_value>{values}</default_value><values>{values}</values></attribute>"
    )


def _image_tag(given: Tag) -> str:
    value = given.get("value")
    content = "" if value is None else tag("attribute", {"name": "value"}, escape(str(value)))
    return tag("tag", {"label": given["name"], "source": "manual"}, content)


def _shape(thing: ExportedObject, order: int) -> str:
    geometry = thing.geometry
    said: dict[str, object] = {
        "label": thing.title,
        "source": "manual",
        "occluded": int(any(t["name"] == _OCCLUDED for t in thing.tags)),
    }
    if isinstance(geometry, Rectangle):
        kind = "box"
        said |= dict(zip(("xtl", "ytl", "xbr", "ybr"), geometry_parsing.edges(geometry), strict=True))
    elif isinstance(geometry, Bitmap):
        kind = "mask"
        (left, top), (height, width) = geometry.origin, geometry.mask.shape
        runs = ", ".join(map(str, runs_of(geometry.mask.reshape(-1))))
        said |= {"rle": runs, "left": left, "top": top, "width": width, "height": height}
    elif isinstance(geometry, Point):
        kind = "points"
        said["points"] = f"{geometry.x + 0.5},{geometry.y + 0.5}"
    else:
        kind = "polygon" if isinstance(geometry, Polygon) else "polyline"
        corners = geometry.exterior if isinstance(geometry, Polygon) else geometry.points
        said["points"] = ";".join(f"{x},{y}" for x, y in (corners + 0.5).tolist())
    return tag(kind, {**said, "z_order": order}, "".join(_attributes(thing.tags)))


def _attributes(tags: tuple[Tag, ...]) -> Iterator[str]:
    for given in tags:
        if given["name"] != _OCCLUDED:
            value = given.get("value")
            said = "true" if value is None else str(value)
            yield tag("attribute", {"name": given["name"]}, escape(said))
