"""What was predicted, as a mask of numbers and as a picture to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.data.editable_annotation import Label
from ravenml.data.geometry import Bitmap, Line, Point, Polygon, Rectangle
from ravenml.data.masks import draw, mask_type
from ravenml.data.meta import ObjClass


def draw_mask(
    labels: Sequence[Label], size: tuple[int, int], classes: Sequence[ObjClass]
) -> NDArray[np.generic]:
    """What was predicted as one mask (height, width): 0 for nothing, else the class's number from 1."""
    numbers = {one.title: index + 1 for index, one in enumerate(classes)}
    mask = np.zeros(size, mask_type(len(classes)))
    for label in labels:
        shape = label.geometry
        if shape is not None and not isinstance(shape, Line | Point):
            draw(mask, shape, numbers.get(label.title, 0))
    return mask


def draw_overlay(
    image: NDArray[np.uint8], labels: Sequence[Label], classes: Sequence[ObjClass]
) -> NDArray[np.uint8]:
    """The image with what was predicted laid over it: areas as a tint, rectangles as a frame."""
    colors = {one.title: one.rgb for one in classes}
    shown = image.copy()
    thick = max(1, round(max(image.shape) / 500))
    for label in labels:
        shape, color = label.geometry, colors.get(label.title, (255, 255, 255))
        if isinstance(shape, Rectangle):
            cv2.rectangle(shown, (shape.left, shape.top), (shape.right, shape.bottom), color, thick)
        elif isinstance(shape, Bitmap | Polygon):
            where = np.zeros(image.shape[:2], np.uint8)
            draw(where, shape, 1)
            shown[where > 0] = (shown[where > 0] * 0.5 + np.array(color) * 0.5).astype(np.uint8)
    return shown
