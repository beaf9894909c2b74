"""Shapes as plugin authors know them: a thin face over ``ravenml.data``'s, with rows and columns.

Masks are in ``bitmap``; shapes that are not drawn are in ``undrawn_geometry``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import cv2
import numpy as np

from ravenml.common.io import JsonObject
from ravenml.data import geometry as shapes
from ravenml.data import masks, transforms
from ravenml.data.geometry_json import geometry_json, parse_geometry
from ravenml.renamed import former_names
from ravenml.sly.json_fields import InvalidJson, expect_object, inside

Color = int | float | Sequence[int]
Size = tuple[int, int]  # (height, width)
_ORIGIN = {
    "sly_id": "id",
    "class_id": "classId",
    "labeler_login": "labelerLogin",
    "updated_at": "updatedAt",
    "created_at": "createdAt",
}


class Rotator(Protocol):
    """What turns an image: `ravenml.sly.rotation.ImageRotator`."""

    src_imsize: Size
    angle_degrees_ccw: float

    def transform(self, places: np.ndarray) -> np.ndarray:
        """Where points come to lie, float (N, 2) of (x, y)."""
        ...

    def rotate_img(self, img: np.ndarray, use_inter_nearest: bool) -> np.ndarray:
        """The turned image."""
        ...


class Geometry:
    """A shape.

    Attributes:
        shape: the same as ``ravenml.data.geometry`` has it.
    """

    _name: ClassVar[str] = ""
    shape: shapes.AnyGeometry
    # Who made the object, and when, as an instance of Supervisely says it.
    sly_id: int | None = None
    class_id: int | None = None
    labeler_login: str | None = None
    updated_at: str | None = None
    created_at: str | None = None

    def _note(self, origin: Mapping[str, Any]) -> None:
        """Keep what a constructor was told of who made the object, and when."""
        for name, value in origin.items():
            if name not in _ORIGIN:
                raise TypeError(f"{type(self).__name__} has no argument {name!r}.")
            setattr(self, name, value)

    def _origin_json(self) -> JsonObject:
        return {field: value for name, field in _ORIGIN.items() if (value := getattr(self, name)) is not None}

    @classmethod
    def geometry_name(cls) -> str:
        """What JSON calls it."""
        return cls._name

    @classmethod
    def from_shape(cls, shape: shapes.AnyGeometry) -> Self:
        """The face of a shape."""
        made = cls.__new__(cls)
        made.shape = shape
        return made

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """Read an object's shape.

        Raises:
            InvalidJson: a field is missing or unusable.
        """
        with inside(""):
            shape = parse_geometry(expect_object(data), cls._name)
        if shape is None:
            raise InvalidJson("geometryType", "is missing")
        return cls.from_shape(shape)

    def to_json(self) -> JsonObject:
        """The fields of an object that tell its shape."""
        fields = geometry_json(self.shape)
        return {**fields, "shape": fields["geometryType"], **self._origin_json()}

    def crop(self, rect: Rectangle) -> list[Self]:
        """What of it lies in a rectangle; it keeps its place."""
        return [self.from_shape(part) for part in transforms.crop(self.shape, rect.shape)]

    def relative_crop(self, rect: Rectangle) -> list[Self]:
        """What of it lies in a rectangle, placed relative to that."""
        return [part.translate(-rect.top, -rect.left) for part in self.crop(rect)]

    def translate(self, drow: int, dcol: int) -> Self:
        """Moved down and to the right."""
        return self.from_shape(transforms.translate(self.shape, int(dcol), int(drow)))

    def resize(self, in_size: Size, out_size: Size) -> Self:
        """Scaled with its image, both sizes (height, width); one pixel at least is left of it."""
        before, after = (in_size[0], in_size[1]), (out_size[0], out_size[1])
        parts = transforms.scale(self.shape, before, after)
        if not parts:  # it lies between the centres of the new pixels
            middle = self.to_bbox().center.resize(before, after)
            box = shapes.Rectangle(middle.col, middle.row, middle.col, middle.row)
            bitmap = shapes.Bitmap((middle.col, middle.row), np.ones((1, 1), bool))
            parts = [box if isinstance(self.shape, shapes.Rectangle) else bitmap]
        return self.from_shape(parts[0])

    def fliplr(self, img_size: Size) -> Self:
        """Mirrored with its image: the first column becomes the last."""
        return self.from_shape(transforms.fliplr(self.shape, img_size[1]))

    def flipud(self, img_size: Size) -> Self:
        """Turned upside down with its image: the first row becomes the last."""
        turned = transforms.fliplr(transforms.transpose(self.shape), img_size[0])
        return self.from_shape(transforms.transpose(turned))

    def rotate(self, rotator: Rotator) -> Self:
        """Turned with its image; a rectangle becomes the one around it."""
        return self._changed(rotator.transform)

    def scale(self, factor: float) -> Self:
        """Scaled around the image's top left."""
        return self._changed(lambda places: places * factor)

    def _changed(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        """With its points changed, float (N, 2) of (x, y)."""
        return self.from_shape(change_points(self.shape, change))

    def draw(self, bitmap: np.ndarray, color: Color, thickness: int = 1) -> None:
        """Draw it into an array (height, width) or (height, width, channels) of any type."""
        mask = np.zeros(bitmap.shape[:2], np.uint8)
        inside = transforms.crop(self.shape, Rectangle.from_size(bitmap.shape[:2]).shape)
        if isinstance(self.shape, shapes.Polygon):
            masks.draw(mask, self.shape, 1)
        elif isinstance(self.shape, shapes.Line):
            cv2.polylines(mask, [self.shape.points], False, 1, thickness)
        else:
            for part in inside:
                if isinstance(part, shapes.Point):
                    cv2.circle(mask, (part.x, part.y), thickness // 2, 1, -1)
                else:
                    masks.draw(mask, part, 1)  # type: ignore[arg-type]
        bitmap[mask.view(bool)] = color

    def draw_contour(self, bitmap: np.ndarray, color: Color, thickness: int = 1) -> None:
        """Draw its outline."""
        mask = np.zeros(bitmap.shape[:2], np.uint8)
        self.draw(mask, 1)
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        line = cv2.drawContours(np.zeros_like(mask), contours, -1, 1, thickness)
        bitmap[np.asarray(line).view(bool)] = color

    def to_bbox(self) -> Rectangle:
        """The smallest rectangle that holds it."""
        return Rectangle.from_shape(transforms.bounds(self.shape))

    @property
    def area(self) -> float:
        """Its pixels; 0 for lines and points."""
        if isinstance(self.shape, shapes.Line | shapes.Point):
            return 0.0
        box = self.to_bbox()
        mask = np.zeros((box.height, box.width), np.uint8)
        self.translate(-box.top, -box.left).draw(mask, 1)
        return float(mask.sum())

    def clone(self) -> Self:
        """The same."""
        return self.from_shape(self.shape)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]


class Point(Geometry):
    """One pixel."""

    _name = "point"
    shape: shapes.Point

    def __init__(self, row: float, col: float, **origin: Any) -> None:
        self.shape = shapes.Point(round(float(col)), round(float(row)))
        self._note(origin)

    @classmethod
    def from_point_location(cls, pt: Point, **origin: Any) -> Point:
        """The same as a shape."""
        return cls(pt.row, pt.col, **origin)

    @property
    def point_location(self) -> Point:
        """The same as a place."""
        return self

    @property
    def row(self) -> int:
        """From the top, counted from 0."""
        return int(self.shape.y)

    @property
    def col(self) -> int:
        """From the left, counted from 0."""
        return int(self.shape.x)

    def __repr__(self) -> str:
        return f"Point({self.row}, {self.col})"


PointLocation = Point
AnyPoint = Point | Sequence[int]  # or (row, column)


class Rectangle(Geometry):
    """A rectangle whose four sides belong to it."""

    _name = "rectangle"
    shape: shapes.Rectangle

    def __init__(self, top: float, left: float, bottom: float, right: float, **origin: Any) -> None:
        if top > bottom or left > right:
            raise ValueError(
                f"A rectangle from ({top}, {left}) to ({bottom}, {right}) has its sides mixed up."
            )
        self.shape = shapes.Rectangle(*(round(float(side)) for side in (left, top, right, bottom)))
        self._note(origin)

    @classmethod
    def from_size(cls, size: Sequence[int]) -> Rectangle:
        """All of an image of (height, width)."""
        return cls(0, 0, int(size[0]) - 1, int(size[1]) - 1)

    @classmethod
    def from_array(cls, array: np.ndarray) -> Rectangle:
        """All of an array."""
        return cls.from_size(array.shape[:2])

    top = property(lambda self: self.shape.top, doc="The first row.")
    left = property(lambda self: self.shape.left, doc="The first column.")
    bottom = property(lambda self: self.shape.bottom, doc="The last row.")
    right = property(lambda self: self.shape.right, doc="The last column.")

    @classmethod
    def from_geometries_list(cls, geometries: Iterable[Geometry]) -> Rectangle:
        """The smallest rectangle that holds some shapes."""
        boxes = [geometry.to_bbox() for geometry in geometries]
        return cls(
            min(box.top for box in boxes),
            min(box.left for box in boxes),
            max(box.bottom for box in boxes),
            max(box.right for box in boxes),
        )

    @property
    def corners(self) -> list[Point]:
        """Its corner pixels, clockwise from the top left."""
        rows, columns = (self.top, self.top, self.bottom, self.bottom), (self.left, self.right) * 2
        return [Point(rows[i], columns[i if i < 2 else 5 - i]) for i in range(4)]

    @property
    def height(self) -> int:
        """Its rows."""
        return int(self.bottom - self.top + 1)

    @property
    def width(self) -> int:
        """Its columns."""
        return int(self.right - self.left + 1)

    @property
    def center(self) -> Point:
        """Its middle, rounded down."""
        return Point((self.top + self.bottom) // 2, (self.left + self.right) // 2)

    @property
    def area(self) -> float:
        """Its pixels."""
        return float(self.height * self.width)

    def to_size(self) -> Size:
        """(height, width)."""
        return self.height, self.width

    def contains(self, other: Rectangle) -> bool:
        """Whether another lies in it."""
        rows = self.top <= other.top and other.bottom <= self.bottom
        return bool(rows and self.left <= other.left and other.right <= self.right)

    def contains_point_location(self, pt: Point) -> bool:
        """Whether a point lies in it."""
        return bool(self.top <= pt.row <= self.bottom and self.left <= pt.col <= self.right)

    contains_point = contains_point_location

    def get_cropped_numpy_slice(self, data: np.ndarray) -> np.ndarray:
        """The part of an array; a view."""
        return data[self.top : self.bottom + 1, self.left : self.right + 1]

    def __repr__(self) -> str:
        return f"Rectangle({self.top}, {self.left}, {self.bottom}, {self.right})"


class Polygon(Geometry):
    """An outline with holes, each a list of points."""

    _name = "polygon"
    shape: shapes.Polygon

    def __init__(
        self, exterior: Iterable[AnyPoint], interior: Iterable[Iterable[AnyPoint]] = (), **origin: Any
    ) -> None:
        self._note(origin)
        self.shape = shapes.Polygon(_points(exterior), tuple(_points(hole) for hole in interior or ()))

    @property
    def exterior(self) -> list[Point]:
        """The outline."""
        return [Point(y, x) for x, y in self.shape.exterior.tolist()]

    @property
    def interior(self) -> list[list[Point]]:
        """The holes."""
        return [[Point(y, x) for x, y in hole.tolist()] for hole in self.shape.interior]

    @property
    def exterior_np(self) -> np.ndarray:
        """The outline, int (N, 2) of (row, column)."""
        return np.asarray(self.shape.exterior)[:, ::-1]

    @property
    def interior_np(self) -> list[np.ndarray]:
        """The holes, each int (N, 2) of (row, column)."""
        return [np.asarray(hole)[:, ::-1] for hole in self.shape.interior]

    def approx_dp(self, epsilon: float) -> Polygon:
        """With fewer points, at most ``epsilon`` pixels away from the outline (Douglas and Peucker)."""
        return Polygon(
            _fewer_points(self.exterior_np, epsilon, 3),
            [_fewer_points(hole, epsilon, 3) for hole in self.interior_np],
        )


class Polyline(Geometry):
    """An open line."""

    _name = "line"
    shape: shapes.Line

    def __init__(self, exterior: Iterable[AnyPoint], **origin: Any) -> None:
        self._note(origin)
        self.shape = shapes.Line(_points(exterior))

    @property
    def exterior(self) -> list[Point]:
        """Its points."""
        return [Point(y, x) for x, y in self.shape.points.tolist()]

    @property
    def exterior_np(self) -> np.ndarray:
        """Its points, int (N, 2) of (row, column)."""
        return np.asarray(self.shape.points)[:, ::-1]

    def approx_dp(self, epsilon: float) -> Polyline:
        """With fewer points, at most ``epsilon`` pixels away from the line (Douglas and Peucker)."""
        return Polyline(_fewer_points(self.exterior_np, epsilon, 2))


class AnyGeometry(Geometry):
    """A class's shape where its objects may have any."""

    _name = "any"


def change_points(
    shape: shapes.AnyGeometry, change: Callable[[np.ndarray], np.ndarray]
) -> shapes.AnyGeometry:
    """A shape that is made of points, with these changed; float (N, 2) of (x, y).

    Raises:
        NotImplementedError: it is a bitmap.
    """

    def changed(places: np.ndarray) -> np.ndarray:
        return np.asarray(np.rint(change(np.asarray(places, np.float64))), np.int32)

    match shape:
        case shapes.Point():
            x, y = changed(np.array([[shape.x, shape.y]]))[0].tolist()
            return shapes.Point(x, y)
        case shapes.Rectangle():
            sides = (shape.left, shape.right), (shape.top, shape.bottom)
            corners = changed(np.array([(x, y) for x in sides[0] for y in sides[1]]))
            return shapes.Rectangle(*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
        case shapes.Line():
            return shapes.Line(changed(shape.points))
        case shapes.Polygon():
            return shapes.Polygon(changed(shape.exterior), tuple(changed(hole) for hole in shape.interior))
    raise NotImplementedError("A bitmap has no points that could be changed.")


def _fewer_points(ring: np.ndarray, epsilon: float, least: int) -> Any:
    found = ring
    if epsilon > 0:
        found = np.asarray(cv2.approxPolyDP(ring.astype(np.int32), epsilon, least > 2))[:, 0]
    return (found if len(found) >= least else ring).tolist()


def _points(given: Iterable[AnyPoint]) -> np.ndarray:
    """Points, or pairs of (row, column), as int32 (N, 2) of (x, y)."""
    pairs = [(p.col, p.row) if isinstance(p, Point) else (p[1], p[0]) for p in given]
    return np.rint(np.array(pairs, np.float64)).astype(np.int32).reshape(-1, 2)


__getattr__ = former_names(
    __name__,
    {name: f"ravenml.sly.bitmap.{name}" for name in ("Bitmap", "MultichannelBitmap", "geometry_to_bitmap")},
)
