"""COCO's scores of detections, by pycocotools (https://cocodataset.org/#detection-eval)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUMMARY = (  # in the order in which COCOeval gives them
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip
FIRST = ("ap", "ap50", "ap75", "ar100")  # what people look at first


def list_metrics(titles: Sequence[str]) -> list[str]:
    """The metrics of a validation with these classes; the best weights can be chosen by each."""
    return ["loss", *SUMMARY, *(f"{score}/{title}" for score in ("ap", "ap50", "ar100") for title in titles)]


def coco_evaluation(
    truths: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]], titles: Sequence[str]
) -> Any:
    """A ``COCOeval`` that has evaluated and accumulated boxes.

    Args:
        truths: per image, ``(K, 5)``: left, top, right, bottom edges in pixels, class index.
        found: per image, ``(D, 6)``: the same edges, score, class index.
        titles: the classes.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations = [
        {"id": 0, "image_id": image, "category_id": int(kind), "bbox": [x0, y0, x1 - x0, y1 - y0],
         "area": (x1 - x0) * (y1 - y0), "iscrowd": 0}
        for image, its in enumerate(truths)
        for x0, y0, x1, y1, kind in np.asarray(its, np.float64).reshape(-1, 5).tolist()
    ]  # fmt: skip
    for number, annotation in enumerate(annotations, start=1):  # 0 means "no match" to COCOeval
        annotation["id"] = number
    results = [
        {"image_id": image, "category_id": int(kind), "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
        for image, its in enumerate(found)
        for x0, y0, x1, y1, score, kind in np.asarray(its, np.float64).reshape(-1, 6).tolist()
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints how far it is
        truth = COCO()
        truth.dataset = {
            "images": [{"id": image} for image in range(len(truths))],
            "categories": [{"id": index, "name": title} for index, title in enumerate(titles)],
            "annotations": annotations,
        }
        truth.createIndex()
        predicted = truth.loadRes(results) if results else COCO()
        if not results:
            predicted.dataset = {**truth.dataset, "annotations": []}
            predicted.createIndex()
        evaluation = COCOeval(truth, predicted, "bbox")
        evaluation.params.imgIds = list(range(len(truths)))
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def coco_metrics(evaluation: Any, titles: Sequence[str]) -> dict[str, float]:
    """The twelve numbers of COCO's summary, and per class ``ap/…``, ``ap50/…`` and ``ar100/…``.

    What has no truth to be measured on, such as small objects where there are none, is left out.
    """
    values = dict(zip(SUMMARY, evaluation.stats.tolist(), strict=True))
    values = {name: values[name] for name in sorted(SUMMARY, key=lambda name: name not in FIRST)}
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    for index, title in enumerate(titles):
        # IoU thresholds 0.5 … 0.95, recalls, classes, areas (0: all), most detections (-1: 100)
        values[f"ap/{title}"] = _mean(precision[:, :, index, 0, -1])
        values[f"ap50/{title}"] = _mean(precision[0, :, index, 0, -1])
        values[f"ar100/{title}"] = _mean(recall[:, index, 0, -1])
    return {name: float(value) for name, value in values.items() if value > -1}


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size and (values > -1).all() else -1.0


@dataclass(frozen=True)
class DetectionScores:
    """Reduces the boxes of any number of images to COCO's scores, over all images at once.

    Attributes:
        titles: the classes in index order.
    """

    titles: tuple[str, ...]

    def __call__(self, statistics: Mapping[str, Any]) -> dict[str, float]:
        """From ``truths`` and ``detections``, an array per image each, to scores by name."""
        return coco_metrics(
            coco_evaluation(statistics["truths"], statistics["detections"], self.titles), self.titles
        )
