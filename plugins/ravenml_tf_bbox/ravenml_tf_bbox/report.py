"""What an evaluation leaves: ``evaluation.json``, and pictures of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import write_json
from ravenml.data.boxes import BoxSamples
from ravenml.toolkit.metric_history import read_curves
from ravenml_tf_bbox.confusion import NOTHING, OVERLAP, SURE, Matches, match_all
from ravenml_tf_bbox.evaluation import Evaluation
from ravenml_tf_bbox.pictures import plot_precision_recall, side_by_side

SCHEMA = 1
SHOWN = 3  # pictures of the worst images, and of the best
SCORES = ("ap", "ap50", "ap75")  # that the curves show


def match_images(evaluation: Evaluation) -> list[Matches]:
    """How every image's boxes meet its objects."""
    truths = [truth.boxes for truth in evaluation.truths]
    return match_all(truths, evaluation.found, len(evaluation.titles))


def write_evaluation(
    path: Path, evaluation: Evaluation, matched: Sequence[Matches], items: Sequence[str], **about: Any
) -> None:
    """Write ``evaluation.json``.

    It holds ``classes``, ``images`` (their keys), ``loss``, ``scores`` (COCO's, over all images),
    ``per_class``, ``confusion`` (truth in rows; the last row and column are nothing) with the score and
    overlap that it was counted with, and ``per_image`` (hits, missed, wrong).

    Args:
        matched: what :func:`match_images` gave.
        items: the images' keys, in the evaluation's order.
        about: what else the file says (model, dataset …).
    """
    metrics = evaluation.metrics()
    loss = metrics.pop("loss")
    titles = list(evaluation.titles)
    per_class: dict[str, dict[str, float]] = {title: {} for title in titles}
    for name, value in metrics.items():
        score, _, title = name.partition("/")
        if title in per_class:
            per_class[title][score] = value
    content = {
        "v": SCHEMA,
        "task": "detection",
        **about,
        "classes": titles,
        "images": list(items),
        "loss": loss,
        "scores": {name: value for name, value in metrics.items() if "/" not in name},
        "per_class": per_class,
        "confusion": {
            "score": SURE,
            "iou": OVERLAP,
            "titles": [*titles, NOTHING],
            "objects": sum(one.confusion for one in matched),
        },
        "per_image": [
            {"item": item, "hits": one.hits, "missed": one.missed, "wrong": one.wrong}
            for item, one in zip(items, matched, strict=True)
        ],
    }
    write_json(path, content)


def evaluation_pictures(
    evaluation: Evaluation,
    matched: Sequence[Matches],
    samples: BoxSamples,
    items: Sequence[str],
    palette: NDArray[np.uint8],
    run: Path | None = None,
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Draw precision over recall, the confusion matrix, a run's curves, and the worst and best images.

    Args:
        evaluation: what was measured.
        matched: what :func:`match_images` gave.
        samples: the images that it was measured on.
        items: their keys.
        palette: uint8 RGB per class, ``(C, 3)``.
        run: the folder of the run whose curves are drawn.

    Yields:
        Names and pictures, uint8 RGB.
    """
    from ravenml.toolkit.pictures import plot_confusion, plot_curves  # matplotlib comes with it

    yield "precision_recall", plot_precision_recall(evaluation)
    total = np.sum([one.confusion for one in matched], axis=0)
    yield "confusion_matrix", plot_confusion(total, [*evaluation.titles, NOTHING])
    over_time = read_curves(run) if run is not None else {}
    if over_time:
        yield "curves", plot_curves(over_time, SCORES)
    for name, index in worst_and_best(matched):
        one, truth = matched[index], evaluation.truths[index]
        caption = f"{name.replace('_', ' ')}: {one.missed} missed, {one.wrong} wrong, {items[index]}"
        image = samples[index].image
        yield name, side_by_side(image, truth.boxes, evaluation.found[index], palette, caption)


def worst_and_best(matched: Sequence[Matches]) -> list[tuple[str, int]]:
    """Which images to show, by the part that is right of all that was there or was predicted; none twice."""

    def right(one: Matches) -> float:
        everything = one.hits + one.missed + one.wrong
        return one.hits / everything if everything else 1.0

    ranked = sorted(range(len(matched)), key=lambda index: (right(matched[index]), index))
    count = min(SHOWN, max(1, len(ranked) // 2))
    worst = [(f"worst_{n}", index) for n, index in enumerate(ranked[:count], start=1)]
    best = [(f"best_{n}", index) for n, index in enumerate(ranked[: count - 1 : -1][:count], start=1)]
    return worst + best
