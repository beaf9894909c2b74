"""Shapes that are not drawn here: cuboids, graphs, oriented boxes, alpha masks, and whatever else there is.

They keep all their fields; what is done to them is done to their points.  Where no points are found, they
stay as they were read, and are left out of what would move them.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import cv2
import numpy as np

from ravenml.common.io import JsonObject
from ravenml.sly.bitmap import Bitmap, MultichannelBitmap
from ravenml.sly.geometry import (
    AnyGeometry,
    Color,
    Geometry,
    Point,
    Polygon,
    Polyline,
    Rectangle,
    Rotator,
    Size,
)
from ravenml.sly.json_fields import inside

Places = np.ndarray  # float64 (N, 2), rows of (x, y)
Change = Callable[[Places], Places]
_NODES = ("nodes", "vertices")  # fields with points by name, each under `loc`


class OtherGeometry(Geometry):
    """A shape that is not drawn here.

    Args:
        name: what JSON calls it.
        fields: all that an object's JSON says of its shape.
    """

    kinds: ClassVar[dict[str, type[OtherGeometry]]] = {}

    def __init_subclass__(cls, name: str) -> None:
        cls._name = name
        OtherGeometry.kinds[name] = cls

    def __init__(self, name: str, fields: JsonObject) -> None:
        self.name, self.fields = name, fields

    @classmethod
    def make(cls, name: str, fields: JsonObject) -> OtherGeometry:
        """A shape of the kind that JSON calls ``name``."""
        return cls.kinds.get(name, OtherGeometry)(name, fields)

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """A shape from all its fields."""
        return cls(str(data.get("geometryType") or data.get("shape") or cls._name), data)

    def to_json(self) -> JsonObject:
        """All fields, as they were read or as they became."""
        return {**self.fields, "geometryType": self.name}

    def clone(self) -> Self:
        """The same."""
        return self

    def crop(self, rect: Rectangle) -> list[Self]:
        """The whole of it, if it reaches into a rectangle; it is not cut."""
        found = self._bounds()
        return [self] if found is None or found.crop(rect) else []

    def translate(self, drow: int, dcol: int) -> Self:
        """Moved down and to the right."""
        return self._changed(lambda places: places + np.array((dcol, drow)))

    def resize(self, in_size: Size, out_size: Size) -> Self:
        """Scaled with its image."""
        factors = np.array((out_size[1] / in_size[1], out_size[0] / in_size[0]))
        return self._changed(lambda places: (places + 0.5) * factors - 0.5)

    def fliplr(self, img_size: Size) -> Self:
        """Mirrored with its image."""
        return self._changed(lambda places: places * (-1, 1) + (img_size[1] - 1, 0))

    def flipud(self, img_size: Size) -> Self:
        """Turned upside down with its image."""
        return self._changed(lambda places: places * (1, -1) + (0, img_size[0] - 1))

    def to_bbox(self) -> Rectangle:
        """The smallest rectangle that holds its points.

        Raises:
            NotImplementedError: it has none.
        """
        found = self._bounds()
        if found is None:
            raise NotImplementedError(f"Where an object of the shape {self.name} lies is not known here.")
        return found

    @property
    def area(self) -> float:
        """The area that its points enclose, in pixels."""
        places = self._places()
        if not len(places):
            return 0.0
        return float(cv2.contourArea(cv2.convexHull(places.astype(np.float32))))

    def draw(self, bitmap: np.ndarray, color: Color, thickness: int = 1) -> None:
        """It is not drawn."""

    draw_contour = draw

    def _changed(self, change: Change) -> Self:
        self.to_bbox()  # where nothing is known of its place, nothing may be changed
        return type(self)(self.name, dict(_with_places(self.fields, change)))

    def _places(self) -> Places:
        found: list[Places] = [np.empty((0, 2))]

        def note(places: Places) -> Places:
            found.append(places)
            return places

        for _ in _with_places(self.fields, note):
            pass
        return np.concatenate(found)

    def _bounds(self) -> Rectangle | None:
        places = self._places()
        if not len(places):
            return None
        (left, top), (right, bottom) = places.min(axis=0), places.max(axis=0)
        return Rectangle(top, left, bottom, right)


class Cuboid(OtherGeometry, name="cuboid"):
    """A box in perspective: points, and faces that name them."""


class GraphNodes(OtherGeometry, name="graph"):
    """Named points; its area is 0."""

    @property
    def area(self) -> float:
        return 0.0


class OrientedBBox(OtherGeometry, name="oriented_bbox"):
    """A rectangle that is turned around its middle by an angle, in radians, clockwise."""

    def resize(self, in_size: Size, out_size: Size) -> Self:
        """Scaled with its image; where that is not scaled evenly, it stays a rectangle."""
        fx, fy = out_size[1] / in_size[1], out_size[0] / in_size[0]
        angle, (left, top), (right, bottom) = self._angle, *self._extent()
        along = math.hypot(fx * math.cos(angle), fy * math.sin(angle))
        across = math.hypot(fx * math.sin(angle), fy * math.cos(angle))
        half = np.array(((right - left + 1) * along, (bottom - top + 1) * across)) / 2
        middle = np.array(((left + right + 1) * fx, (top + bottom + 1) * fy)) / 2
        corners = np.array((middle - half, middle + half - 1))
        turned = self._replaced(math.atan2(fy * math.sin(angle), fx * math.cos(angle)))
        places = iter(corners)
        return turned._changed(lambda two: np.array([next(places) for _ in two]))

    def fliplr(self, img_size: Size) -> Self:
        """Mirrored with its image: it turns the other way."""
        return super().fliplr(img_size)._replaced(-self._angle)._sorted()

    def flipud(self, img_size: Size) -> Self:
        """Turned upside down with its image: it turns the other way."""
        return super().flipud(img_size)._replaced(-self._angle)._sorted()

    @property
    def area(self) -> float:
        """Its sides' product, in pixels."""
        (left, top), (right, bottom) = self._extent()
        return float((right - left + 1) * (bottom - top + 1))

    @property
    def _angle(self) -> float:
        value = self.fields.get("angle")
        return float(value) if isinstance(value, int | float) else 0.0

    def rotate(self, rotator: Rotator) -> Self:
        """Turned with its image: around its own middle, which moves."""
        corners = self._extent()
        (middle,) = rotator.transform(corners.mean(axis=0)[None])
        angle = self._angle - math.radians(rotator.angle_degrees_ccw)
        places = iter(middle + corners - corners.mean(axis=0))
        turned = type(self)(self.name, {**self.fields, "angle": angle})
        return turned._changed(lambda two: np.array([next(places) for _ in two]))

    def _replaced(self, angle: float) -> Self:
        return type(self)(self.name, {**self.fields, "angle": angle} if self._angle else self.fields)

    def _extent(self) -> Places:
        places = super()._places()
        return np.array((places.min(axis=0), places.max(axis=0))) if len(places) else np.zeros((2, 2))

    def _sorted(self) -> Self:
        """With its corner at the top left first."""
        corners = iter(self._extent())
        return self._changed(lambda two: np.array([next(corners) for _ in two]))

    def _bounds(self) -> Rectangle | None:
        if not len(super()._places()):
            return None
        (left, top), (right, bottom) = self._extent()
        middle, half = np.array((left + right, top + bottom)) / 2, np.array((right - left, bottom - top)) / 2
        cos, sin = abs(math.cos(self._angle)), abs(math.sin(self._angle))
        wide, high = half[0] * cos + half[1] * sin, half[0] * sin + half[1] * cos
        return Rectangle(middle[1] - high, middle[0] - wide, middle[1] + high, middle[0] + wide)


