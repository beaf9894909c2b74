"""Shapes that a format cannot hold, as the nearest that it can."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

import numpy as np

from ravenml.data.formats.geometry_parsing import area
from ravenml.data.geometry import (
    AnyGeometry,
    Bitmap,
    Geometry,
    Line,
    Point,
    Polygon,
    Rectangle,
    Size,
    geometry_kind,
)
from ravenml.data.transforms import as_bitmap, bounds, outlines, translate


class LossReport(Protocol):
    """Counts what could not be held."""

    def __call__(self, what: str, became: str = ..., count: int = ...) -> None: ...


def convert(
    geometry: AnyGeometry, holds: Collection[str], size: Size, lose: LossReport
) -> Iterator[AnyGeometry]:
    """The shape itself where the format holds it, else one or several that it holds, or nothing.

    Polygons and bitmaps become each other where they can, as that keeps their pixels, and boxes where
    nothing else is held.

    Args:
        geometry: the shape.
        holds: of ``polygon``, ``holes``, ``bitmap``, ``rectangle``, ``line`` and ``point`` what is held.
        size: the image's (height, width).
        lose: is told of each change.
    """
    kind = geometry_kind(geometry)
    if isinstance(geometry, Line | Point):
        if kind in holds:
            yield geometry
        else:
            lose(f"{kind}s")
    elif isinstance(geometry, Polygon) and geometry.interior and "holes" not in holds and "polygon" in holds:
        if "bitmap" in holds:
            yield from _bitmap(geometry, size, "polygons with holes", lose)
        else:
            lose("holes", "were filled", len(geometry.interior))
            yield Polygon(geometry.exterior)
    elif kind in holds:
        yield geometry
    elif "bitmap" in holds:
        yield from _bitmap(geometry, size, f"{kind}s", lose)
    elif "polygon" in holds:
        lose(f"{kind}s", "became polygons")
        yield from _polygons(geometry, "holes" in holds, lose)
    elif "rectangle" in holds:
        lose(f"{kind}s", "became boxes")
        yield bounds(geometry)
    else:
        lose(f"{kind}s")


def _bitmap(geometry: Geometry, size: Size, what: str, lose: LossReport) -> Iterator[AnyGeometry]:
    made = as_bitmap(geometry, size)
    if made is None:
        lose("objects outside of the image")
    else:
        lose(what, "became bitmaps")
        yield made


def _polygons(geometry: Geometry, holes: bool, lose: LossReport) -> Iterator[AnyGeometry]:
    if isinstance(geometry, Rectangle):
        (left, top), (right, bottom) = (geometry.left, geometry.top), (geometry.right, geometry.bottom)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        yield Polygon(np.array(corners, np.int32))
    elif isinstance(geometry, Bitmap):
        pieces = 0
        for piece in outlines(geometry.mask):
            if area(piece.exterior) == 0:
                lose("parts of bitmaps that are one pixel wide")
                continue
            if piece.interior and not holes:
                lose("holes", "were filled", len(piece.interior))
                piece = Polygon(piece.exterior)
            pieces += 1
            yield translate(piece, *geometry.origin)
        if pieces > 1:
            lose("bitmaps of several parts", "became several objects")
