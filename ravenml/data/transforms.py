"""Moving, cutting, scaling and mirroring shapes, true to the pixel.

Each function gives new shapes.  Where nothing would be left of a shape, the list is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np

from ravenml.data.bitmap import trim
from ravenml.data.geometry import AnyGeometry, Bitmap, Line, Point, Points, Polygon, Rectangle
from ravenml.data.masks import draw

_TRIES = 16  # lengths of a line that are tried, the longest first
_LARGEST = 2**26  # pixels; a polygon that is larger is cut where it lies in the window alone


def bounds(geometry: AnyGeometry) -> Rectangle:
    """The smallest rectangle that holds the shape: of a bitmap, its set pixels, and all where none is set."""
    if isinstance(geometry, Rectangle):
        return geometry
    if isinstance(geometry, Bitmap):
        left, top, wide, high = cv2.boundingRect(np.ascontiguousarray(geometry.mask).view(np.uint8))
        if wide == 0:
            return _extent(geometry)
        x, y = geometry.origin[0] + left, geometry.origin[1] + top
        return Rectangle(x, y, x + wide - 1, y + high - 1)
    if isinstance(geometry, Point):
        return Rectangle(geometry.x, geometry.y, geometry.x, geometry.y)
    points = geometry.exterior if isinstance(geometry, Polygon) else geometry.points
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return Rectangle(left, top, right, bottom)


def translate(geometry: AnyGeometry, dx: int, dy: int) -> AnyGeometry:
    """Move a shape to the right and down by whole pixels."""
    if isinstance(geometry, Bitmap):
        return replace(geometry, origin=(geometry.origin[0] + dx, geometry.origin[1] + dy))
    if isinstance(geometry, Rectangle):
        return Rectangle(geometry.left + dx, geometry.top + dy, geometry.right + dx, geometry.bottom + dy)
    if isinstance(geometry, Point):
        return Point(geometry.x + dx, geometry.y + dy)
    return _with_points(geometry, lambda points: points + np.array((dx, dy), np.int32))


def overlap(one: Rectangle, other: Rectangle) -> Rectangle | None:
    """What two rectangles share."""
    left, top = max(one.left, other.left), max(one.top, other.top)
    right, bottom = min(one.right, other.right), min(one.bottom, other.bottom)
    return Rectangle(left, top, right, bottom) if left <= right and top <= bottom else None


def crop(geometry: AnyGeometry, window: Rectangle) -> list[AnyGeometry]:
    """Cut a shape to a window; what is left keeps its place and, drawn, its pixels.

    A polygon that reaches out of the window may become several, which follow its pixels; a line too.
    """
    extent = _extent(geometry) if isinstance(geometry, Bitmap) else bounds(geometry)
    shared = overlap(extent, window)
    if shared is None:
        return []
    if shared == extent:
        return [geometry]
    if isinstance(geometry, Bitmap):
        x, y = geometry.origin
        part = geometry.mask[shared.top - y : shared.bottom - y + 1, shared.left - x : shared.right - x + 1]
        return [Bitmap((shared.left, shared.top), part)] if part.any() else []
    if isinstance(geometry, Line):
        return [Line(piece) for piece in _pieces(geometry.points, window)]
    if isinstance(geometry, Polygon):
        return list(_cut(geometry, shared))
    return [shared]


def scale(geometry: AnyGeometry, size: tuple[int, int], to: tuple[int, int]) -> list[AnyGeometry]:
    """Scale a shape with its image from ``size`` to ``to``, both (height, width).

    Bitmaps and rectangles come out as if their mask had been resized: every new pixel is the old one that
    its centre lies in.  Corners of polygons and lines are rounded to the nearest pixel.
    """
    if isinstance(geometry, Bitmap | Rectangle):
        extent = _extent(geometry) if isinstance(geometry, Bitmap) else geometry
        rows, columns = _sources(size[0], to[0]), _sources(size[1], to[1])
        down = np.flatnonzero((rows >= extent.top) & (rows <= extent.bottom))
        right = np.flatnonzero((columns >= extent.left) & (columns <= extent.right))
        if not down.size or not right.size:
            return []
        if isinstance(geometry, Rectangle):
            return [Rectangle(int(right[0]), int(down[0]), int(right[-1]), int(down[-1]))]
        mask = geometry.mask[rows[down] - extent.top][:, columns[right] - extent.left]
        return [Bitmap((int(right[0]), int(down[0])), mask)] if mask.any() else []
    factors = np.array((to[1] / size[1], to[0] / size[0]))
    if isinstance(geometry, Point):
        x, y = np.floor((np.array((geometry.x, geometry.y)) + 0.5) * factors).astype(int).tolist()
        return [Point(x, y)]
    return [_with_points(geometry, lambda p: np.rint((p + 0.5) * factors - 0.5).astype(np.int32))]


def fliplr(geometry: AnyGeometry, width: int) -> AnyGeometry:
    """Mirror a shape with its image of this width: the first column becomes the last."""
    last = width - 1
    if isinstance(geometry, Bitmap):
        x = width - geometry.origin[0] - geometry.mask.shape[1]
        return Bitmap((x, geometry.origin[1]), geometry.mask[:, ::-1])
    if isinstance(geometry, Rectangle):
        return Rectangle(last - geometry.right, geometry.top, last - geometry.left, geometry.bottom)
    if isinstance(geometry, Point):
        return Point(last - geometry.x, geometry.y)
    return _with_points(geometry, lambda p: np.stack([last - p[:, 0], p[:, 1]], axis=1).astype(np.int32))


def transpose(geometry: AnyGeometry) -> AnyGeometry:
    """Mirror a shape with its image at the diagonal: rows become columns."""
    if isinstance(geometry, Bitmap):
        return Bitmap((geometry.origin[1], geometry.origin[0]), geometry.mask.T)
    if isinstance(geometry, Rectangle):
        return Rectangle(geometry.top, geometry.left, geometry.bottom, geometry.right)
    if isinstance(geometry, Point):
        return Point(geometry.y, geometry.x)
    return _with_points(geometry, lambda points: np.ascontiguousarray(points[:, ::-1]))


def as_bitmap(geometry: AnyGeometry, size: tuple[int, int]) -> Bitmap | None:
    """The pixels that a shape sets in an image of ``size`` (height, width); None where there are none."""
    if isinstance(geometry, Line | Point):
        return None
    mask = np.zeros(size, np.uint8)
    draw(mask, geometry, 1)
    return Bitmap(*trim(mask)) if mask.any() else None


def outlines(mask: np.ndarray) -> Iterator[Polygon]:
    """The polygons that, drawn, set the pixels of a mask (height, width) and no others."""
    count, parts = cv2.connectedComponents((mask != 0).astype(np.uint8), connectivity=8)
    for number in range(1, count):
        part = (parts == number).astype(np.uint8)
        (exterior,) = _contours(part)
        filled = np.zeros_like(part)
        cv2.fillPoly(filled, [exterior], 1)
        yield Polygon(exterior, tuple(_rings(filled & ~part)))


def _extent(bitmap: Bitmap) -> Rectangle:
    """The place of a bitmap's mask, whose border may have no set pixel."""
    (x, y), (height, width) = bitmap.origin, bitmap.mask.shape
    return Rectangle(x, y, x + width - 1, y + height - 1)


