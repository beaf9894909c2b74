"""Measuring a detector on a set of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravenml_tf_bbox.data import FittedSamples, Loader, Truth
from ravenml_tf_bbox.detecting import Detector, to_image
from ravenml_tf_bbox.metrics import coco_evaluation, coco_metrics


@dataclass(frozen=True)
class Evaluation:
    """What was found, in the images' own pixels.

    Attributes:
        loss: summed over all images, by the number of anchors that are objects; no size of batches matters.
        truths: what there was to be found, per image.
        found: per image, float32 ``(K, 6)``: edges, score, class index; the likeliest first.
        titles: the classes.
    """

    loss: float
    truths: Sequence[Truth]
    found: Sequence[NDArray[np.float32]]
    titles: Sequence[str]

    @cached_property
    def coco(self) -> Any:
        """pycocotools' ``COCOeval`` over all images."""
        return coco_evaluation([truth.boxes for truth in self.truths], self.found, self.titles)

    def metrics(self) -> dict[str, float]:
        """The loss, and COCO's scores over all images together."""
        return {"loss": self.loss, **coco_metrics(self.coco, self.titles)}


def evaluate(
    detector: Detector,
    loader: Loader,
    samples: FittedSamples,
    batch_size: int,
    titles: Sequence[str],
    report: Callable[[int, int], object] = lambda done, total: None,
) -> Evaluation:
    """Measure ``detector`` on ``samples`` in their order.

    Args:
        report: called with how many images are done, and how many there are.
    """
    truths = [samples.truth(index) for index in range(len(samples))]
    found: list[NDArray[np.float32]] = []
    total = objects = 0.0
    for batch in loader.batches(samples, range(len(samples)), batch_size):
        predictions, loss, its_objects = detector.measure(batch.images, batch.boxes, batch.classes)
        total, objects = total + loss, objects + its_objects
        for one in predictions:
            truth = truths[len(found)]
            found.append(to_image(one, truth.scale, truth.size))
        report(len(found), len(samples))
    return Evaluation(total / max(objects, 1.0), truths, found, titles)
