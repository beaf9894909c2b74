"""How what a network says in each window becomes one picture without seams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.infer.modes.grid import Grid

Windows = Sequence[NDArray[np.float32]] | NDArray[np.float32]
Predict = Callable[[NDArray[np.uint8]], Windows]
Take = Callable[[int, NDArray[np.float32]], None]


def blend(
    grid: Grid, image: NDArray[np.uint8], classes: int, predict: Predict, take: Take, batch_size: int = 1
) -> None:
    """Run a network on every window and blend its probabilities.

    Blending, and what ``take`` does, happen in a thread beside the network's next windows.

    Args:
        image: uint8 RGB ``(height, width, 3)``.
        classes: how many there are.
        predict: gives float32 ``(N, classes, window height, window width)`` for a batch of windows; what it
            has given is read while it is called again.
        take: is given, from top to bottom, a row's number and the blended probabilities from there on,
            float32 ``(classes, rows, width)``: a view that is overwritten afterwards.
        batch_size: how many windows at once.
    """
    blender = _Blender(grid, classes, take)
    with ThreadPoolExecutor(1, "blend") as pool:
        under_way: Future[None] | None = None
        for places, tiles in grid.tiles(image, batch_size):
            windows = predict(tiles)
            if under_way is not None:
                under_way.result()  # what waits to be blended takes memory
            under_way = pool.submit(blender.add, places, windows)
        if under_way is not None:
            under_way.result()
    blender.end()


class _Blender:
    """Adds windows up.

    Only as many rows are held as a window is high: those that no further window reaches are given away.  So
    a large image needs little more memory than a small one.
    """

    def __init__(self, grid: Grid, classes: int, take: Take) -> None:
        self._grid, self._take, self._top = grid, take, 0
        self._across = dict(zip(grid.columns.starts, grid.columns.weights, strict=True))
        self._down = dict(zip(grid.rows.starts, grid.rows.weights, strict=True))
        self._band = np.zeros((classes, grid.rows.window, grid.columns.length), np.float32)

    def add(self, places: Sequence[tuple[int, int]], windows: Windows) -> None:
        """Add what was windows in the windows at these places, row by row."""
        wide = self._grid.columns.window
        for (y, x), window in zip(places, windows, strict=True):
            if y != self._top:
                self._give(y - self._top)
                _move_up(self._band, y - self._top)
                self._top = y
            weights = np.outer(self._down[y], self._across[x])
            for one, total in zip(np.asarray(window, np.float32), self._band, strict=True):
                cv2.accumulateProduct(one, weights, total[:, x : x + wide])  # in place, in one pass

    def end(self) -> None:
        """Give away the last rows."""
        self._give(self._grid.size[0] - self._top)

    def _give(self, rows: int) -> None:
        self._take(self._top, self._band[:, :rows, : self._grid.size[1]])


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
        likely: NDArray[np.bool_] = probabilities[0] > 0.5
        return likely.astype(np.uint8)
    best, numbers = probabilities[0].copy(), np.ones(probabilities.shape[1:], kind)
    better, found = np.empty_like(numbers, bool), np.empty_like(numbers)
    for index in range(1, count):  # five times as fast as argmax over the first axis
        np.greater(probabilities[index], best, out=better)
        np.multiply(better, kind(index + 1), out=found)
        np.maximum(numbers, found, out=numbers)
        np.maximum(best, probabilities[index], out=best)
    return numbers