def _with_points(geometry: Polygon | Line, change: Callable[[Points], Points]) -> Polygon | Line:
    if isinstance(geometry, Line):
        return Line(change(geometry.points))
    return Polygon(change(geometry.exterior), tuple(change(hole) for hole in geometry.interior))


def _sources(old: int, new: int) -> np.ndarray:
    """For each of ``new`` pixels, which of ``old`` its centre lies in."""
    sources: np.ndarray = np.minimum(((np.arange(new) + 0.5) * (old / new)).astype(int), old - 1)
    return sources


def _pieces(points: Points, window: Rectangle) -> Iterator[Points]:
    box = (window.left, window.top, window.right - window.left + 1, window.bottom - window.top + 1)
    piece: list[tuple[int, ...]] = []
    for start, end in zip(points[:-1].tolist(), points[1:].tolist(), strict=True):
        inside, first, last = cv2.clipLine(box, start, end)
        if not inside:
            continue
        if piece and piece[-1] != tuple(first):
            yield np.array(piece, np.int32)
            piece = []
        piece = [*(piece or [tuple(first)]), tuple(last)]
    if piece:
        yield np.array(piece, np.int32)


def _cut(polygon: Polygon, shared: Rectangle) -> Iterator[Polygon]:
    # OpenCV clips outlines at the picture's edge, so outline and holes are drawn whole where they can be.
    rings = np.concatenate([polygon.exterior, *polygon.interior])
    canvas = bounds(Polygon(rings))
    if (canvas.bottom - canvas.top + 1) * (canvas.right - canvas.left + 1) > _LARGEST:
        canvas = shared
    mask = np.zeros((canvas.bottom - canvas.top + 1, canvas.right - canvas.left + 1), np.uint8)
    moved = translate(polygon, -canvas.left, -canvas.top)
    assert isinstance(moved, Polygon)
    draw(mask, moved, 1)
    part = mask[
        shared.top - canvas.top : shared.bottom - canvas.top + 1,
        shared.left - canvas.left : shared.right - canvas.left + 1,
    ]
    for outline in outlines(part):
        placed = translate(_with_fewer_points(outline), shared.left, shared.top)
        assert isinstance(placed, Polygon)
        yield placed


