"""Batches of images at the network's size, with their boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.data.boxes import BoxedImage, BoxSamples, boxes_of
from ravenml.toolkit.prefetch import MemoryCache, Prefetcher

NONE = -1.0  # fills up the boxes and classes of a batch's images that have fewer than another


@dataclass(frozen=True, slots=True)
class Batch:
    """Some samples side by side.

    Attributes:
        images: uint8 RGB ``(N, H, W, 3)``.
        boxes: float32 ``(N, M, 4)``: edges in the input's pixels; filled up with -1.
        classes: float32 ``(N, M)``; filled up with -1.
    """

    images: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    classes: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)


class Truth(NamedTuple):
    """What is to be found in an image.

    Attributes:
        size: the image's height and width.
        scale: by which it is scaled to fit the network's input.
        boxes: float32 ``(K, 5)``: left, top, right, bottom edges in the image's pixels, class index.
    """

    size: tuple[int, int]
    scale: float
    boxes: NDArray[np.float32]


def fitting_scale(size: tuple[int, int], width: int, height: int) -> float:
    """The factor by which an image of this height and width fits into an input."""
    return min(width / size[1], height / size[0])


def fit_image(image: NDArray[np.uint8], width: int, height: int) -> tuple[NDArray[np.uint8], float]:
    """Scale an image until it fits into an input; its sides keep their proportion, so that round stays round.

    Returns:
        uint8 RGB, one side of which is the input's, and the factor.
    """
    scale = fitting_scale(image.shape[:2], width, height)
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8), scale


def pad_image(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """An image that fits, at the top left of a black one of the input's size."""
    result = np.zeros((height, width, 3), np.uint8)
    result[: image.shape[0], : image.shape[1]] = image
    return result


class FittedSamples:
    """Samples that fit into the network's input, not padded; those that memory holds are fitted once."""

    def __init__(self, samples: BoxSamples, width: int, height: int, memory: int | None = None) -> None:
        self.samples, self.width, self.height = samples, width, height
        self._kept = MemoryCache(self._fitted, memory)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> BoxedImage:
        return self._kept[index]

    def truth(self, index: int) -> Truth:
        """What is to be found in an image, at the image's own size; the image is not read."""
        annotation = self.samples.annotation(index)
        boxes, classes = boxes_of(annotation, self.samples.classes)
        both = np.concatenate([boxes, classes[:, None].astype(np.float32)], axis=1)
        return Truth(annotation.size, fitting_scale(annotation.size, self.width, self.height), both)

    def _fitted(self, index: int) -> BoxedImage:
        image, boxes, classes = self.samples[index]
        small, scale = fit_image(image, self.width, self.height)
        return BoxedImage(small, boxes * np.float32(scale), classes)


def collate(samples: Sequence[BoxedImage], width: int, height: int) -> Batch:
    """Put samples side by side, each padded to the input's size."""
    most = max(1, *(len(sample.boxes) for sample in samples))
    boxes = np.full((len(samples), most, 4), NONE, np.float32)
    classes = np.full((len(samples), most), NONE, np.float32)
    for row, sample in enumerate(samples):
        boxes[row, : len(sample.boxes)] = sample.boxes
        classes[row, : len(sample.boxes)] = sample.classes
    return Batch(np.stack([pad_image(sample.image, width, height) for sample in samples]), boxes, classes)


class Loader(Prefetcher):
    """Prepares batches ahead of their use; the number of threads changes nothing but the speed."""

    def batches(
        self,
        samples: FittedSamples,
        order: Sequence[int] | NDArray[Any],
        size: int,
        change: Callable[[BoxedImage, int], BoxedImage] = lambda sample, place: sample,
        start: int = 0,
    ) -> Iterator[Batch]:
        """Batches of up to ``size`` samples in the given order; the last one may be smaller.

        Args:
            change: what is done to a sample, given its place in the order.
            start: the place in the order to begin at.
        """

        def make(place: int) -> Batch:
            places = range(place, min(place + size, len(order)))
            made = [change(samples[int(order[each])], each) for each in places]
            return collate(made, samples.width, samples.height)

        return self.each(make, range(start, len(order), size))
