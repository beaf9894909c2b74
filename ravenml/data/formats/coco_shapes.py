"""The shapes of COCO's annotations: boxes, polygons and run-length masks, read and written.

COCO's coordinates are continuous: the pixel in the column 2 reaches from 2 to 3.  A polygon's corner is
written in the middle of its pixel, a box along the pixels' edges.
"""

from __future__ import annotations

import numpy as np

from ravenml.data.bitmap import trim
from ravenml.data.formats import geometry_parsing
from ravenml.data.formats.rle import flat_of, pack_runs, runs_of, unpack_runs
from ravenml.data.geometry import AnyGeometry, Bitmap, Geometry, Polygon, Rectangle, Size
from ravenml.data.geometry_json import InvalidGeometry, parse_points
from ravenml.data.masks import draw
from ravenml.data.problems import Notice
from ravenml.data.transforms import as_bitmap, bounds

_LARGEST = 1 << 28  # pixels of a mask
_NO_AREA = 1e-6  # pixels
_BOX_KEPT = "an outline that encloses nothing was replaced by its object's box"
_PART_LOST = "a part of an outline that is not a polygon was left out, and the object's other parts kept"


def read_shape(entry: dict[str, object], size: Size, remark: Notice) -> AnyGeometry:
    """An annotation's shape: its segmentation, or its box where it has none.

    One polygon is a polygon; several are one object, and so become a bitmap.  Parts that are not polygons are
    left out where there are others; where all of them enclose nothing (two points, or a box in their place),
    the box is the shape.

    Args:
        entry: the annotation.
        size: (height, width) of the image.
        remark: told of what was left out or replaced.

    Raises:
        InvalidGeometry: it is broken or empty.
    """
    given = entry.get("segmentation")
    if isinstance(given, list):
        given = [part for part in given if part != []]
        given = given[0] if len(given) == 1 and isinstance(given[0], dict) else given
    if not given:
        return _box(entry.get("bbox"))
    if isinstance(given, dict):
        return _mask(given, size)
    if not isinstance(given, list):
        raise InvalidGeometry("segmentation", "is not a list of polygons and no mask")
    polygons, lost, broken = _polygons(given)
    if polygons:
        if lost:
            remark(_PART_LOST)
        return polygons[0] if len(polygons) == 1 else _united(polygons, size)
    if broken is not None:
        raise broken
    try:
        shape = _box(entry.get("bbox"))
    except InvalidGeometry:
        problem = "has no polygon of at least three points with an area, and there is no box to use instead"
        raise InvalidGeometry("segmentation", problem) from None
    remark(_BOX_KEPT)
    return shape


def shape_json(geometry: Geometry, size: Size, crowd: bool) -> dict[str, object]:
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


def _polygons(given: list[object]) -> tuple[list[Polygon], int, InvalidGeometry | None]:
    """A segmentation's polygons, how many of its parts are none, and what is wrong with the first of these.

    One polygon may stand there without a list around it, as x, y, x, y, … or as pairs.
    """
    bare = not any(isinstance(part, list) for part in given)
    if bare or (len(given) > 2 and all(_is_pair(part) for part in given)):
        given = [given]
    polygons, broken = [], None
    for number, part in enumerate(given):
        try:
            polygon = _polygon(part, f"segmentation[{number}]")
        except InvalidGeometry as error:
            broken = broken or error
            continue
        if polygon is not None:
            polygons.append(polygon)
    return polygons, len(given) - len(polygons), broken


def _polygon(given: object, field: str) -> Polygon | None:
    """A polygon from x, y, x, y, … or pairs of them; None where it encloses nothing."""
    if not isinstance(given, list):
        raise InvalidGeometry(field, "is not a list x, y, x, y, …")
    if not given:
        return None
    try:
        corners = np.asarray(given, np.float64)
        if not all(_is_pair(one) for one in given):
            corners = corners.reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        raise InvalidGeometry(field, "is not a list x, y, x, y, …") from None
    whole = parse_points(corners, field, 1)
    if len(whole) < 3 or geometry_parsing.area(corners) < _NO_AREA:
        return None
    return Polygon(whole)


def _is_pair(given: object) -> bool:
    return isinstance(given, list) and len(given) == 2 and not any(isinstance(one, list) for one in given)


def _box(given: object) -> Rectangle:
    if not isinstance(given, list) or len(given) != 4:
        raise InvalidGeometry("bbox", "is missing" if given is None else "is not a list of four numbers")
    try:
        left, top, width, height = geometry_parsing.numbers(dict(zip("xywh", given, strict=True)), *"xywh")
    except InvalidGeometry as bad:
        raise InvalidGeometry("bbox", bad.problem) from None
    if width <= 0 or height <= 0:
        raise InvalidGeometry("bbox", f"the box has no area ({width:g}×{height:g})")
    return geometry_parsing.box(left, top, left + width, top + height)


def _united(rings: list[Polygon], size: Size) -> Bitmap:
    mask = np.zeros(size, np.uint8)
    for ring in rings:
        draw(mask, ring, 1)
    return _bitmap(mask)


def _mask(given: dict[str, object], size: Size) -> Bitmap:
    counts, said = given.get("counts"), given.get("size")
    sides = (
        [geometry_parsing.whole_side(side) for side in said]
        if isinstance(said, list) and len(said) == 2
        else []
    )
    height, width = sides or (None, None)
    if not height or not width or height * width > _LARGEST:
        raise InvalidGeometry("segmentation.size", "is not [height, width]")
    if (height, width) != size:
        raise InvalidGeometry("segmentation.size", f"is {width}×{height}, the image {size[1]}×{size[0]}")
    try:
        runs = unpack_runs(counts) if isinstance(counts, str) else counts
        flat = flat_of(runs if isinstance(runs, list) else [], height * width)
    except ValueError as error:
        raise InvalidGeometry("segmentation.counts", str(error)) from None
    return _bitmap(flat.reshape(width, height).T)


def _bitmap(mask: np.ndarray) -> Bitmap:
    if not mask.any():
        raise InvalidGeometry("segmentation", "the mask is empty")
    return Bitmap(*trim(mask))
