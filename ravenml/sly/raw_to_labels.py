"""From a network's arrays to objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ravenml.sly.annotation import Label, PixelwiseScoresLabel
from ravenml.sly.classes import ObjClass, Tag, TagMeta
from ravenml.sly.geometry import Bitmap, Point, Rectangle
from ravenml.sly.opaque_geometry import MultichannelBitmap


def segmentation_array_to_sly_bitmaps(
    idx_to_class: Mapping[int, ObjClass], pred: np.ndarray, origin: Point | None = None
) -> list[Label]:
    """A bitmap for each class that is in a map of class indices (height, width)."""
    masks = ((known, pred == index) for index, known in idx_to_class.items())
    return [Label(Bitmap(origin, mask), known) for known, mask in masks if mask.any()]


def segmentation_scores_to_per_class_labels(
    idx_to_class: Mapping[int, ObjClass], segmentation_scores: np.ndarray
) -> list[Label]:
    """Each class's scores, from an array (height, width, classes)."""
    return [
        PixelwiseScoresLabel(MultichannelBitmap(Point(0, 0), segmentation_scores[:, :, [index]]), known)
        for index, known in idx_to_class.items()
    ]


class DetectionNetworkPrediction(NamedTuple):
    """Boxes, (N, 4) of top, left, bottom and right as shares of the image; their scores and class indices."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def detection_preds_to_sly_rects(
    idx_to_class: Mapping[int, ObjClass],
    network_prediction: DetectionNetworkPrediction,
    img_shape: tuple[int, ...],
    min_score_threshold: float,
    score_tag_meta: TagMeta,
) -> list[Label]:
    """Rectangles with a tag for their score, of the boxes above a threshold."""
    boxes = np.asarray(network_prediction.boxes).reshape(-1, 4)
    scores, indices = (np.asarray(part).ravel() for part in network_prediction[1:])
    labels = []
    for box, score, index in zip(boxes, scores, indices, strict=True):
        if score > min_score_threshold:
            sides = (round(float(side) * img_shape[axis % 2]) for axis, side in enumerate(box))
            tag = Tag(score_tag_meta, round(float(score), 4))
            labels.append(Label(Rectangle(*sides), idx_to_class[int(index)], [tag]))
    return labels