def _with_fewer_points(outline: Polygon) -> Polygon:
    """The same pixels with fewer points: a slanted side is one line, or a few, and not a staircase."""
    fewer = Polygon(_straightened(outline.exterior), tuple(_straightened(hole) for hole in outline.interior))
    box = bounds(outline)
    before, after = (np.zeros((box.bottom + 1, box.right + 1), np.uint8) for _ in range(2))
    draw(before, outline, 1)
    draw(after, fewer, 1)
    return fewer if np.array_equal(before, after) else outline


def _straightened(ring: Points) -> Points:
    """A ring along pixels with only as many points as lines need that pass within half a pixel of all."""
    steps = np.roll(ring, -1, axis=0) - ring
    counts = np.abs(steps).max(axis=1)
    path = np.concatenate(
        [
            start + np.arange(count)[:, None] * step // max(count, 1)
            for start, step, count in zip(ring, steps, counts, strict=True)
        ]
        + [ring[:1]]
    )
    kept, start = [0], 0
    while start < len(path) - 1:
        start += max(_longest_line(path[start:], axis) for axis in (0, 1))
        kept.append(start)
    points = path[kept[:-1]]
    return points.astype(np.int32) if len(points) >= 3 else ring


def _longest_line(path: Points, axis: int) -> int:
    """How many steps of a path along pixels one line can replace that goes by whole pixels along an axis.

    Seen from the path's first pixel, each further pixel leaves the line a range of slopes.
    """
    along, aside = (path[1:] - path[0]).T[[axis, 1 - axis]]
    steps = np.arange(1, len(path))
    straight = along == (steps if along[0] > 0 else -steps)
    count = len(straight) if straight.all() else int(np.argmin(straight))
    if count == 0:
        return 1
    aside, steps = aside[:count], steps[:count]
    least = np.maximum.accumulate((aside - 0.5) / steps)
    most = np.minimum.accumulate((aside + 0.5) / steps)
    slope = aside / steps
    fits = np.flatnonzero((slope >= least) & (slope <= most)) + 1
    for end in fits[::-1][:_TRIES].tolist():
        if np.array_equal(_line(path[0], path[end], axis), path[: end + 1]):
            return int(end)
    return 1


def _line(start: np.ndarray, end: np.ndarray, axis: int) -> Points:
    """The pixels that OpenCV sets for a line which goes by whole pixels along an axis.

    It draws from left to right, and where the line passes between two pixels, it stays nearer to its start.
    """
    if end[0] < start[0]:
        return _line(end, start, axis)[::-1]
    whole = end - start
    count = abs(int(whole[axis]))
    steps = np.arange(count + 1)
    aside = -((count - 2 * steps * abs(int(whole[1 - axis]))) // (2 * count))  # rounded, halves down
    moved = np.empty((count + 1, 2), np.int64)
    moved[:, axis], moved[:, 1 - axis] = steps * np.sign(whole[axis]), aside * np.sign(whole[1 - axis])
    return start + moved


def _rings(region: np.ndarray) -> Iterator[Points]:
    """Rings that, drawn, set the pixels of a region (height, width) and no others.

    A contour goes on where pixels touch by their corners alone, and may so enclose what is not of the region;
    what is in such a one is told in two halves.
    """
    for ring in _contours(region):
        x, y, width, height = cv2.boundingRect(ring)
        drawn = np.zeros((height, width), np.uint8)
        cv2.fillPoly(drawn, [ring - np.array((x, y), np.int32)], 1)
        inside = drawn & region[y : y + height, x : x + width]
        if (inside == drawn).all():
            yield ring
            continue
        half = height // 2  # what encloses something is three pixels high at least
        for top, part in ((0, inside[:half]), (half, inside[half:])):
            for one in _rings(part):
                yield one + np.array((x, y + top), np.int32)


def _contours(mask: np.ndarray) -> list[Points]:
    """The outer contours of a mask's parts; those of one or two pixels are told with three points."""
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    rings = (np.asarray(contour).reshape(-1, 2).astype(np.int32) for contour in found)
    return [np.concatenate([ring, ring[-1:], ring[-1:]])[: max(len(ring), 3)] for ring in rings]
