"""Predictors as inference modes use them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ravenml.data.editable_annotation import EditableAnnotation, Label
from ravenml.data.geometry import Rectangle
from ravenml.data.meta import ObjClass, TagMeta, spare_color
from ravenml.errors import RavenError
from ravenml.infer.modes.base import segments
from ravenml.infer.modes.interface import Prediction
from ravenml.infer.predictor import Predictor
from ravenml.store.model_state import CONFIG, read_config

CONFIDENCE = "confidence"
_BATCH = {"cuda": 16, "mps": 4}  # on a processor, one image at a time is fastest


class Ensemble:
    """Several models of one task and the same classes, such as a k-fold run's: the mean of what they say."""

    def __init__(self, predictors: Sequence[Predictor], name: str) -> None:
        first = predictors[0]
        for other in predictors[1:]:
            if (other.task, list(other.classes)) != (first.task, list(first.classes)):
                raise RavenError(f"{name}: its folds differ in their classes; choose one with --fold.")
        if first.task != "segmentation":
            raise RavenError(f"{name}: only probabilities of pixels have a mean; choose one with --fold.")
        self.predictors = predictors
        self.task, self.classes, self.input_size = first.task, list(first.classes), first.input_size
        self.device = getattr(first, "device", "cpu")
        self.batch_size = getattr(first, "batch_size", None)
        self.obj_classes = getattr(first, "obj_classes", None)

    def predict(
        self, images: NDArray[np.uint8], want: Literal["labels", "probabilities"] = "labels"
    ) -> NDArray[np.generic]:
        """The mean probabilities, or the classes that they make likeliest; see `Predictor.predict`."""
        total: NDArray[np.float32] = np.require(
            self.predictors[0].predict(images, want="probabilities"), np.float32, "W"
        )
        for other in self.predictors[1:]:
            total += other.predict(images, want="probabilities")
        total /= len(self.predictors)
        if want == "probabilities":
            return total
        if len(self.classes) == 1:
            return (total[:, 0] > 0.5).astype(np.uint8)
        numbers: NDArray[np.int64] = total.argmax(axis=1)
        return numbers.astype(np.uint8 if len(self.classes) <= 256 else np.uint16)


class PredictorNetwork:
    """A predictor behind the interface of `ravenml.infer.modes.interface.Network`.

    Attributes:
        before: called before each batch; what it raises ends the mode that wants it.
    """

    def __init__(
        self, predictor: Predictor, classes: Sequence[ObjClass], batch_size: int | None = None
    ) -> None:
        self.predictor = predictor
        self.classes: Sequence[ObjClass] = list(classes)
        detects = predictor.task == "detection"
        self.tags: Sequence[TagMeta] = [TagMeta(CONFIDENCE, "any_number")] if detects else []
        self.batch_size = batch_size or default_batch_size(predictor)
        self.before: Callable[[], None] = lambda: None

    def infer(
        self, images: NDArray[np.uint8], documents: Sequence[EditableAnnotation], probabilities: bool = False
    ) -> list[Prediction]:
        """Run the predictor on images of one size."""
        results = self.run(images, probabilities)
        return [self.prediction(one, images.shape[1:3], probabilities) for one in results]

    def run(self, images: NDArray[np.uint8], probabilities: bool = False) -> Sequence[Any]:
        """What the predictor says about each image, as numbers; `prediction` makes objects of one."""
        self.before()
        if self.predictor.task == "segmentation" and probabilities:
            return list(self.predictor.predict(images, want="probabilities"))
        return list(self.predictor.predict(images))

    def prediction(self, result: Any, size: tuple[int, ...], probabilities: bool = False) -> Prediction:
        """Objects, out of what the predictor result about an image of ``size`` (height, width)."""
        if self.predictor.task == "detection":
            return Prediction(self._boxes(result, size))
        if probabilities:
            return Prediction(probabilities=result)
        numbers = np.asarray(result)
        if len(self.classes) > 1:
            numbers = numbers + (1 if len(self.classes) < 256 else np.uint16(1))
        return Prediction(segments(numbers, self.classes))

    def _boxes(self, found: NDArray[np.generic], size: tuple[int, ...]) -> list[Label]:
        labels = []
        for left, top, right, bottom, score, index in np.asarray(found, np.float64).reshape(-1, 6).tolist():
            if right > 0 and bottom > 0 and left < size[1] and top < size[0]:
                first, last = _pixels(left, right, size[1])
                upper, lower = _pixels(top, bottom, size[0])
                box = Rectangle(first, upper, last, lower)
                sure = {"name": CONFIDENCE, "value": round(score, 6)}
                labels.append(Label.make(self.classes[int(index)].title, box, [sure]))
        return labels


def _pixels(start: float, end: float, size: int) -> tuple[int, int]:
    """The first and last pixel of a stretch from ``start`` to ``end``, by the edges nearest to them.

    Rounding outwards would make every box larger.  A stretch of less than a pixel is one.
    """
    first = min(max(math.floor(start + 0.5), 0), size - 1)
    last = min(math.floor(end + 0.5), size) - 1
    return first, max(first, last)


def default_batch_size(predictor: Predictor) -> int:
    """How many images of the network's size go through it at once: its own choice, else by its device."""
    own = getattr(predictor, "batch_size", None)
    return int(own) if own else _BATCH.get(str(getattr(predictor, "device", "cpu")).split(":")[0], 1)


def result_classes(predictor: Predictor, model: Path) -> list[ObjClass]:
    """A predictor's classes in index order, with the shape that its results have, and colours.

    Args:
        predictor: the predictor.
        model: where it was loaded from.
    """
    shape = "rectangle" if predictor.task == "detection" else "bitmap"
    own = getattr(predictor, "obj_classes", None)
    colors = {one.title: one.color for one in own} if own else _colors(model)
    return [
        ObjClass(title, shape, colors.get(title, spare_color(index)))
        for index, title in enumerate(predictor.classes)
    ]


def _colors(model: Path) -> dict[str, str]:
    if model.is_dir() and not (model / CONFIG).is_file():
        return {}
    listed = read_config(model).get("out_classes") or []
    known = (one for one in listed if isinstance(one, Mapping) and "title" in one and "color" in one)
    return {str(one["title"]): str(one["color"]) for one in known}
