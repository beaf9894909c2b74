"""What an evaluation leaves: ``evaluation.json``, and pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ravenml.common.io import write_json
from ravenml.data.classes import BACKGROUND
from ravenml.infer.evaluation import SCHEMA, make_section
from ravenml.infer.metrics import segmentation_metrics
from ravenml_unet.evaluation import Evaluation

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

    An image with nothing but background in truth and prediction is scored by the background.
    """
    scores = []
    for index, confusion in enumerate(evaluation.confusion):
        found = segmentation_metrics(confusion, evaluation.titles, BACKGROUND)
        scores.append((found.get("miou_fg", found.get("miou", 0.0)), index))
    return sorted(scores)


def worst_and_best(evaluation: Evaluation) -> list[tuple[str, float, int]]:
    """Which images to show: ``("worst_1", score, index)`` …, then ``best_1`` …; none twice."""
    ranked = by_score(evaluation)
    count = min(SHOWN, max(1, len(ranked) // 2))
    worst = [(f"worst_{n}", *one) for n, one in enumerate(ranked[:count], start=1)]
    best = [(f"best_{n}", *one) for n, one in enumerate(ranked[: count - 1 : -1][:count], start=1)]
    return worst + best
