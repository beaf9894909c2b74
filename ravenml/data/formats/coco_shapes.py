"""The shapes of COCO's annotations.

COCO's coordinates are continuous: the pixel in the column 2 reaches from 2 to 3.  A polygon's corner is
written in the middle of its pixel, a box along the pixels' edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ravenml.data.bitmap import trim
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.base import Size
from ravenml.data.formats.rle import flat_of, pack_runs, runs_of, unpack_runs
from ravenml.data.geometry import AnyGeometry, Bitmap, Geometry, Polygon, Rectangle
from ravenml.data.masks import draw
from ravenml.data.shapes import InvalidGeometry
from ravenml.data.transforms import as_bitmap, bounds

_LARGEST = 1 << 28  # pixels of a mask


def shape_of(entry: dict[str, Any], size: Size) -> AnyGeometry:
    """An annotation's shape: its segmentation, or its box where it has none.

    One polygon is a polygon; several are one object, and so become a bitmap.

    Raises:
        InvalidGeometry: it is broken or empty.
    """
    given = entry.get("segmentation")
    if isinstance(given, dict):
        return _mask(given, size)
    if isinstance(given, list) and given:
        rings = [_ring(ring, f"segmentation[{number}]") for number, ring in enumerate(given)]
        return rings[0] if len(rings) == 1 else _united(rings, size)
    if given:
        raise InvalidGeometry("segmentation", "is not a list of polygons and no mask")
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise InvalidGeometry("bbox", "is missing" if box is None else "is not a list of four numbers")
    left, top, width, height = geometry_parsing.numbers(dict(zip("xywh", box, strict=True)), *"xywh")
    if width <= 0 or height <= 0:
        raise InvalidGeometry("bbox", f"the box has no area ({width:g}×{height:g})")
    return geometry_parsing.box(left, top, left + width, top + height)


def said_of(geometry: Geometry, size: Size, crowd: bool) -> dict[str, Any]:
    """The fields of an annotation that tell a shape: ``segmentation``, ``bbox`` and ``area``."""
    extent = bounds(geometry)
    left, top, right, bottom = geometry_parsing.edges(extent)
    box = [left, top, right - left, bottom - top]
    if isinstance(geometry, Rectangle) and not crowd:
        return {"segmentation": [], "bbox": box, "area": box[2] * box[3]}
    whole = as_bitmap(geometry, size)
    count = int(np.count_nonzero(whole.mask)) if whole is not None else 0
    if isinstance(geometry, Polygon) and not crowd:
        ring = (geometry.exterior + 0.5).reshape(-1).tolist()
        return {"segmentation": [ring], "bbox": box, "area": count}
    mask = np.zeros(size, bool)
    if whole is not None:
        x, y = whole.origin
        mask[y : y + whole.mask.shape[0], x : x + whole.mask.shape[1]] = whole.mask
    counts = pack_runs(runs_of(mask.T.reshape(-1)))
    return {"segmentation": {"size": list(size), "counts": counts}, "bbox": box, "area": count}


def _ring(given: Any, field: str) -> Polygon:
    if not isinstance(given, list) or len(given) % 2:
        raise InvalidGeometry(field, "is not a list x, y, x, y, …")
    return geometry_parsing.polygon([list(pair) for pair in zip(given[::2], given[1::2], strict=True)], field)


def _united(rings: list[Polygon], size: Size) -> Bitmap:
    mask = np.zeros(size, np.uint8)
    for ring in rings:
        draw(mask, ring, 1)
    return _bitmap(mask)


def _mask(given: dict[str, Any], size: Size) -> Bitmap:
    said, counts = given.get("size"), given.get("counts")
    if (
        not isinstance(said, list)
        or len(said) != 2
        or not all(isinstance(side, int) and 0 < side < 1 << 20 for side in said)
        or said[0] * said[1] > _LARGEST
    ):
        raise InvalidGeometry("segmentation.size", "is not [height, width]")
    if (said[0], said[1]) != size:
        raise InvalidGeometry("segmentation.size", f"is {said[1]}×{said[0]}, the image {size[1]}×{size[0]}")
    try:
        runs = unpack_runs(counts) if isinstance(counts, str) else counts
        flat = flat_of(runs if isinstance(runs, list) else [], said[0] * said[1])
    except ValueError as error:
        raise InvalidGeometry("segmentation.counts", str(error)) from None
    return _bitmap(flat.reshape(said[1], said[0]).T)


def _bitmap(mask: np.ndarray) -> Bitmap:
    if not mask.any():
        raise InvalidGeometry("segmentation", "the mask is empty")
    return Bitmap(*trim(mask))