class AlphaMask(OtherGeometry, name="alpha_mask"):
    """A mask with a share, 0 to 255, for every pixel."""

    @property
    def data(self) -> np.ndarray:
        """The shares, uint8 (height, width).

        Raises:
            InvalidJson: they are missing or unusable.
        """
        with inside("bitmap.data"):
            try:
                content = zlib.decompress(base64.b64decode(self.fields["bitmap"]["data"]))
            except (KeyError, TypeError, ValueError, zlib.error):
                raise ValueError("is not a compressed PNG in base64") from None
            pixels = np.frombuffer(content, np.uint8)
            image = cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED) if pixels.size else None
            if image is None or (image.ndim == 3 and image.shape[2] != 4):
                raise ValueError("is not a compressed PNG in base64")
            return np.asarray(image[:, :, 3] if image.ndim == 3 else image)

    @property
    def origin(self) -> Point:
        """Where its top left lies."""
        with inside("bitmap.origin"):
            pair = self.fields["bitmap"].get("origin")
            if not _is_pair(pair):
                raise ValueError("is not a pair [x, y]")
            return Point(pair[1], pair[0])

    def crop(self, rect: Rectangle) -> list[Self]:
        """What of it lies in a rectangle."""
        found = []
        for part in self.to_bbox().crop(rect):
            inner = part.translate(-self.origin.row, -self.origin.col)
            data = inner.get_cropped_numpy_slice(self.data)
            if data.any():
                found.append(self if part == self.to_bbox() else self._with(data, part.top, part.left))
        return found

    def resize(self, in_size: Size, out_size: Size) -> Self:
        """Scaled with its image."""
        box = self.to_bbox().resize(in_size, out_size)
        data = cv2.resize(self.data, (box.width, box.height), interpolation=cv2.INTER_AREA)
        return self._with(data, box.top, box.left)

    def fliplr(self, img_size: Size) -> Self:
        """Mirrored with its image."""
        box = self.to_bbox().fliplr(img_size)
        return self._with(self.data[:, ::-1], box.top, box.left)

    def flipud(self, img_size: Size) -> Self:
        """Turned upside down with its image."""
        box = self.to_bbox().flipud(img_size)
        return self._with(self.data[::-1], box.top, box.left)

    def rotate(self, rotator: Rotator) -> Self:
        """Turned with its image."""
        whole = np.zeros(rotator.src_imsize, np.uint8)
        self.to_bbox().get_cropped_numpy_slice(whole)[:] = self.data
        turned = rotator.rotate_img(whole, use_inter_nearest=True)
        left, top, width, height = cv2.boundingRect(turned)
        return self._with(turned[top : top + height, left : left + width], top, left)

    def scale(self, factor: float) -> Self:
        """Scaled around the image's top left."""
        height, width = (max(1, round(side * factor)) for side in self.data.shape)
        data = cv2.resize(self.data, (width, height), interpolation=cv2.INTER_AREA)
        return self._with(data, round(self.origin.row * factor), round(self.origin.col * factor))

    @property
    def area(self) -> float:
        """The pixels with a share."""
        return float(np.count_nonzero(self.data))

    def _with(self, data: np.ndarray, row: int, column: int) -> Self:
        image = np.zeros((*data.shape[:2], 4), np.uint8)
        image[:, :, 3] = data
        content = zlib.compress(cv2.imencode(".png", image)[1].tobytes())
        bitmap = {"origin": [int(column), int(row)], "data": base64.b64encode(content).decode()}
        return type(self)(self.name, {**self.fields, "bitmap": {**self.fields["bitmap"], **bitmap}})

    def _changed(self, change: Change) -> Self:
        column, row = change(np.array([[self.origin.col, self.origin.row]], np.float64))[0]
        bitmap = {**self.fields["bitmap"], "origin": [round(column), round(row)]}
        return type(self)(self.name, {**self.fields, "bitmap": bitmap})

    def _bounds(self) -> Rectangle:
        height, width = self.data.shape
        top, left = self.origin.row, self.origin.col
        return Rectangle(top, left, top + height - 1, left + width - 1)


