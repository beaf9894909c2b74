"""LabelMe (https://github.com/wkentaro/labelme): a JSON beside each image.

Coordinates are continuous: the pixel in the column 2 reaches from 2 to 3.  A shape of the kind ``mask`` has
its corner pixels, both inside, and a PNG.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import orjson

from ravenml.common.reading import is_file
from ravenml.data.annotation import parse_object
from ravenml.data.bitmap import decode_png, trim
from ravenml.data.editable_annotation import Label, Tag
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import Format, ImportSource, LeftOut, Record, make_label, title_of
from ravenml.data.formats.encodings import Utf8Files
from ravenml.data.formats.export import Export, ExportedImage, ExportedObject
from ravenml.data.formats.image_finder import (
    Images,
    dataset_name,
    files_of,
    folder_of,
    found_instead,
    read_ends,
    split_tags,
    tell_left_alone,
)
from ravenml.data.geometry import AnyGeometry, Bitmap, Line, Point, Polygon, Rectangle
from ravenml.data.geometry_json import InvalidGeometry
from ravenml.data.images import EXTENSIONS, encode_png
from ravenml.data.problems import DataProblem
from ravenml.errors import InputError

_GROUP = "group_id"


class LabelMe(Format):
    """Reads and writes LabelMe's JSON."""

    title = "LabelMe (JSON per image)"
    sign = "a JSON with shapes for each image"
    holds = frozenset({"polygon", "rectangle", "bitmap", "line", "point", "image tags", "object tags"})

    def recognises(self, path: Path) -> bool:
        first = next(files_of(path, ".json"), None)
        return first is not None and _looks_like(first)

    def read(self, source: ImportSource) -> Iterator[Record | LeftOut | DataProblem]:
        files = [file for file in files_of(source.path, ".json") if file == source.path or _looks_like(file)]
        if not files:
            found = found_instead(source.path, ".json")
            raise InputError(f"{source.path} holds no JSON of LabelMe, which has shapes; {found}.")
        tell_left_alone(source, ".json", files, "LabelMe's")
        source.total = len(files)
        images = Images(source.options.images or source.folder, notice=source.notice)
        texts = Utf8Files()
        for path in files:
            try:
                yield _record(source, images, texts, path)
            except DataProblem as error:
                yield error
        texts.tell(source.notice)

    def write(self, export: Export) -> None:
        def one(image: ExportedImage) -> None:
            item = image.item
            export.place(item, export.target / item.dataset / item.name)
            content = orjson.dumps(_json(image), option=orjson.OPT_INDENT_2)
            export.write(export.target / item.dataset / f"{export.stem(item)}.json", content)

        export.each(one)


def _record(source: ImportSource, images: Images, texts: Utf8Files, path: Path) -> Record:
    data = parse_object(texts.read(path), path)
    shapes = data.get("shapes")
    if not isinstance(shapes, list):
        raise DataProblem(path, "shapes", "is missing or no list", "save the file again")
    labels = [_label(path, f"shapes[{number}]", shape) for number, shape in enumerate(shapes)]
    height, width = (geometry_parsing.whole_side(data.get(name)) for name in ("imageHeight", "imageWidth"))
    size = (height, width) if height and width else None
    dataset = folder_of(path, source.folder, dataset_name(source.folder.name))
    tags = [*split_tags(dataset), *_flags(data.get("flags"))]
    near = path.parent if source.options.images is None else images.root
    try:
        image = _image(source, images, path, data.get("imagePath"), near)
        return Record(image, dataset, labels, tags, size, path)
    except DataProblem:
        picture = _embedded(data.get("imageData"))
        if picture is None:
            raise
        content, ending = picture
        source.remark("an image was written from imageData, as its file is not there")
        named = PurePosixPath(str(data.get("imagePath") or "").replace("\\", "/")).stem or path.stem
        # Where the file would be: another one for each JSON, whatever they say.
        image = path.with_name(f"{path.name}{ending}")
        return Record(image, dataset, labels, tags, size, path, name=f"{named}{ending}", content=content)


def _image(source: ImportSource, images: Images, path: Path, name: object, near: Path) -> Path:
    """The image that a file names or, where that was left as it was when both were renamed, the one that has
    the file's own name.
    """
    try:
        named = images.find(name, path, "imagePath", near)
    except DataProblem:
        own = _of_the_same_name(near, path.stem)
        if own is None:
            raise
    else:
        at_its_path = named == Path(os.path.normpath(near / str(name).replace("\\", "/")))
        others = (near / f"{named.stem}.json", named.with_suffix(".json"))
        if named.stem == path.stem or (at_its_path and not any(map(is_file, others))):
            return named
        own = _of_the_same_name(near, path.stem)  # the image that is named is elsewhere, or another file's
        if own is None:
            return named
    source.remark("a file names another image than the one that has its name, and the latter was taken")
    return own


def _of_the_same_name(folder: Path, stem: str) -> Path | None:
    endings = (ending for one in sorted(EXTENSIONS) for ending in (one, one.upper()))
    found = [folder / f"{stem}{ending}" for ending in endings if is_file(folder / f"{stem}{ending}")]
    return found[0] if len(found) == 1 else None


def _embedded(given: object) -> tuple[bytes, str] | None:
    """The picture that a file holds, and the ending of its kind; None where it holds none that is read."""
    if not isinstance(given, str):
        return None
    try:
        content = base64.b64decode(given.partition("base64,")[2] or given)
    except ValueError:
        return None
    kinds = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"BM": ".bmp", b"II*\0": ".tif", b"MM\0*": ".tif"}
    return next(((content, ending) for mark, ending in kinds.items() if content.startswith(mark)), None)


