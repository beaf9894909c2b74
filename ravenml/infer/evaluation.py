"""``evaluation.json`` of a segmentation: its sections, and that of a k-fold run from those of its folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import JsonObject
from ravenml.infer.metrics import MEANS, segmentation_metrics
from ravenml.renamed import former_names

__getattr__ = former_names(__name__, {"section": "make_section"})

SCHEMA = 1
SIZES = ("model_size", "original_size")


def make_section(confusion: NDArray[np.int64], titles: Sequence[str], items: Sequence[str]) -> JsonObject:
    """Confusion, scores, classes and images from matrices ``(N, C, C)`` of one size."""
    per_image = [
        {"item": item, **segmentation_metrics(one, titles)}
        for item, one in zip(items, confusion, strict=True)
    ]
    return _section(confusion.sum(axis=0), titles, per_image)


def score_classes(
    confusion: NDArray[np.int64], titles: Sequence[str]
) -> dict[str, dict[str, float | int | None]]:
    """Scores of every class; None where there is nothing to divide by."""
    hits, truth, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)

    def ratio(a: np.int64, b: np.int64) -> float | None:
        return float(a / b) if b else None

    return {
        title: {
            "iou": ratio(hits[i], truth[i] + predicted[i] - hits[i]),
            "dice": ratio(2 * hits[i], truth[i] + predicted[i]),
            "precision": ratio(hits[i], predicted[i]),
            "recall": ratio(hits[i], truth[i]),
            "truth_pixels": int(truth[i]),
            "predicted_pixels": int(predicted[i]),
        }
        for i, title in enumerate(titles)
    }


def pool_evaluations(folds: Sequence[JsonObject]) -> JsonObject | None:
    """The evaluation of a k-fold run: every image as the fold saw it that did not learn from it.

    Args:
        folds: the content of each fold's ``evaluation.json``.

    Returns:
        The same form: confusion matrices are added up and scored once, images stand one fold after the other,
        loss and the user's own metrics are means over all images.  What differs between the folds is left
        out; None where they are no evaluations of the same classes.
    """
    try:
        return _pooled(folds)
    except (KeyError, TypeError, ValueError):  # a plugin's own form, which is left alone
        return None


def _pooled(folds: Sequence[JsonObject]) -> JsonObject | None:
    first = folds[0]
    titles = first["classes"]
    if any(one["v"] != SCHEMA or one["classes"] != titles for one in folds):
        return None
    counts = [len(one["images"]) for one in folds]
    shared = {name: value for name, value in first.items() if all(one.get(name) == value for one in folds)}
    result = shared | {
        "v": SCHEMA,
        "folds": len(folds),
        "classes": titles,
        "images": [image for one in folds for image in one["images"]],
        "loss": _mean([one["loss"] for one in folds], counts),
        "metrics": {
            name: _mean([one["metrics"][name] for one in folds], counts) for name in first["metrics"]
        },
    }
    for size in SIZES:
        parts = [one[size] for one in folds if size in one]
        if len(parts) == len(folds):
            confusion = sum(np.array(part["confusion"], dtype=np.int64) for part in parts)
            per_image = [image for part in parts for image in part["per_image"]]
            result[size] = _section(np.asarray(confusion), titles, per_image)
    return result


def _section(total: NDArray[np.int64], titles: Sequence[str], per_image: list[JsonObject]) -> JsonObject:
    return {
        "confusion": total.tolist(),
        "scores": dict.fromkeys(MEANS)  # None: not defined
        | {name: v for name, v in segmentation_metrics(total, titles).items() if "/" not in name},
        "per_class": score_classes(total, titles),
        "per_image": per_image,
    }


def _mean(values: Sequence[float], counts: Sequence[int]) -> float:
    return float(sum(float(value) * count for value, count in zip(values, counts, strict=True)) / sum(counts))
