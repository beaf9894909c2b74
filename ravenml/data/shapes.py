"""Coordinates out of an annotation's JSON, checked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_REDRAW = "redraw or remove the object"
_FARTHEST = 1e6


class InvalidGeometry(Exception):
    """A field of an object's shape is unusable; the caller knows the file and the object."""

    def __init__(self, field: str, problem: str, fix: str = "") -> None:
        super().__init__(problem)
        self.field = field
        self.problem = problem
        self.fix = fix


def points(value: Any, field: str, least: int) -> np.ndarray:
    """A list of at least ``least`` pairs [x, y], as int32 (N, 2).

    Fractions are rounded down, as in Supervisely's SDK: a coordinate names the pixel that it lies in.
    """
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise InvalidGeometry(field, "is not a list of points [x, y]") from None
    if isinstance(value, list) and len(value) < least:
        raise InvalidGeometry(field, f"has {len(value)} of at least {least} points", _REDRAW)
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise InvalidGeometry(field, "is not a list of points [x, y]")
    if np.abs(array).max() > _FARTHEST:
        raise InvalidGeometry(field, "has a coordinate beyond a million pixels", _REDRAW)
    return np.floor(array).astype(np.int32)


def outline(entry: dict[str, Any]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """A polygon's exterior and holes, each int32 (N, 2) of (x, y)."""
    given = _points_of(entry)
    interior = given.get("interior") or []
    if not isinstance(interior, list):
        raise InvalidGeometry("points.interior", "is not a list of holes")
    holes = (points(hole, f"points.interior[{i}]", 3) for i, hole in enumerate(interior))
    return points(given.get("exterior"), "points.exterior", 3), tuple(holes)


def rectangle(entry: dict[str, Any]) -> tuple[int, int, int, int]:
    """A rectangle's left, top, right and bottom; the two corners may come in any order."""
    corners = points(_points_of(entry).get("exterior"), "points.exterior", 2)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return int(left), int(top), int(right), int(bottom)


def bitmap_origin(entry: dict[str, Any]) -> tuple[int, int]:
    """A bitmap's place (x, y)."""
    origin = entry.get("origin")
    if isinstance(origin, list) and len(origin) == 2 and all(isinstance(v, int | float) for v in origin):
        x, y = origin
        if abs(x) <= _FARTHEST and abs(y) <= _FARTHEST:  # so that neither is infinite or no number
            return math.floor(x), math.floor(y)
        raise InvalidGeometry("bitmap.origin", "is beyond a million pixels", _REDRAW)
    raise InvalidGeometry("bitmap.origin", "is not a pair [x, y]")


def line(entry: dict[str, Any]) -> np.ndarray:
    """A line's points, int32 (N, 2) of (x, y), at least two."""
    return points(_points_of(entry).get("exterior"), "points.exterior", 2)


def point(entry: dict[str, Any]) -> tuple[int, int]:
    """A point's place (x, y)."""
    x, y = points(_points_of(entry).get("exterior"), "points.exterior", 1)[0]
    return int(x), int(y)


def _points_of(entry: dict[str, Any]) -> dict[str, Any]:
    given = entry.get("points")
    if not isinstance(given, dict):
        raise InvalidGeometry("points", "is missing")
    return given
