"""Images and labels as any framework's data loader wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from ravenml.data.cache import DecodedCache, default_cache
from ravenml.data.classes import lookup_table
from ravenml.data.decoding import decode
from ravenml.data.project import Item, Project


class Samples(Sequence[tuple[np.ndarray, np.ndarray]]):
    """Items as pairs of image and labels, at their original sizes.

    Args:
        project: where the items are from.
        items: which, and in which order.
        classes: the model's class titles in its own order, `__bg__` among them; what is not among them
            becomes background.
        cache: where decoded items rest; None decodes each time, "default" is the user's cache.

    Raises:
        InputError: a class is unknown to the project.

    It may be pickled, and shared by threads.
    """

    def __init__(
        self,
        project: Project,
        items: Sequence[Item],
        classes: Sequence[str],
        cache: DecodedCache | Literal["default"] | None = "default",
    ) -> None:
        self.project = project
        self.items = list(items)
        self.classes = list(classes)
        self.cache = default_cache() if cache == "default" else cache
        self._table = lookup_table(project, self.classes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[override]
        """The image, uint8 RGB (height, width, 3), and its labels (height, width), indices into ``classes``.

        The image may be read-only: it can be a map of the cache's file.  Labels are uint8, or uint16
        where there are more than 256 classes.

        Raises:
            DataProblem: the item's files are missing or broken.
        """
        item = self.items[index]
        load = self.cache.load if self.cache is not None else decode
        image, mask = load(self.project, item)
        return image, self._labels(mask)

    def _labels(self, mask: np.ndarray) -> np.ndarray:
        if mask.dtype == np.uint8 and self._table.dtype == np.uint8:
            return cv2.LUT(mask, self._table)  # several times as fast as indexing, and outside Python's lock
        labels: np.ndarray = self._table[mask]
        return labels
