"""One image's annotation, as Supervisely writes it: `<image>.json` in the dataset's folder `ann`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ravenml.common.parsing import ParseError, parse_json
from ravenml.data.geometry import Bitmap, Geometry, Polygon, Rectangle, Size
from ravenml.data.geometry_json import InvalidGeometry, parse_geometry
from ravenml.data.images import read_bytes
from ravenml.data.problems import DataProblem, Report, from_parse_error, raise_problem, suggestion

DRAWN = ("bitmap", "polygon", "rectangle")
_LARGEST = 1 << 30  # pixels; OpenCV reads no larger image
EXPORT_AGAIN = "export this image's annotation again"


@dataclass(frozen=True, slots=True, eq=False)
class Object:
    """One annotated thing: its class, its own tags and its shape."""

    class_title: str
    tags: frozenset[str]
    geometry: Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """What is known about one image; ``objects`` in the file's order, which is the order of drawing.

    ``left_out`` counts, per shape, the objects that cannot become a mask (points, lines, …).
    """

    size: Size
    tags: frozenset[str]
    objects: list[Object]
    left_out: Counter[str] = field(default_factory=Counter)


def read_annotation(
    path: Path, shapes: Mapping[str, str] | None = None, report: Report = raise_problem
) -> Annotation:
    """Read an annotation file.

    Args:
        shapes: class title to shape of the project; None allows any title.
        report: called with each `DataProblem`; where it returns, the object is left out and reading goes on.

    Raises:
        DataProblem: (by default) the file or a field is missing or broken, a class is unknown, or a bitmap
            reaches outside the image.
    """
    return parse_annotation(read_bytes(path), path, shapes, report)


def parse_annotation(
    content: bytes, path: Path, shapes: Mapping[str, str] | None = None, report: Report = raise_problem
) -> Annotation:
    """Parse an annotation file's content; see `read_annotation`."""
    data = parse_object(content, path)
    annotation = Annotation(parse_size(data, path), parse_tag_names(data.get("tags"), path, "tags"), [])
    for number, entry in enumerate(parse_objects(data, path)):
        where = f"objects[{number}]"
        try:
            _add(annotation, entry, path, where, shapes)
        except InvalidGeometry as bad:
            report(DataProblem(path, f"{where}.{bad.field}", bad.problem, bad.fix or EXPORT_AGAIN))
        except DataProblem as error:
            report(error)
    return annotation


class Head(NamedTuple):
    """What is known of an image without a look at its objects' shapes.

    Attributes:
        tags: the image's tags.
        left_out: per shape, how many objects cannot become a mask.
        objects: per class, how many can.
    """

    tags: frozenset[str]
    left_out: Counter[str]
    objects: Counter[str]


def read_head(path: Path, shapes: Mapping[str, str]) -> Head:
    """Read only the image's tags, and count its objects.

    Raises:
        DataProblem: the file or its tags are broken; objects are not checked.
    """
    data = parse_object(read_bytes(path), path)
    objects = data.get("objects")
    entries = [entry for entry in objects if isinstance(entry, dict)] if isinstance(objects, list) else []
    head = Head(parse_tag_names(data.get("tags"), path, "tags"), Counter(), Counter())
    for entry in entries:
        title = str(entry.get("classTitle"))
        kind = shape_kind(entry, shapes.get(title, ""))
        if kind in DRAWN:
            head.objects[title] += 1
        else:
            head.left_out[kind] += 1
    return head


def parse_object(content: bytes, path: Path) -> dict[str, object]:
    """Parse a file that must hold a JSON object.

    Raises:
        DataProblem: it does not; names the line.
    """
    try:
        data = parse_json(content, str(path))
    except ParseError as error:
        raise from_parse_error(path, error, "export it again") from None
    if not isinstance(data, dict):
        raise DataProblem(path, "", "holds no JSON object", "export it again")
    return data


def parse_size(data: Mapping[str, object], path: Path) -> Size:
    """An annotation's (height, width).

    Raises:
        DataProblem: it is missing, not positive, or larger than an image can be.
    """
    size = data.get("size")
    if isinstance(size, dict):
        height, width = size.get("height"), size.get("width")
        if type(height) is int and type(width) is int and height > 0 and width > 0:  # and not `true`
            if height * width <= _LARGEST:
                return height, width
            raise DataProblem(path, "size", "is larger than any image that is read", EXPORT_AGAIN)
    problem = "is missing" if size is None else "is not an object with a positive height and width"
    raise DataProblem(path, "size", problem, EXPORT_AGAIN)


def parse_objects(data: Mapping[str, object], path: Path) -> list[object]:
    """An annotation's objects, of which nothing is checked.

    Raises:
        DataProblem: they are not a list.
    """
    objects = data.get("objects", [])
    if not isinstance(objects, list):
        raise DataProblem(path, "objects", "is not a list", EXPORT_AGAIN)
    return objects


def parse_tag_names(tags: object, path: Path, where: str) -> frozenset[str]:
    """The names in a list of tags; each is a name, or an object with a ``name`` (and often a value).

    Raises:
        DataProblem: it is not such a list.
    """
    if tags is None:
        return frozenset()
    if isinstance(tags, list):
        given = [tag.get("name") if isinstance(tag, dict) else tag for tag in tags]
        names = frozenset(name for name in given if isinstance(name, str))
        if all(isinstance(name, str) for name in given):
            return names
    raise DataProblem(path, where, "is not a list of tags with a name each", EXPORT_AGAIN)


def parse_class(
    entry: object, path: Path, where: str, shapes: Mapping[str, str] | None
) -> tuple[dict[str, object], str, str]:
    """An object as a dict, its class and the kind of its shape.

    Raises:
        DataProblem: it has no class, or one that the project does not have.
    """
    title = entry.get("classTitle") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(title, str):
        raise DataProblem(path, f"{where}.classTitle", "is missing", EXPORT_AGAIN)
    if shapes is not None and title not in shapes:
        fix = f"add it there or correct the name ({suggestion(title, list(shapes))})"
        raise DataProblem(path, f"{where}.classTitle", f'the class "{title}" is not in meta.json', fix)
    return entry, title, shape_kind(entry, shapes.get(title, "") if shapes else "")


def shape_kind(entry: Mapping[str, object], shape: str) -> str:
    """The kind of an object's shape: what it says itself, else what its class says in meta.json."""
    said = entry.get("geometryType") or entry.get("shape")
    if isinstance(said, str):
        return said
    if shape and shape not in ("any", "any_geometry"):
        return shape
    return "bitmap" if "bitmap" in entry else "any"


def _add(
    annotation: Annotation, given: object, path: Path, where: str, shapes: Mapping[str, str] | None
) -> None:
    entry, title, kind = parse_class(given, path, where, shapes)
    if kind not in DRAWN:
        annotation.left_out[kind] += 1
        return
    geometry = parse_geometry(entry, kind)
    assert isinstance(geometry, Bitmap | Polygon | Rectangle)
    if isinstance(geometry, Bitmap):
        _check_inside(geometry, annotation.size)
    tags = parse_tag_names(entry.get("tags"), path, f"{where}.tags")
    annotation.objects.append(Object(title, tags, geometry))


def _check_inside(bitmap: Bitmap, size: Size) -> None:
    (x, y), (height, width) = bitmap.origin, bitmap.mask.shape
    if x < 0 or y < 0 or x + width > size[1] or y + height > size[0]:
        raise InvalidGeometry(
            "bitmap",
            f"reaches outside the image: {width}×{height} pixels at ({x}, {y}) in {size[1]}×{size[0]}",
            "correct its origin or cut it to the image",
        )