def _label(path: Path, where: str, shape: object) -> Label | LeftOut:
    title = title_of(shape.get("label")) if isinstance(shape, dict) else ""
    if not isinstance(shape, dict) or not title:
        return LeftOut(DataProblem(path, f"{where}.label", "is missing", "correct or remove it"))
    tags = _flags(shape.get("flags"))
    group = shape.get(_GROUP)
    if isinstance(group, float) and group.is_integer():
        group = int(group)
    if isinstance(group, int) and not isinstance(group, bool):
        tags.append({"name": _GROUP, "value": group})
    return make_label(path, where, title, lambda: _geometry(shape), tags)


def _geometry(shape: dict[str, object]) -> AnyGeometry:
    kind, points = shape.get("shape_type") or "polygon", shape.get("points")
    if not isinstance(points, list):
        raise InvalidGeometry("points", "is not a list")
    if points and not any(isinstance(point, list) for point in points) and len(points) % 2 == 0:
        points = [list(pair) for pair in zip(points[::2], points[1::2], strict=True)]  # x, y, x, y, …
    if kind in ("polygon", "rotation"):
        return geometry_parsing.polygon(points)
    if kind in ("line", "linestrip"):
        return geometry_parsing.line(points)
    needed = {"rectangle": 2, "circle": 2, "mask": 2, "point": 1}.get(str(kind))
    if needed is None:
        raise InvalidGeometry("shape_type", f"{kind!r} is not a shape that is read")
    if len(points) < needed:
        raise InvalidGeometry("points", f"has {len(points)} of {needed} points")
    if kind == "rectangle" and len(points) == 4:
        return _four_corners(points)
    flat = [value for point in points[:needed] for value in _pair(point)]
    if kind == "point":
        return geometry_parsing.point(*flat)
    if kind == "rectangle":
        return geometry_parsing.box(*flat)
    if kind == "circle":
        x, y, on_x, on_y = flat
        radius = float(((on_x - x) ** 2 + (on_y - y) ** 2) ** 0.5)
        return geometry_parsing.ellipse(x, y, radius, radius)
    return _mask(shape.get("mask"), flat)


def _four_corners(points: Sequence[object]) -> AnyGeometry:
    """A rectangle by all its corners, as AnyLabeling has it; a polygon where it is turned."""
    x, y = zip(*map(_pair, points), strict=True)
    if len(set(x)) == 2 and len(set(y)) == 2:
        return geometry_parsing.box(min(x), min(y), max(x), max(y))
    return geometry_parsing.polygon(points)


def _pair(point: object) -> list[float]:
    if not isinstance(point, list) or len(point) != 2:
        raise InvalidGeometry("points", "is not a list of points [x, y]")
    return geometry_parsing.numbers({"points": point[0], "y": point[1]}, "points", "y")


def _mask(given: object, corners: list[float]) -> Bitmap:
    if not isinstance(given, str):
        raise InvalidGeometry("mask", "is missing")
    try:
        mask = decode_png(base64.b64decode(given, validate=True))
    except ValueError as error:
        raise InvalidGeometry("mask", str(error)) from None
    if not mask.any():
        raise InvalidGeometry("mask", "is empty")
    (x, y), part = trim(mask)
    return Bitmap((round(min(corners[::2])) + x, round(min(corners[1::2])) + y), part)


def _flags(given: object) -> list[Tag]:
    return [{"name": str(n)} for n, said in given.items() if said is True] if isinstance(given, dict) else []


def _json(image: ExportedImage) -> dict[str, object]:
    height, width = image.size
    return {
        "version": "5.5.0",
        "flags": {str(tag["name"]): True for tag in image.tags},
        "shapes": [_shape(thing) for thing in image.objects],
        "imagePath": image.item.name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _shape(thing: ExportedObject) -> dict[str, object]:
    shape: dict[str, object] = {
        "label": thing.title,
        "flags": {str(tag["name"]): True for tag in thing.tags},
        "group_id": None,
        "description": "",
        "mask": None,
    }
    geometry = thing.geometry
    if isinstance(geometry, Rectangle):
        left, top, right, bottom = geometry_parsing.edges(geometry)
        return {**shape, "points": [[left, top], [right, bottom]], "shape_type": "rectangle"}
    if isinstance(geometry, Bitmap):
        (x, y), (height, width) = geometry.origin, geometry.mask.shape
        png = base64.b64encode(encode_png(geometry.mask.astype("uint8") * 255)).decode()
        corners = [[x, y], [x + width - 1, y + height - 1]]
        return {**shape, "points": corners, "shape_type": "mask", "mask": png}
    if isinstance(geometry, Point):
        return {**shape, "points": [[geometry.x + 0.5, geometry.y + 0.5]], "shape_type": "point"}
    assert isinstance(geometry, Polygon | Line)
    ring = geometry.exterior if isinstance(geometry, Polygon) else geometry.points
    kind = "polygon" if isinstance(geometry, Polygon) else "linestrip"
    return {**shape, "points": (ring + 0.5).tolist(), "shape_type": kind}


def _looks_like(path: Path) -> bool:
    """LabelMe writes the picture's bytes between the shapes and its name, so both ends are looked at."""
    text = read_ends(path, 1 << 16, 1 << 12)
    return b'"imageData"' in text or (b'"shapes"' in text and b'"imagePath"' in text)
