"""An image and its annotation, changed together."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np

from ravenml.sly import image as images
from ravenml.sly.annotation import Annotation
from ravenml.sly.geometry import Rectangle

Pair = tuple[np.ndarray, Annotation]
Range = Sequence[float]  # the least share of a side, and the most


def fliplr(img: np.ndarray, ann: Annotation) -> Pair:
    """Mirrored: the first column becomes the last."""
    _same_size(img, ann)
    return images.fliplr(img), ann.fliplr()


def crop(
    img: np.ndarray,
    ann: Annotation,
    top_pad: int = 0,
    left_pad: int = 0,
    bottom_pad: int = 0,
    right_pad: int = 0,
) -> Pair:
    """Without so many pixels at the sides."""
    _same_size(img, ann)
    height, width = img.shape[:2]
    rect = Rectangle(top_pad, left_pad, height - bottom_pad - 1, width - right_pad - 1)
    return images.crop(img, rect), ann.relative_crop(rect)


def crop_fraction(
    img: np.ndarray, ann: Annotation, top: float = 0, left: float = 0, bottom: float = 0, right: float = 0
) -> Pair:
    """Without such shares at the sides."""
    if not all(0 <= share < 1 for share in (top, left, bottom, right)):
        raise ValueError("What is cut off is at least 0 and less than 1 of a side.")
    height, width = img.shape[:2]
    return crop(
        img, ann, round(height * top), round(width * left), round(height * bottom), round(width * right)
    )


def random_crop(img: np.ndarray, ann: Annotation, height: int, width: int) -> Pair:
    """A part of a size at a random place; no larger than the image."""
    sides = []
    for whole, part in zip(img.shape[:2], (int(height), int(width)), strict=True):
        start = random.randint(0, whole - min(part, whole))
        sides.append((start, whole - min(part, whole) - start))
    (top, bottom), (left, right) = sides
    return crop(img, ann, top, left, bottom, right)


def random_crop_fraction(
    img: np.ndarray, ann: Annotation, height_fraction_range: Range, width_fraction_range: Range
) -> Pair:
    """A part of a random size at a random place."""
    height = round(img.shape[0] * random.uniform(*height_fraction_range))
    width = round(img.shape[1] * random.uniform(*width_fraction_range))
    return random_crop(img, ann, height, width)


def batch_random_crops_fraction(
    img_ann_pairs: Iterable[Pair],
    crops_per_image: int,
    height_fraction_range: Range,
    width_fraction_range: Range,
) -> list[Pair]:
    """Random parts of each image."""
    return [
        random_crop_fraction(img, ann, height_fraction_range, width_fraction_range)
        for img, ann in img_ann_pairs
        for _ in range(crops_per_image)
    ]


def flip_add_random_crops(
    img: np.ndarray,
    ann: Annotation,
    crops_per_image: int,
    height_fraction_range: Range,
    width_fraction_range: Range,
) -> list[Pair]:
    """The image, its mirror image, and random parts of both."""
    whole = [(img, ann), fliplr(img, ann)]
    return whole + batch_random_crops_fraction(
        whole, crops_per_image, height_fraction_range, width_fraction_range
    )


def resize(img: np.ndarray, ann: Annotation, size: Sequence[int]) -> Pair:
    """Scaled to (height, width), of which one may be -1."""
    _same_size(img, ann)
    to = images.restore_proportional_size(ann.img_size, size)
    return images.resize(img, to), ann.resize(to)


def scale(
    img: np.ndarray,
    ann: Annotation,
    frow: float | None = None,
    fcol: float | None = None,
    f: float | None = None,
) -> Pair:
    """Scaled by factors, or by one."""
    _same_size(img, ann)
    to = images.restore_proportional_size(ann.img_size, None, frow, fcol, f)
    return images.resize(img, to), ann.resize(to)


def _same_size(img: np.ndarray, ann: Annotation) -> None:
    if img.shape[:2] != ann.img_size:
        raise RuntimeError(f"The image has the size {img.shape[:2]}, its annotation {ann.img_size}.")
