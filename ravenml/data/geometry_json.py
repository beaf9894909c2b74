"""Shapes as an annotation's JSON has them: every field is checked when they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ravenml.data.bitmap import decode_bitmap, encode_bitmap
from ravenml.data.geometry import AnyGeometry, Bitmap, Line, Point, Points, Polygon, Rectangle

_REDRAW = "redraw or remove the object"
_FARTHEST = 1e6
_LEAST = {"polygon": 3, "rectangle": 2, "line": 2, "point": 1}  # points that a shape needs


class InvalidGeometry(Exception):
    """A field of an object's shape is unusable; the caller knows the file and the object."""

    def __init__(self, field: str, problem: str, fix: str = "") -> None:
        super().__init__(problem)
        self.field = field
        self.problem = problem
        self.fix = fix


def parse_geometry(entry: Mapping[str, object], kind: str | None = None) -> AnyGeometry | None:
    """The shape of an object; None for kinds that are not known here.

    Args:
        entry: the object's JSON.
        kind: the kind of shape; by default, the object's ``geometryType``.

    Raises:
        InvalidGeometry: a field is missing or unusable.
    """
    kind = kind or str(entry["geometryType"])
    if kind == "bitmap":
        return _parse_bitmap(entry.get("bitmap"))
    if kind not in _LEAST:
        return None
    given = entry.get("points")
    if not isinstance(given, dict):
        raise InvalidGeometry("points", "is missing")
    interior = given.get("interior") or []
    if kind == "polygon" and not isinstance(interior, list):
        raise InvalidGeometry("points.interior", "is not a list of holes")
    exterior = parse_points(given.get("exterior"), "points.exterior", _LEAST[kind])
    if kind == "polygon":
        holes = (parse_points(hole, f"points.interior[{i}]", 3) for i, hole in enumerate(interior))
        return Polygon(exterior, tuple(holes))
    if kind == "rectangle":  # the two corners may come in any order
        return Rectangle(*exterior.min(axis=0).tolist(), *exterior.max(axis=0).tolist())
    return Line(exterior) if kind == "line" else Point(*exterior[0].tolist())


def parse_points(value: object, field: str, least: int) -> Points:
    """A list of at least ``least`` pairs [x, y], as int32 (N, 2).

    Fractions are rounded down, as in Supervisely's SDK: a coordinate names the pixel that it lies in.

    Raises:
        InvalidGeometry: it is not such a list, or a point is farther than a million pixels away.
    """
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidGeometry(field, "is not a list of points [x, y]") from None
    if isinstance(value, list) and len(value) < least:
        raise InvalidGeometry(field, f"has {len(value)} of at least {least} points", _REDRAW)
    if array.ndim != 2 or array.shape[1] != 2:
        raise InvalidGeometry(field, "is not a list of points [x, y]")
    if not np.isfinite(array).all():
        raise InvalidGeometry(field, "has a coordinate that is not a number", _REDRAW)
    if np.abs(array).max() > _FARTHEST:
        raise InvalidGeometry(field, "has a coordinate beyond a million pixels", _REDRAW)
    return np.floor(array).astype(np.int32)


def geometry_json(geometry: AnyGeometry) -> dict[str, object]:
    """The fields of an object that tell its shape."""
    holes: list[object] = []
    if isinstance(geometry, Bitmap):
        x, y = geometry.origin
        bitmap = {"origin": [int(x), int(y)], "data": encode_bitmap(geometry.mask)}
        return {"geometryType": "bitmap", "bitmap": bitmap}
    if isinstance(geometry, Polygon):
        kind, corners = "polygon", np.asarray(geometry.exterior).tolist()
        holes = [np.asarray(hole).tolist() for hole in geometry.interior]
    elif isinstance(geometry, Rectangle):
        kind = "rectangle"
        corners = [[geometry.left, geometry.top], [geometry.right, geometry.bottom]]
    elif isinstance(geometry, Line):
        kind, corners = "line", np.asarray(geometry.points).tolist()
    else:
        kind, corners = "point", [[geometry.x, geometry.y]]
    return {"geometryType": kind, "points": {"exterior": corners, "interior": holes}}


def _parse_bitmap(entry: object) -> Bitmap:
    if not isinstance(entry, dict):
        raise InvalidGeometry("bitmap", "is missing")
    data = entry.get("data")
    if not isinstance(data, str):
        raise InvalidGeometry("bitmap.data", "is missing")
    origin = entry.get("origin")
    if not (
        isinstance(origin, list) and len(origin) == 2 and all(isinstance(v, int | float) for v in origin)
    ):
        raise InvalidGeometry("bitmap.origin", "is not a pair [x, y]")
    if not all(abs(v) <= _FARTHEST for v in origin):  # so that neither is infinite or NaN
        raise InvalidGeometry("bitmap.origin", "is beyond a million pixels", _REDRAW)
    try:
        return Bitmap((math.floor(origin[0]), math.floor(origin[1])), decode_bitmap(data))
    except ValueError as error:
        raise InvalidGeometry("bitmap.data", str(error)) from None
