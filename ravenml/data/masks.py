"""Drawing an annotation into one mask of class numbers."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.data.annotation import Annotation
from ravenml.data.geometry import Bitmap, Geometry, Polygon, Rectangle

_STRENGTH = 0.5  # of the colours over a picture


def mask_type(classes: int) -> type[np.uint8] | type[np.uint16]:
    """The smallest type that holds the numbers 0 to ``classes``."""
    return np.uint8 if classes < 256 else np.uint16


def draw_mask(annotation: Annotation, titles: Sequence[str]) -> np.ndarray:
    """Draw the objects, in the file's order, into a mask (height, width).

    A pixel is ``i + 1`` where the object drawn last has the class ``titles[i]``, and 0 where there is
    none or its class is not in ``titles``.  uint8 for up to 255 titles, else uint16.

    Shapes are drawn to the pixel as Supervisely's SDK draws them (OpenCV's ``fillPoly`` for polygons;
    rectangles with both corners); what lies outside the image is cut off.
    """
    mask = np.zeros(annotation.size, mask_type(len(titles)))
    numbers = {title: index + 1 for index, title in enumerate(titles)}
    for thing in annotation.objects:
        draw(mask, thing.geometry, numbers.get(thing.class_title, 0))
    return mask


def overlay_masks(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Lay colours over an image where the mask is not 0.

    Args:
        image: uint8 RGB ``(H, W, 3)``.
        mask: ``(H, W)``; ``i + 1`` is the colour ``colours[i]``.
        colours: uint8 ``(C, 3)``.
    """
    table = np.concatenate([np.zeros((1, 3), np.uint8), colours])
    coloured = cv2.addWeighted(image, 1 - _STRENGTH, table[mask], _STRENGTH, 0)
    return np.where(mask[..., None] > 0, coloured, image).astype(np.uint8)


def draw(mask: np.ndarray, geometry: Geometry, value: int) -> None:
    """Draw one shape with ``value`` into ``mask`` (height, width), which is changed."""
    if isinstance(geometry, Bitmap):
        x, y = geometry.origin
        height, width = geometry.mask.shape
        _paint(mask[y : y + height, x : x + width], geometry.mask.view(np.uint8), value)
    elif isinstance(geometry, Rectangle):
        top, left = max(geometry.top, 0), max(geometry.left, 0)
        mask[top : max(geometry.bottom + 1, 0), left : max(geometry.right + 1, 0)] = value
    else:
        _draw_polygon(mask, geometry, value)


def _draw_polygon(mask: np.ndarray, polygon: Polygon, value: int) -> None:
    if not polygon.interior:
        cv2.fillPoly(mask, [polygon.exterior], value)
        return
    # With holes the shape is made apart and then laid on, so that what was drawn before shows through.
    every = np.concatenate([polygon.exterior, *polygon.interior])
    (left, top), (right, bottom) = every.min(axis=0), every.max(axis=0)
    if left < 0 or top < 0 or right >= mask.shape[1] or bottom >= mask.shape[0]:
        # OpenCV clips outlines at the picture's edge: only a part of the same extent gives the same pixels.
        left, top, right, bottom = 0, 0, mask.shape[1] - 1, mask.shape[0] - 1
    shape = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    corner = np.array((left, top), np.int32)
    cv2.fillPoly(shape, [polygon.exterior - corner], 1)
    cv2.fillPoly(shape, [hole - corner for hole in polygon.interior], 0)
    _paint(mask[top : bottom + 1, left : right + 1], shape, value)


def _paint(region: np.ndarray, where: np.ndarray, value: int) -> None:
    """Set ``region`` to ``value`` where ``where`` (uint8) is not zero."""
    if region.dtype == np.uint8 and region.size:
        # Three times as fast as a boolean index, and outside Python's lock.
        cv2.copyTo(np.full(where.shape, value, np.uint8), where, region)
    else:
        region[where.view(bool)] = value
