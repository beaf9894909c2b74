"""Sliding windows: where they lie, and how what a network says in each becomes one picture without seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

Predict = Callable[[NDArray[np.uint8]], "list[NDArray[np.float32]] | NDArray[np.float32]"]


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


def blended(
    grid: Grid, image: NDArray[np.uint8], classes: int, predict: Predict, batch_size: int = 1
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Run a network on every window and blend its probabilities.

    Only as many rows are held as a window is high: those that no further window reaches are given away.  So
    a large image needs little more memory than a small one.

    Args:
        image: uint8 RGB ``(height, width, 3)``.
        classes: how many there are.
        predict: gives float32 ``(N, classes, window height, window width)`` for a batch of windows.

    Yields:
        A row's number, and the blended probabilities from there on, float32 ``(classes, rows, width)``: a
        view that is overwritten when the next one is asked for.
    """
    height, width = grid.size
    high, wide = grid.rows.window, grid.columns.window
    across = dict(zip(grid.columns.starts, grid.columns.weights, strict=True))
    down = dict(zip(grid.rows.starts, grid.rows.weights, strict=True))
    band = np.zeros((classes, high, grid.columns.length), np.float32)
    top = 0
    for places, tiles in grid.tiles(image, batch_size):
        for (y, x), said in zip(places, predict(tiles), strict=True):
            if y != top:
                yield top, band[:, : y - top, :width]
                _move_up(band, y - top)
                top = y
            weights = np.outer(down[y], across[x])
            for one, total in zip(np.asarray(said, np.float32), band, strict=True):
                cv2.accumulateProduct(one, weights, total[:, x : x + wide])  # in place, in one pass
    yield top, band[:, : height - top, :width]


def _move_up(band: NDArray[np.float32], step: int) -> None:
    kept = band.shape[1] - step
    band[:, :kept] = band[:, step:]
    band[:, kept:] = 0


def most_likely(probabilities: NDArray[np.floating]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The likeliest class of every pixel, counted from 1; for a single class, 0 where it is below one half.

    Args:
        probabilities: ``(classes, height, width)``.

    Returns:
        ``(height, width)``, uint8 (uint16 from 256 classes on), as `ravenml.data.masks.draw_mask` numbers.
    """
    count = len(probabilities)
    kind = np.uint8 if count < 256 else np.uint16
    if count == 1:
        return (probabilities[0] > 0.5).astype(kind)
    best, numbers = probabilities[0].copy(), np.ones(probabilities.shape[1:], kind)
    better, found = np.empty_like(numbers, bool), np.empty_like(numbers)
    for index in range(1, count):  # five times as fast as argmax over the first axis
        np.greater(probabilities[index], best, out=better)
        np.multiply(better, kind(index + 1), out=found)
        np.maximum(numbers, found, out=numbers)
        np.maximum(best, probabilities[index], out=best)
    return numbers
