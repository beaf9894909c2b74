"""What an evaluation leaves: ``evaluation.json``, and pictures of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import write_json
from ravenml.data.classes import BACKGROUND
from ravenml.infer.evaluation import SCHEMA, make_section
from ravenml.infer.metrics import segmentation_metrics
from ravenml.toolkit.metric_history import read_curves
from ravenml_unet.data import ImagesAndLabels
from ravenml_unet.evaluation import Evaluation
from ravenml_unet.previews import side_by_side

SCORES = ("miou", "mdice", "pixel_accuracy")  # that the curves show
Predict = Callable[[NDArray[np.uint8]], NDArray[Any]]
SHOWN = 3  # pictures of the worst images, and of the best


def write_evaluation(path: Path, evaluation: Evaluation, items: Sequence[str], **about: Any) -> None:
    """Write ``evaluation.json``.

    It holds ``classes``, ``images`` (their keys), ``loss`` and the user's own metrics, and, under
    ``model_size`` and ``original_size``, each: ``confusion`` (truth in rows), ``scores`` over all pixels,
    ``per_class`` (iou, dice, precision, recall, pixels of truth and prediction) and ``per_image``.

    Args:
        path: the file.
        evaluation: what was measured.
        items: the images' keys, in the evaluation's order.
        about: what else the file says (model, dataset …).
    """
    content: dict[str, Any] = {
        "v": SCHEMA,
        **about,
        "classes": list(evaluation.titles),
        "images": list(items),
        "loss": evaluation.loss,
        "metrics": dict(evaluation.own),
        "model_size": make_section(evaluation.confusion, evaluation.titles, items),
    }
    if evaluation.original is not None:
        content["original_size"] = make_section(evaluation.original, evaluation.titles, items)
    write_json(path, content)


def by_score(evaluation: Evaluation) -> list[tuple[float, int]]:
    """The images' scores with their numbers, worst first: the mean IoU without background.

    An image with nothing but background in truth and prediction has no score, and is left out.
    """
    scores = []
    for index, confusion in enumerate(evaluation.confusion):
        found = segmentation_metrics(confusion, evaluation.titles, BACKGROUND)
        if "miou_fg" in found:
            scores.append((found["miou_fg"], index))
    return sorted(scores)


def worst_and_best(evaluation: Evaluation) -> list[tuple[str, float, int]]:
    """Which images to show: ``("worst_1", score, index)`` …, then ``best_1`` …; none twice."""
    ranked = by_score(evaluation)
    count = min(SHOWN, max(1, len(ranked) // 2))
    worst = [(f"worst_{n}", *one) for n, one in enumerate(ranked[:count], start=1)]
    best = [(f"best_{n}", *one) for n, one in enumerate(ranked[: count - 1 : -1][:count], start=1)]
    return worst + best


def evaluation_pictures(
    evaluation: Evaluation,
    samples: ImagesAndLabels,
    items: Sequence[str],
    palette: NDArray[np.uint8],
    background: int,
    predict: Predict,
    run: Path | None = None,
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Draw the confusion matrix, a run's curves, and the worst and best images.

    Args:
        evaluation: what was measured.
        samples: the images that it was measured on, at their own sizes.
        items: their keys.
        palette: uint8 RGB per class, ``(C, 3)``.
        background: the class that shows the image itself.
        predict: from uint8 RGB ``(H, W, 3)`` to class indices ``(H, W)``.
        run: the folder of the run whose curves are drawn.

    Yields:
        Names and pictures, uint8 RGB.
    """
    from ravenml.toolkit.pictures import plot_confusion, plot_curves  # matplotlib comes with it

    yield "confusion_matrix", plot_confusion(evaluation.confusion.sum(axis=0), evaluation.titles)
    over_time = read_curves(run) if run is not None else {}
    if over_time:
        yield "curves", plot_curves(over_time, SCORES)
    for name, score, index in worst_and_best(evaluation):
        image, truth = samples[index]
        caption = f"{name.replace('_', ' ')}: IoU {score:.2f}, {items[index]}"
        yield name, side_by_side(image, truth, predict(image), palette, background, caption)
