"""Sliding windows: where they lie, and how much each counts at a place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """The windows along one side of an image.

    Attributes:
        length: the side, at least a window long.
        window: a window's length.
        starts: where each begins; the last one ends where the image does.
        weights: for each window, float32 ``(window,)``: a ramp up to its middle and down again, divided by
            the sum of all ramps at that place.  So the weights of all windows add up to 1 everywhere, and
            nothing has to be divided in the end.
    """

    length: int
    window: int
    starts: list[int]
    weights: list[NDArray[np.float32]]


def make_axis(length: int, window: int, overlap: int) -> Axis:
    """Lay windows along a side; one that is shorter than a window counts as one window long."""
    length = max(length, window)
    step = max(window - overlap, 1)
    last = length - window
    starts = sorted({min(start, last) for start in range(0, last + step, step)})
    ramp = np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)).astype(np.float64)
    total = np.zeros(length)
    for start in starts:
        total[start : start + window] += ramp
    weights = [(ramp / total[start : start + window]).astype(np.float32) for start in starts]
    return Axis(length, window, starts, weights)


@dataclass(frozen=True)
class Grid:
    """Windows over an image of ``size`` (height, width)."""

    size: tuple[int, int]
    rows: Axis
    columns: Axis

    @classmethod
    def over(cls, size: tuple[int, int], window: tuple[int, int], overlap: tuple[int, int]) -> Grid:
        """Lay windows; all three are (height, width)."""
        return cls(size, make_axis(size[0], window[0], overlap[0]), make_axis(size[1], window[1], overlap[1]))

    def places(self) -> list[tuple[int, int]]:
        """The windows' top left corners (y, x), row by row."""
        return list(product(self.rows.starts, self.columns.starts))

    def padded(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image; one smaller than a window is mirrored to the right and below until it fills one."""
        below, right = self.rows.length - image.shape[0], self.columns.length - image.shape[1]
        if not below and not right:
            return image
        bordered = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REFLECT_101)
        return np.asarray(bordered, np.uint8)

    def tiles(
        self, image: NDArray[np.uint8], batch_size: int
    ) -> Iterator[tuple[list[tuple[int, int]], NDArray[np.uint8]]]:
        """The windows in batches: corners (y, x), and pixels, uint8 ``(N, window height, its width, 3)``."""
        image = self.padded(image)
        places, height, width = self.places(), self.rows.window, self.columns.window
        for first in range(0, len(places), batch_size):
            batch = places[first : first + batch_size]
            yield batch, np.stack([image[y : y + height, x : x + width] for y, x in batch])
