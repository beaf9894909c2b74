"""Which objects were taken for which: for people to look at, beside COCO's scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SURE = 0.5  # the score from which a box counts as said
OVERLAP = 0.5  # the overlap from which a box is an object's
NOTHING = "nothing"  # where there is no object, or none was said


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


def matches(truth: NDArray[np.float32], found: NDArray[np.float32], classes: int) -> Matches:
    """Give each box, the likeliest first, the object that it overlaps most, if that is free.

    Args:
        truth: ``(K, 5)``: left, top, right, bottom edges, class index.
        found: ``(D, 6)``: edges, score, class index.
        classes: how many there are, ``C``.
    """
    from pycocotools import mask

    said = found[found[:, 4] >= SURE]
    said = said[np.argsort(-said[:, 4], kind="stable")]
    confusion = np.zeros((classes + 1, classes + 1), np.int64)
    free = np.ones(len(truth), bool)
    if len(said) and len(truth):
        overlaps = mask.iou(_as_coco(said), _as_coco(truth), [0] * len(truth))
    else:
        overlaps = np.zeros((len(said), len(truth)))
    for box, its in zip(said, overlaps, strict=True):
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
    return Matches(confusion, hits, len(truth) - hits, len(said) - hits)


def all_matches(
    truths: Sequence[NDArray[np.float32]], found: Sequence[NDArray[np.float32]], classes: int
) -> list[Matches]:
    """:func:`matches` for every image."""
    return [matches(truth, its, classes) for truth, its in zip(truths, found, strict=True)]


def _as_coco(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    edges = boxes[:, :4].astype(np.float64)
    return np.ascontiguousarray(np.concatenate([edges[:, :2], edges[:, 2:] - edges[:, :2]], axis=1))
