"""Scores of a segmentation from one confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BACKGROUND = "__bg__"
MEANS = ("miou", "mdice", "miou_fg", "mdice_fg")


def segmentation_metrics(
    confusion: NDArray[np.integer], titles: Sequence[str], background: str = BACKGROUND
) -> dict[str, float]:
    """Reduce a confusion matrix over any number of images to scores.

    A class that appears neither in the truth nor in the prediction has no score and is left out of
    the means.  ``miou`` and ``mdice`` are means over all classes, ``miou_fg`` and ``mdice_fg`` over all
    but the background.  Where the truth is nothing but background, no mean is defined, whatever was
    predicted: a model that finds nothing where nothing is has not shown that it can find anything.

    Args:
        confusion: shape ``(C, C)``; pixels, truth in rows and prediction in columns.
        titles: the classes' names in index order, ``C`` of them.
        background: the title of the background class; it need not be among ``titles``.

    Returns:
        ``miou``, ``mdice``, ``miou_fg``, ``mdice_fg``, ``pixel_accuracy``, ``iou/<class>`` and
        ``dice/<class>``, each in 0…1.  What is not defined is left out; see :func:`with_undefined`.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    hits = np.diag(counts)
    truth, prediction = counts.sum(axis=1), counts.sum(axis=0)
    union = truth + prediction - hits
    present = union > 0
    iou = hits[present] / union[present]
    dice = 2 * hits[present] / (truth + prediction)[present]
    names = [title for title, here in zip(titles, present, strict=True) if here]
    foreground = np.array([name != background for name in names], dtype=bool)
    defined = any(count for title, count in zip(titles, truth, strict=True) if title != background)

    scores: dict[str, float] = {}
    for name, values in (("iou", iou), ("dice", dice)):
        if defined:
            scores[f"m{name}"] = float(values.mean())
            scores[f"m{name}_fg"] = float(values[foreground].mean())
    total = int(counts.sum())
    if total:
        scores["pixel_accuracy"] = float(hits.sum() / total)
    for kind, values in (("iou", iou), ("dice", dice)):
        scores.update({f"{kind}/{name}": float(value) for name, value in zip(names, values, strict=True)})
    return scores


def with_undefined(metrics: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """The metrics, with NaN for each of the names that has no value, so that it is seen to be not defined."""
    return {**metrics, **{name: math.nan for name in names if name not in metrics}}


@dataclass(frozen=True)
class SegmentationScores:
    """The reduction that turns summed confusion matrices into :func:`segmentation_metrics`.

    Each of ``MEANS`` is there, as NaN where it is not defined.
    """

    titles: tuple[str, ...]
    background: str = BACKGROUND

    def __call__(self, sums: dict[str, NDArray[np.generic]]) -> dict[str, float]:
        scores = segmentation_metrics(sums["confusion"].astype(np.int64), self.titles, self.background)
        return with_undefined(scores, MEANS)


def confusion_matrix(
    truth: NDArray[np.integer], prediction: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    """Count pixels by true and predicted class: shape ``(classes, classes)``, truth in rows.

    Both maps have the same shape and values in ``0 … classes - 1``.
    """
    index = truth.astype(np.int64).ravel() * classes + prediction.astype(np.int64).ravel()
    return np.bincount(index, minlength=classes * classes).reshape(classes, classes)
