"""What an evaluation leaves: ``evaluation.json``, and pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravenml.files import write_json
from ravenml.infer.metrics import BACKGROUND, segmentation_metrics
from ravenml.runs.events import effective, read_events
from ravenml_unet.evaluation import Evaluation

SCHEMA = 1
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
        "model_size": section(evaluation.confusion, evaluation.titles, items),
    }
    if evaluation.original is not None:
        content["original_size"] = section(evaluation.original, evaluation.titles, items)
    write_json(path, content)


def section(confusion: NDArray[np.int64], titles: Sequence[str], items: Sequence[str]) -> dict[str, Any]:
    """Confusion, scores, classes and images from matrices ``(N, C, C)`` of one size."""
    total = confusion.sum(axis=0)
    return {
        "confusion": total.tolist(),
        "scores": {name: v for name, v in segmentation_metrics(total, titles).items() if "/" not in name},
        "per_class": per_class(total, titles),
        "per_image": [
            {"item": item, **segmentation_metrics(one, titles)}
            for item, one in zip(items, confusion, strict=True)
        ],
    }


def per_class(
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


def curves(run: Path) -> dict[str, list[tuple[float, float]]]:
    """The metrics of a run over its epochs, ``train/loss`` and so on; those of single classes left out."""
    found: dict[str, list[tuple[float, float]]] = {}
    for event in effective(list(read_events(run / "events.jsonl"))):
        if event.get("event_type") == "EventType.METRICS":
            for name, value in event["metrics"].items():
                if "/" not in name and isinstance(value, int | float):
                    found.setdefault(f"{event['type']}/{name}", []).append(
                        (float(event["epoch"]), float(value))
                    )
    return found
