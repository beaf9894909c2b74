"""The modes that run a network on overlapping windows over the whole image."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ravenml.data.editable_annotation import EditableAnnotation, Label, Tag
from ravenml.data.geometry import Rectangle
from ravenml.data.meta import ObjClass
from ravenml.data.transforms import crop, translate
from ravenml.errors import InputError, RavenError
from ravenml.infer.modes.areas import area_class, extend
from ravenml.infer.modes.base import Mode, whole_area
from ravenml.infer.modes.blending import blend, most_likely
from ravenml.infer.modes.configs import SlidingWindowConfig, SlidingWindowDetConfig
from ravenml.infer.modes.grid import Grid
from ravenml.infer.modes.interface import Image, ModeResult, Network, Prediction

logger = logging.getLogger(__name__)


class _Sliding(Mode):
    config: SlidingWindowConfig

    def __init__(self, config: SlidingWindowConfig, network: Network, known: Sequence[ObjClass] = ()) -> None:
        super().__init__(config, network, known)
        if config.save:
            self.classes.append(area_class(config.class_name))

    def grid(self, size: tuple[int, int]) -> Grid:
        """The windows over an image of ``size`` (height, width)."""
        window, overlap = self.config.window, self.config.min_overlap
        return Grid.over(size, (window.height, window.width), (overlap.y, overlap.x))

    def areas(self, grid: Grid, tags: Sequence[Sequence[Tag]]) -> list[Label]:
        """The windows as objects, with the tags that the network gave each, if they are to be kept."""
        if not self.config.save:
            return []
        high, wide = grid.rows.window, grid.columns.window
        return [
            Label.make(self.config.class_name, shown, self.named_tags(given))
            for (y, x), given in zip(grid.places(), tags, strict=True)
            for shown in crop(Rectangle(x, y, x + wide - 1, y + high - 1), whole_area(grid.size))
        ]


class SlidingWindow(_Sliding):
    """For segmentation: the windows' probabilities are blended, each window counting most in its middle."""

    config_class = SlidingWindowConfig

    def annotate(self, image: Image, document: EditableAnnotation) -> ModeResult:
        grid, classes = self.grid(document.size), self.network.classes
        probabilities = self.empty_probabilities(document.size)
        numbers = np.zeros(document.size, np.uint8 if len(classes) < 256 else np.uint16)

        def take(top: int, band: NDArray[np.float32]) -> None:
            bottom = top + band.shape[1]
            numbers[top:bottom] = most_likely(band)
            if probabilities is not None:
                probabilities[:, top:bottom] = band

        tags: list[Sequence[Tag]] = []  # of each window

        def predict(tiles: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
            predictions = self._predict(tiles)
            tags.extend(one.tags for one in predictions)
            return [one.probabilities for one in predictions if one.probabilities is not None]

        blend(grid, image, len(classes), predict, take, self.network.batch_size)
        added = [*self.areas(grid, tags), *self.named_labels(self.segments(numbers))]
        return ModeResult(extend(document, added), added, probabilities)

    def _predict(self, tiles: NDArray[np.uint8]) -> list[Prediction]:
        predictions = self.network.infer(tiles, [EditableAnnotation(tiles.shape[1:3])] * len(tiles), True)
        found = [one.probabilities for one in predictions if one.probabilities is not None]
        if len(found) != len(predictions):
            raise RavenError(
                "mode: sliding_window needs a model that gives probabilities for every pixel; for boxes "
                "there is sliding_window_det."
            )
        needed = (len(self.network.classes), *tiles.shape[1:3])
        wrong = next((one.shape for one in found if one.shape != needed), None)
        if wrong is not None:
            raise RavenError(f"The model gave probabilities of the shape {wrong} for a window, not {needed}.")
        return predictions


class SlidingWindowDet(_Sliding):
    """For detection: the windows' boxes are put together, and of those that overlap much one is kept."""

    config_class = SlidingWindowDetConfig
    config: SlidingWindowDetConfig

    def __init__(
        self, config: SlidingWindowDetConfig, network: Network, known: Sequence[ObjClass] = ()
    ) -> None:
        super().__init__(config, network, known)
        self._told: set[str] = set()  # shapes that were warned of

    def annotate(self, image: Image, document: EditableAnnotation) -> ModeResult:
        if self.config.save_probabilities:
            raise InputError("mode.save_probabilities: boxes have no probabilities of pixels; leave it out.")
        grid, found = self.grid(document.size), []
        tags: list[Sequence[Tag]] = []  # of each window
        others: set[str] = set()  # shapes that windows cannot be put together of
        for places, tiles in grid.tiles(image, self.network.batch_size):
            predictions = self.network.infer(tiles, [EditableAnnotation(tiles.shape[1:3])] * len(tiles))
            for (y, x), one in zip(places, predictions, strict=True):
                tags.append(one.tags)
                for label in one.labels:
                    if isinstance(label.geometry, Rectangle):
                        moved = translate(label.geometry, x, y)
                        inside = crop(moved, whole_area(document.size))
                        found += [label.changed(geometry=shape) for shape in inside]
                    else:
                        others.add(label.kind)
        self._warn(others)
        if self.config.nms_after.enable:
            found = self._suppressed(found)
        added = [*self.areas(grid, tags), *self.named_labels(found)]
        return ModeResult(extend(document, added), added)

    def _warn(self, shapes: set[str]) -> None:
        for shape in sorted(shapes - self._told):
            logger.warning(
                "mode: sliding_window_det keeps rectangles only; the objects of the shape %s are left "
                "out. There are full_image, roi and bboxes for them.",
                shape,
            )
        self._told |= shapes

    def _suppressed(self, labels: list[Label]) -> list[Label]:
        """Of each class on its own; in the order in which the classes were first seen.

        Of equally likely boxes, the one that was found last stays, as in Supervisely's library.
        """
        kept = []
        for title in dict.fromkeys(label.title for label in labels):
            same = [label for label in reversed(labels) if label.title == title]
            boxes = [edges(label.geometry) for label in same if isinstance(label.geometry, Rectangle)]
            scores = np.array([self._confidence(label) for label in same])
            chosen = suppress(np.array(boxes), scores, self.config.nms_after.iou_threshold)
            kept += [same[index] for index in chosen]
        return kept

    def _confidence(self, label: Label) -> float:
        name = self.config.nms_after.confidence_tag_name
        value = next((tag.get("value") for tag in label.tags if tag.get("name") == name), None)
        if not isinstance(value, int | float):
            raise InputError(
                f"mode.nms_after.confidence_tag_name: the model's boxes have no tag {name!r} with a number; "
                "name the tag that tells how sure it is, or disable nms_after."
            )
        return float(value)


def suppress(boxes: NDArray[np.floating], scores: NDArray[np.floating], threshold: float) -> list[int]:
    """Non-maximum suppression (Neubeck and Van Gool, 2006): which boxes stay, the likeliest first.

    Args:
        boxes: ``(N, 4)``: left, top, right and bottom edges in pixels.
        scores: ``(N,)``.
        threshold: a box goes if its intersection over union with a likelier one is greater.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    left, top, right, bottom = np.asarray(boxes, np.float64).reshape(-1, 4).T
    area = (right - left) * (bottom - top)
    kept: list[int] = []
    while order.size:
        best, others = int(order[0]), order[1:]
        kept.append(best)
        wide = np.minimum(right[best], right[others]) - np.maximum(left[best], left[others])
        high = np.minimum(bottom[best], bottom[others]) - np.maximum(top[best], top[others])
        shared = wide.clip(0) * high.clip(0)
        order = others[shared <= threshold * (area[best] + area[others] - shared)]
    return kept


def edges(rectangle: Rectangle) -> tuple[int, int, int, int]:
    """A rectangle's left, top, right and bottom edges; its right and bottom pixels belong to it."""
    return rectangle.left, rectangle.top, rectangle.right + 1, rectangle.bottom + 1