def _with_places(fields: JsonObject, change: Change) -> Iterator[tuple[str, Any]]:
    """A shape's fields with each list of points changed."""
    for name, value in fields.items():
        if name == "points":
            yield name, _points(value, change)
        elif name in _NODES and isinstance(value, dict):
            yield name, {key: _node(node, change) for key, node in value.items()}
        elif name in _NODES and isinstance(value, list):
            yield name, [_node(node, change) for node in value]
        else:
            yield name, value


def _points(value: Any, change: Change) -> Any:
    """Points as a list of pairs, or as an outline with holes."""
    if isinstance(value, dict):
        return {name: _points(part, change) for name, part in value.items()}
    if not isinstance(value, list) or not value:
        return value
    if all(_is_pair(one) for one in value):
        whole = all(type(part) is int for one in value for part in one)
        changed = change(np.array(value, np.float64))
        return (np.rint(changed).astype(int) if whole else changed.round(3)).tolist()
    return [_points(one, change) for one in value]


def _node(node: Any, change: Change) -> Any:
    if isinstance(node, dict) and _is_pair(node.get("loc")):
        return {**node, "loc": _points([node["loc"]], change)[0]}
    return node


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(type(part) in (int, float) and abs(part) <= 1e6 for part in value)
    )


_KINDS: dict[str, type[Geometry]] = {
    **{
        kind.geometry_name(): kind
        for kind in (Bitmap, Polygon, Rectangle, Polyline, Point, AnyGeometry, MultichannelBitmap)
    },
    "any_geometry": AnyGeometry,
}


def geometry_type(name: str) -> type[Geometry]:
    """The class of shapes that JSON calls ``name``."""
    return _KINDS.get(name) or OtherGeometry.kinds.get(name, OtherGeometry)


def deserialize_geometry(geometry_type_str: str, geometry_json: JsonObject) -> Geometry:
    """A shape from JSON, by the name of its kind.

    Raises:
        InvalidJson: a field is missing or unusable.
    """
    kind = geometry_type(geometry_type_str)
    if issubclass(kind, OtherGeometry):
        made = OtherGeometry.make(geometry_type_str, geometry_json)
        if isinstance(made, AlphaMask):
            made.to_bbox()  # reads it
        return made
    return kind.from_json(geometry_json)
