"""Images and shapes turned around the middle of the image, by any angle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

import cv2
import numpy as np

from ravenml.sly.geometry import Point, Rectangle


class RotateMode(Enum):
    """What becomes of an image's edges when it is turned."""

    KEEP_BLACK = 0  # it grows until all of the image is in it
    CROP_BLACK = 1  # it is cut to the largest rectangle without black corners
    SAVE_ORIGINAL_SIZE = 2


class ImageRotator:
    """Turns an image, and what is annotated in it; the new image holds all of the old one.

    Args:
        imsize: (height, width).
        angle_degrees_ccw: in degrees, counterclockwise.

    Attributes:
        src_imsize: (height, width) before.
        new_imsize: (height, width) afterwards.
        inner_crop: the largest rectangle of the new image without black corners.
    """

    def __init__(self, imsize: Sequence[int], angle_degrees_ccw: float) -> None:
        height, width = int(imsize[0]), int(imsize[1])
        self.src_imsize, self.angle_degrees_ccw = (height, width), angle_degrees_ccw
        self._matrix = _matrix(height, width, angle_degrees_ccw)
        corners = np.array([(x, y) for x in (0, width - 1) for y in (0, height - 1)], np.float64)
        turned = self.transform(corners)
        low, high = turned.min(axis=0), turned.max(axis=0)
        self._matrix[:, 2] -= low
        columns, rows = np.ceil((high - low + 1).round(6)).astype(int).tolist()
        self.new_imsize = (rows, columns)
        self.inner_crop = self._inner_crop()

    def transform(self, places: np.ndarray) -> np.ndarray:
        """Where points come to lie; both float (N, 2) of (x, y)."""
        return np.asarray(places @ self._matrix[:, :2].T + self._matrix[:, 2])

    def transform_point(self, point: Point) -> Point:
        """Where a point comes to lie."""
        x, y = self.transform(np.array([[point.col, point.row]], np.float64))[0]
        return Point(y, x)

    def rotate_img(self, img: np.ndarray, use_inter_nearest: bool) -> np.ndarray:
        """The turned image; every pixel is one of the old ones, or else computed of its neighbours."""
        how = cv2.INTER_NEAREST if use_inter_nearest else cv2.INTER_LANCZOS4
        return np.asarray(cv2.warpAffine(img, self._matrix, self.new_imsize[::-1], flags=how))

    def _inner_crop(self) -> Rectangle:
        """The largest rectangle with upright sides in a rectangle that is turned.

        Its corners lie on all four sides, or, where the image is long and narrow, on the two long ones.
        """
        height, width = self.src_imsize
        angle = math.radians(self.angle_degrees_ccw)
        sin, cos = abs(math.sin(angle)), abs(math.cos(angle))
        long, short = max(height, width), min(height, width)
        if short <= 2 * sin * cos * long or abs(sin - cos) < 1e-9:
            sides = short / 2 / np.array((sin, cos))
            wide, high = sides if width >= height else sides[::-1]
        else:
            double = cos * cos - sin * sin
            wide, high = (width * cos - height * sin) / double, (height * cos - width * sin) / double
        rows, columns = self.new_imsize
        high, wide = min(rows, max(1, math.floor(high + 1e-6))), min(columns, max(1, math.floor(wide + 1e-6)))
        top, left = (rows - high) // 2, (columns - wide) // 2
        return Rectangle(top, left, top + high - 1, left + wide - 1)


def rotate(img: np.ndarray, degrees_angle: float, mode: RotateMode = RotateMode.KEEP_BLACK) -> np.ndarray:
    """An image turned by an angle in degrees, counterclockwise."""
    height, width = img.shape[:2]
    if mode is RotateMode.SAVE_ORIGINAL_SIZE:
        return np.asarray(cv2.warpAffine(img, _matrix(height, width, degrees_angle), (width, height)))
    rotator = ImageRotator((height, width), degrees_angle)
    turned = rotator.rotate_img(img, use_inter_nearest=False)
    return turned if mode is RotateMode.KEEP_BLACK else rotator.inner_crop.get_cropped_numpy_slice(turned)


def _matrix(height: int, width: int, degrees: float) -> np.ndarray:
    """Around the middle of the image; float (2, 3), for (x, y, 1)."""
    return np.asarray(cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0))
