"""Operations that move pixels, and boxes with them, as matrices from old to new edges' coordinates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.toolkit.augmentation import pipeline as p

Matrix = NDArray[np.float64]
BORDERS = {"constant": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT, "edge": cv2.BORDER_REPLICATE}
SMALLEST = 1e-3  # of a scale
VISIBLE = 0.3  # the part of a box that must be left in the image for it to be an object still
NARROWEST = 2.0  # pixels; a box that has become thinner is none any more


def _rotate(o: p.Rotate, width: int, height: int, draw: np.random.Generator) -> Matrix:
    return _about_middle(_turn(draw.uniform(*o.degrees)), width, height)


def _affine(o: p.Affine, width: int, height: int, draw: np.random.Generator) -> Matrix:
    degrees, scale_x, scale_y = (draw.uniform(*each) for each in (o.degrees, o.scale_x, o.scale_y))
    shear_x, shear_y = (np.tan(np.deg2rad(draw.uniform(*each))) for each in (o.shear_x, o.shear_y))
    move_x, move_y = draw.uniform(*o.translate_x) * width, draw.uniform(*o.translate_y) * height
    scale_y = scale_x if o.keep_aspect else scale_y
    shear = np.array([[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]], np.float64)
    scale = np.diag([max(scale_x, SMALLEST), max(scale_y, SMALLEST), 1.0])
    return _moved(move_x, move_y) @ _about_middle(_turn(degrees) @ shear @ scale, width, height)


def _crop_pad(o: p.CropPad, width: int, height: int, draw: np.random.Generator) -> Matrix:
    sides = np.full(4, draw.uniform(*o.percent)) if o.same_on_all_sides else draw.uniform(*o.percent, 4)
    top, right, bottom, left = sides
    scale_x, scale_y = 1 / max(1 + left + right, 2 / width), 1 / max(1 + top + bottom, 2 / height)
    return np.diag([scale_x, scale_y, 1.0]) @ _moved(left * width, top * height)


def _flip_lr(o: p.FlipLR, width: int, height: int, draw: np.random.Generator) -> Matrix:
    return np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1]], np.float64)


def _flip_ud(o: p.FlipUD, width: int, height: int, draw: np.random.Generator) -> Matrix:
    return np.array([[1, 0, 0], [0, -1, height], [0, 0, 1]], np.float64)


GEOMETRY: dict[type[p.Operation], Callable[[Any, int, int, np.random.Generator], Matrix]] = {
    p.Rotate: _rotate,
    p.Affine: _affine,
    p.CropPad: _crop_pad,
    p.FlipLR: _flip_lr,
    p.FlipUD: _flip_ud,
}


def _turn(degrees: float) -> Matrix:
    angle = np.deg2rad(degrees)
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float64)


def _moved(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def _about_middle(matrix: Matrix, width: int, height: int) -> Matrix:
    return _moved(width / 2, height / 2) @ matrix @ _moved(-width / 2, -height / 2)


def move_image(image: NDArray[Any], matrix: Matrix, fill: str) -> NDArray[Any]:
    """The image, float32 ``(H, W, 3)``, with its pixels where ``matrix`` takes them; its size stays."""
    # The matrix speaks of edges, OpenCV of pixels' middles, which lie half a pixel further.
    matrix = _moved(-0.5, -0.5) @ matrix @ _moved(0.5, 0.5)
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, matrix[:2], size, flags=cv2.INTER_LINEAR, borderMode=BORDERS[fill])


def move_boxes(
    boxes: NDArray[np.float32], classes: NDArray[np.int64], matrix: Matrix, width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The smallest upright boxes around the moved ones, cut to the image; those of which little is left go.

    Args:
        boxes: ``(K, 4)``: left, top, right and bottom edges.
        classes: ``(K,)``.
        matrix: from old to new coordinates, ``(3, 3)``.
        width: the image's.
    """
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2).astype(np.float64)
    corners = corners @ matrix[:2, :2].T + matrix[:2, 2]
    moved = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    cut = moved.clip(0, [width, height, width, height])
    sides, before = cut[:, 2:] - cut[:, :2], moved[:, 2:] - moved[:, :2]
    left = (sides.min(axis=1) >= NARROWEST) & (sides.prod(axis=1) >= VISIBLE * before.prod(axis=1))
    return cut[left].astype(np.float32), classes[left]
