"""Shapes as other formats write them.

A box of another format runs along the edges of pixels: from 2 to 5 covers the pixels 2, 3 and 4, and is
`Rectangle(2, …, 4, …)`.  The corner of a polygon names the pixel that it lies in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np

from ravenml.data.geometry import Line, Point, Polygon, Rectangle
from ravenml.data.geometry_json import InvalidGeometry, parse_points

_FARTHEST = 1e6


def numbers(given: Mapping[str, object], *names: str) -> list[float]:
    """The finite numbers that a mapping has under ``names``; text that says a number is one.

    Raises:
        InvalidGeometry: one is missing or no number.
    """
    values = []
    for name in names:
        value = given.get(name)
        try:
            number = float(value) if isinstance(value, int | float | str) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if isinstance(value, bool):
            number = math.nan
        if not math.isfinite(number):
            raise InvalidGeometry(name, "is missing" if value is None else f"{value!r} is not a number")
        if abs(number) > _FARTHEST:
            raise InvalidGeometry(name, f"{number:g} is beyond a million pixels")
        values.append(number)
    return values


def whole_side(given: object) -> int | None:
    """An image's width or height in pixels, as a number or text; None where it is not one."""
    try:
        side = float(given) if isinstance(given, int | float | str) and not isinstance(given, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return int(side) if 0 < side <= _FARTHEST and side.is_integer() else None


def box(left: float, top: float, right: float, bottom: float) -> Rectangle:
    """A box by its edges, in any order; each edge goes to the nearest border between pixels.

    Raises:
        InvalidGeometry: it has no area.
    """
    left, right = sorted((left, right))
    top, bottom = sorted((top, bottom))
    if right <= left or bottom <= top:
        raise InvalidGeometry("", f"the box has no area ({right - left:g}×{bottom - top:g})")
    x, y = math.floor(left + 0.5), math.floor(top + 0.5)
    return Rectangle(x, y, max(math.floor(right + 0.5) - 1, x), max(math.floor(bottom + 0.5) - 1, y))


def edges(rectangle: Rectangle) -> tuple[int, int, int, int]:
    """The opposite: left, top, right and bottom edge."""
    return rectangle.left, rectangle.top, rectangle.right + 1, rectangle.bottom + 1


def polygon(corners: object, field: str = "points") -> Polygon:
    """A polygon from a list of [x, y].

    Raises:
        InvalidGeometry: it is no such list, has fewer than three points, or no area.
    """
    whole = parse_points(corners, field, 3)
    if area(np.asarray(corners, np.float64)) < 1e-6:
        raise InvalidGeometry(field, "the polygon has no area")
    return Polygon(whole)


def area(corners: np.ndarray) -> float:
    """What a polygon encloses, in pixels, by its corners (N, 2); 0 where they lie in one line."""
    x, y = (corners - corners[0]).astype(np.float64).T
    return abs(float(x[:-1] @ y[1:] - y[:-1] @ x[1:])) / 2


def line(corners: object, field: str = "points") -> Line:
    """An open line from a list of [x, y]; `InvalidGeometry` where there are fewer than two."""
    return Line(parse_points(corners, field, 2))


def point(x: float, y: float) -> Point:
    """The pixel that (x, y) lies in."""
    return Point(math.floor(x), math.floor(y))


def ellipse(x: float, y: float, across: float, down: float, turn: float = 0.0) -> Polygon:
    """The polygon of an ellipse that is nowhere farther than half a pixel from it.

    Args:
        x: its middle's place from the left.
        y: its middle's place from the top.
        across: the radius along the first axis.
        down: the radius along the other.
        turn: by how much it is turned clockwise, in radians.

    Raises:
        InvalidGeometry: a radius is not positive.
    """
    if across <= 0 or down <= 0:
        raise InvalidGeometry("", f"the ellipse has no area (radii {across:g} and {down:g})")
    # The farthest that a chord lies from a circle is r(1 - cos(step / 2)).
    step = 2 * math.acos(max(1 - 0.25 / max(across, down), 0.0))
    angles = np.linspace(0, 2 * math.pi, max(math.ceil(2 * math.pi / step), 8), endpoint=False)
    along, beside = across * np.cos(angles), down * np.sin(angles)
    sine, cosine = math.sin(turn), math.cos(turn)
    ring = np.stack([x + along * cosine - beside * sine, y + along * sine + beside * cosine], axis=1)
    whole = np.rint(ring).astype(np.int32)
    kept = np.any(whole != np.roll(whole, 1, axis=0), axis=1)
    if np.count_nonzero(kept) < 3:
        return Polygon(whole[:3])
    return Polygon(whole[kept])


def turned_box(left: float, top: float, right: float, bottom: float, degrees: float) -> Polygon:
    """The polygon of a box that is turned clockwise about its middle.

    Raises:
        InvalidGeometry: it has no area.
    """
    box(left, top, right, bottom)
    middle = ((left + right) / 2, (top + bottom) / 2)
    corners = cv2.boxPoints((middle, (right - left, bottom - top), degrees))
    return polygon(corners.tolist())
