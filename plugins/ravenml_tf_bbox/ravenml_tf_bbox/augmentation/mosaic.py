"""Four images in one: more objects, and smaller ones, in every step (Bochkovskiy et al., "YOLOv4", 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ravenml.data.boxes import BoxedImage
from ravenml_tf_bbox.augmentation.geometry import move_boxes

LARGEST = 1.25  # by how much an image may be larger than what just covers its quarter


def mosaic(samples: Sequence[BoxedImage], width: int, height: int, draw: np.random.Generator) -> BoxedImage:
    """Fill the quarters of an image with four samples, each at a random scale and place.

    The scale lies between that at which a sample fits into its quarter and that at which it covers it.

    Args:
        samples: uint8 RGB of any sizes, with boxes.
        width: the image's; like ``height`` even.
        draw: random numbers.
    """
    wide, high = width // 2, height // 2
    image = np.zeros((height, width, 3), np.uint8)
    boxes, classes = [], []
    for number, sample in enumerate(samples):
        quarter = np.zeros((high, wide, 3), np.uint8)
        its_boxes, its_classes = _place(sample, quarter, draw)
        top, left = number // 2 * high, number % 2 * wide
        image[top : top + high, left : left + wide] = quarter
        boxes.append(its_boxes + np.array([left, top, left, top], np.float32))
        classes.append(its_classes)
    return BoxedImage(image, np.concatenate(boxes), np.concatenate(classes))


def _place(sample: BoxedImage, into: np.ndarray, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a sample into a picture; the boxes and classes of what is seen there."""
    (high, wide), (height, width) = into.shape[:2], sample.image.shape[:2]
    ratios = sorted((wide / width, high / height))
    scale = ratios[0] * (ratios[1] * LARGEST / ratios[0]) ** draw.random()
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(sample.image, size, interpolation=how)
    left, top = (round(draw.random() * (room - its)) for room, its in ((wide, size[0]), (high, size[1])))
    seen = into[max(top, 0) : top + size[1], max(left, 0) : left + size[0]]
    seen[:] = scaled[max(-top, 0) :, max(-left, 0) :][: seen.shape[0], : seen.shape[1]]
    matrix = np.array([[size[0] / width, 0, left], [0, size[1] / height, top], [0, 0, 1]], np.float64)
    return move_boxes(sample.boxes, sample.classes, matrix, wide, high)
