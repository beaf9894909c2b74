"""Small JPEGs of an image, or of a part of it, with objects drawn on top."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.data.geometry import Bitmap, Geometry, Polygon, Rectangle
from ravenml.data.transforms import bounds, crop, overlap

Drawn = tuple[Geometry, tuple[int, int, int]]  # a shape and its colour, RGB

_TINT = 0.4  # of an area's colour over the image; its outline is opaque
_OUTSIDE = 128  # grey level of what lies outside the image
_LARGEST_ZOOM = 8.0
_QUALITY = 80
_LONGEST = 24_000  # bytes; noise takes more, and is then stored in a lower quality
_BROAD = 24  # pixels; frames from this size on have broader lines
_FAR = 1 << 14  # pixels; further away, OpenCV's integers would overflow


def make_thumbnail(
    image: NDArray[np.uint8], objects: Iterable[Drawn], side: int, window: Rectangle | None = None
) -> bytes:
    """A JPEG of a part of an image.

    Args:
        image: uint8 RGB (height, width, 3).
        objects: what to draw, in this order: areas tinted with an outline, rectangles as frames.
        side: the longer side of the result in pixels; small parts are enlarged, at most eightfold.
        window: the part, both corners inclusive; it may reach out of the image, which is grey there.  None:
            all of the image.
    """
    height, width = image.shape[:2]
    window = window or Rectangle(0, 0, width - 1, height - 1)
    wide, high = window.right - window.left + 1, window.bottom - window.top + 1
    scale = min(side / max(wide, high), _LARGEST_ZOOM)
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    shown = _cut(image, window, size, scale)
    for geometry, color in objects:
        _draw(shown, geometry, color, window, scale)
    return _encode(shown)


def window_around(box: Rectangle, size: tuple[int, int], least: int = 48) -> Rectangle:
    """The part of an image that shows an object and what is around it.

    It is at least ``least`` pixels wide and high, and reaches out of the image by a fifth of the image at
    most, wherever the box lies.

    Args:
        box: around the object.
        size: (height, width) of the image.
    """
    left, right = _span(box.left, box.right, size[1], least)
    top, bottom = _span(box.top, box.bottom, size[0], least)
    return Rectangle(left, top, right, bottom)


def _span(first: int, last: int, length: int, least: int) -> tuple[int, int]:
    """From where to where, in one direction."""
    margin = max(1, length // 5)
    lowest, highest = -margin, length - 1 + margin
    first, last = min(max(first, lowest), highest), min(max(last, lowest), highest)
    around = max((last - first + 1) // 2, (least - (last - first + 1)) // 2)
    first = min(first - around, max(length - 1 - least // 2, 0))  # so that some of the image is always seen
    last = max(last + around, min(least // 2, length - 1))
    return max(first, lowest), min(last, highest)


def _cut(
    image: NDArray[np.uint8], window: Rectangle, size: tuple[int, int], scale: float
) -> NDArray[np.uint8]:
    """The window's pixels at another size, (width, height); grey outside of the image."""
    height, width = image.shape[:2]
    inside = overlap(window, Rectangle(0, 0, width - 1, height - 1))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    shown = np.full((size[1], size[0], 3), _OUTSIDE, np.uint8)
    if inside is not None:
        part = image[inside.top : inside.bottom + 1, inside.left : inside.right + 1]
        left, top = round((inside.left - window.left) * scale), round((inside.top - window.top) * scale)
        left, top = min(left, size[0] - 1), min(top, size[1] - 1)  # what is less than a pixel is seen as one
        target = shown[top : top + max(1, round(part.shape[0] * scale)), left:]
        target = target[:, : max(1, round(part.shape[1] * scale))]
        target[:] = cv2.resize(part, target.shape[1::-1], interpolation=method)
    return shown


def _draw(
    shown: NDArray[np.uint8], geometry: Geometry, color: tuple[int, int, int], window: Rectangle, scale: float
) -> None:
    if isinstance(geometry, Rectangle):
        edges = np.array([[geometry.left, geometry.top], [geometry.right + 1, geometry.bottom + 1]])
        (left, top), (right, bottom) = _scaled(edges, window, scale).tolist()
        line = 2 if min(right - left, bottom - top) >= _BROAD else 1
        cv2.rectangle(shown, (left, top), (max(right - 1, left), max(bottom - 1, top)), color, line)
        return
    where = np.zeros(shown.shape[:2], np.uint8)
    if isinstance(geometry, Polygon):
        rings = [_scaled(ring + 0.5, window, scale) for ring in (geometry.exterior, *geometry.interior)]
        cv2.fillPoly(where, rings, 1)
    else:
        _fill(where, geometry, window, scale)
    left, top, wide, high = cv2.boundingRect(where)
    where, part = (array[top : top + high, left : left + wide] for array in (where, shown))
    if where.size:
        levels = np.arange(256)[None, :, None] * (1 - _TINT) + np.array(color) * _TINT
        cv2.copyTo(cv2.LUT(part, levels.astype(np.uint8)), where, part)
        outlines, _ = cv2.findContours(where, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(shown, outlines, -1, color, 1, offset=(left, top))


def _fill(where: NDArray[np.uint8], bitmap: Bitmap, window: Rectangle, scale: float) -> None:
    """Set the pixels of a bitmap that lie in the window."""
    for part in crop(bitmap, window):
        assert isinstance(part, Bitmap)
        box = bounds(part)  # so that what is thin does not vanish, however small it gets
        edges = np.array([[box.left, box.top], [box.right + 1, box.bottom + 1]])
        (left, top), (right, bottom) = _scaled(edges, window, scale).tolist()
        left, top = min(left, where.shape[1] - 1), min(top, where.shape[0] - 1)
        x, y = part.origin
        mask = part.mask[box.top - y : box.bottom - y + 1, box.left - x : box.right - x + 1]
        size = max(right - left, 1), max(bottom - top, 1)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        small = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=method)
        target = where[top : top + size[1], left : left + size[0]]
        target[np.asarray(small)[: target.shape[0], : target.shape[1]] >= 96] = 1


def _scaled(points: NDArray[np.number], window: Rectangle, scale: float) -> NDArray[np.int32]:
    moved = (points - np.array([window.left, window.top])) * scale
    return np.asarray(np.clip(np.floor(moved), -_FAR, _FAR), np.int32)


def _encode(pixels: NDArray[np.uint8]) -> bytes:
    for quality in (_QUALITY, 50, 20):
        content = bytes(
            cv2.imencode(
                ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
            )[1]
        )
        if len(content) <= _LONGEST:
            break
    return content
