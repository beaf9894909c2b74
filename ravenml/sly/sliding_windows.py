"""Windows over an image, row by row; sizes are (height, width)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import product

from ravenml.sly.geometry import Rectangle


class SlidingWindowBorderStrategy(Enum):
    """What becomes of windows that reach out: they stay so, they are shifted, or they are cut."""

    ADD_PADDING = "add_padding"
    SHIFT_WINDOW = "shift_window"
    CHANGE_SIZE = "change_size"

    def __str__(self) -> str:
        return str(self.value)


class SlidingWindows:
    """Windows of one size; those at the right and below are shifted into the image.

    Args:
        window_shape: their size.
        min_overlap: by how much they overlap at least.

    Raises:
        RuntimeError: the overlap is not smaller than a window.
    """

    def __init__(self, window_shape: Sequence[int], min_overlap: Sequence[int]) -> None:
        self.window_shape = int(window_shape[0]), int(window_shape[1])
        self.min_overlap = int(min_overlap[0]), int(min_overlap[1])
        self.stride = tuple(
            side - overlap for side, overlap in zip(self.window_shape, self.min_overlap, strict=True)
        )
        if min(self.stride) < 1:
            raise RuntimeError(f"Windows of {self.window_shape} cannot overlap by {self.min_overlap}.")

    def get(self, source_shape: Sequence[int]) -> Iterator[Rectangle]:
        """The windows over an image of a size.

        Raises:
            RuntimeError: the image is smaller than a window.
        """
        limits = self._limits(source_shape)
        for top, left in self._corners(limits):
            yield self._window(min(top, limits[0]), min(left, limits[1]))

    def _limits(self, source_shape: Sequence[int]) -> tuple[int, int]:
        down, right = (int(source_shape[i]) - self.window_shape[i] for i in (0, 1))
        if min(down, right) < 0:
            size = tuple(source_shape[:2])
            raise RuntimeError(f"A window of {self.window_shape} is larger than an image of {size}.")
        return down, right

    def _corners(self, limits: tuple[int, int]) -> Iterator[tuple[int, int]]:
        down, right = self.stride
        return product(range(0, limits[0] + down, down), range(0, limits[1] + right, right))

    def _window(self, top: int, left: int) -> Rectangle:
        height, width = self.window_shape
        return Rectangle(top, left, top + height - 1, left + width - 1)


class SlidingWindowsFuzzy(SlidingWindows):
    """Windows with a strategy for those that reach out of the image.

    Raises:
        ValueError: the strategy is unknown.
    """

    def __init__(
        self,
        window_shape: Sequence[int],
        min_overlap: Sequence[int],
        strategy: str | SlidingWindowBorderStrategy = SlidingWindowBorderStrategy.SHIFT_WINDOW,
    ) -> None:
        super().__init__(window_shape, min_overlap)
        self.strategy = str(SlidingWindowBorderStrategy(getattr(strategy, "value", strategy)))

    def get(self, source_shape: Sequence[int]) -> Iterator[Rectangle]:
        """The windows over an image of a size; those that are cut are as large as the step between two."""
        if self.strategy == str(SlidingWindowBorderStrategy.SHIFT_WINDOW):
            yield from super().get(source_shape)
            return
        for top, left in self._corners(self._limits(source_shape)):
            if self.strategy == str(SlidingWindowBorderStrategy.ADD_PADDING):
                yield self._window(top, left)
            else:
                bottom = min(top + self.stride[0], source_shape[0])
                right = min(left + self.stride[1], source_shape[1])
                yield Rectangle(top, left, bottom - 1, right - 1)
