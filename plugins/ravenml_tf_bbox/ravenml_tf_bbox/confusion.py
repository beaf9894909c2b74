"""Which objects were taken for which: for people to look at, beside COCO's scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SURE = 0.5  # the score from which a box counts as predicted
OVERLAP = 0.5  # the overlap from which a box is an object's
NOTHING = "nothing"  # where there is no object, or none was predicted


class Matches(NamedTuple):
    """How one image's boxes meet its objects.

    Attributes:
        confusion: int64 ``(C + 1, C + 1)``, truth in rows; the last of each is nothing.
        hits: objects that were found as what they are.
        missed: objects that were not.
        wrong: boxes that are no such object.
    """

    confusion: NDArray[np.int64]
    hits: int
    missed: int
    wrong: int


def match_boxes(truth: NDArray[np.float32], found: NDArray[np.float32], classes: int) -> Matches:
    """Give each box, the likeliest first, the object that it overlaps most, if that is free.

    Args:
        truth: ``(K, 5)``: left, top, right, bottom edges, class index.
        found: ``(D, 6)``: edges, score, class index.
        classes: how many there are, ``C``.
    """
    from pycocotools import mask

    boxes = found[found[:, 4] >= SURE]
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    confusion = np.zeros((classes + 1, classes + 1), np.int64)
    free = np.ones(len(truth), bool)
    if len(boxes) and len(truth):
        overlaps = mask.iou(_as_coco(boxes), _as_coco(truth), [0] * len(truth))
    else:
        overlaps = np.zeros((len(boxes), len(truth)))
    for box, its in zip(boxes, overlaps, strict=True):
        its = np.where(free, its, -1.0)
        best = int(its.argmax()) if len(its) else -1
        row = classes
        if best >= 0 and its[best] >= OVERLAP:
            free[best] = False
            row = int(truth[best, 4])
        confusion[row, int(box[5])] += 1
    for missed in truth[free]:
        confusion[int(missed[4]), classes] += 1
    hits = int(np.trace(confusion[:classes, :classes]))
    return Matches(confusion, hits, len(truth) - hits, len(boxes) - hits)


def match_all(
    truths: Sequence[NDArray[np.float32]], found: Sequence[NDArray[np.float32]], classes: int
) -> list[Matches]:
    """:func:`match_boxes` for every image."""
    return [match_boxes(truth, its, classes) for truth, its in zip(truths, found, strict=True)]


def _as_coco(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    edges = boxes[:, :4].astype(np.float64)
    return np.ascontiguousarray(np.concatenate([edges[:, :2], edges[:, 2:] - edges[:, :2]], axis=1))
