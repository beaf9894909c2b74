"""The shapes of objects: three that become masks, and lines and points, which do not.

Coordinates are pixels with x to the right and y down, ``(0, 0)`` being the top left pixel, as in
Supervisely's annotation format (https://docs.supervisely.com/data-organization/00_ann_format_navi).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Points = np.ndarray  # int32 (N, 2), rows of (x, y)
Size = tuple[int, int]  # (height, width) of an image


@dataclass(frozen=True, slots=True, eq=False)
class Bitmap:
    """A mask with its place: ``mask`` is bool (height, width), ``origin`` the (x, y) of its top left."""

    origin: tuple[int, int]
    mask: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """An outline and its holes, each int32 (N, 2) of (x, y); the outline's own pixels belong to it,
    those of a hole's outline to the hole."""

    exterior: Points
    interior: tuple[Points, ...] = ()


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Corner pixels, both inclusive: a rectangle from 2 to 4 is three pixels wide."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """An open line through its points, int32 (N, 2) of (x, y)."""

    points: Points


@dataclass(frozen=True, slots=True)
class Point:
    """One pixel."""

    x: int
    y: int


Geometry = Bitmap | Polygon | Rectangle  # what can be drawn into a mask
AnyGeometry = Geometry | Line | Point


def geometry_kind(geometry: AnyGeometry) -> str:
    """``bitmap``, ``polygon``, ``rectangle``, ``line`` or ``point``: what annotations call a shape."""
    return type(geometry).__name__.lower()
