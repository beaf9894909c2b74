"""Images and boxes as a detector's data loader wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from ravenml.data.annotation import Annotation
from ravenml.data.cache import DecodedCache, default_cache
from ravenml.data.decoding import decode
from ravenml.data.geometry import Bitmap, Geometry
from ravenml.data.project import Item, Project
from ravenml.data.transforms import bounds


class BoxedImage(NamedTuple):
    """An image and the boxes of what is to be found in it.

    Attributes:
        image: uint8 RGB ``(H, W, 3)``; it may be read-only.
        boxes: float32 ``(K, 4)``: left, top, right and bottom edges in pixels, within the image.
        classes: int64 ``(K,)``, indices into the wanted classes.
    """

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


def boxes_of(annotation: Annotation, classes: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The bounding boxes of rectangles, polygons and bitmaps' set pixels, cut to the image.

    Args:
        annotation: of the image.
        classes: the index of each wanted title; objects of others are left out.

    Returns:
        Boxes, float32 ``(K, 4)``, and class indices, int64 ``(K,)``.  A rectangle from pixel 2 to pixel 4 is
        the box from edge 2 to edge 5.
    """
    height, width = annotation.size
    found = [
        (bounds(one.geometry), classes[one.class_title])
        for one in annotation.objects
        if one.class_title in classes and not _is_empty(one.geometry)
    ]
    edges = np.array([(r.left, r.top, r.right + 1, r.bottom + 1) for r, _ in found], np.float32).reshape(
        -1, 4
    )
    edges = np.clip(edges, 0, np.array([width, height, width, height], np.float32))
    there = (edges[:, 2] > edges[:, 0]) & (edges[:, 3] > edges[:, 1])
    return edges[there], np.array([index for _, index in found], np.int64)[there]


def _is_empty(geometry: Geometry) -> bool:
    return isinstance(geometry, Bitmap) and not geometry.mask.any()


class BoxSamples(Sequence[BoxedImage]):
    """Items as images with boxes, at their original sizes.

    Args:
        project: where the items are from.
        items: which, and in which order.
        classes: the model's class titles in its own order.
        cache: where decoded images rest; None decodes each time, "default" is the user's cache.

    It may be pickled, and shared by threads.
    """

    def __init__(
        self,
        project: Project,
        items: Sequence[Item],
        classes: Sequence[str],
        cache: DecodedCache | Literal["default"] | None = "default",
    ) -> None:
        self.project, self.items = project, list(items)
        self.classes = {title: index for index, title in enumerate(classes)}
        self.cache = default_cache() if cache == "default" else cache

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> BoxedImage:  # type: ignore[override]
        """The image and its boxes.

        Raises:
            DataProblem: the item's files are missing or broken.
        """
        item = self.items[index]
        load = self.cache.load if self.cache is not None else decode
        image, _ = load(self.project, item)
        return BoxedImage(image, *boxes_of(self.annotation(index), self.classes))

    def annotation(self, index: int) -> Annotation:
        """What is known of an image, without reading the image itself."""
        return self.project.annotation(self.items[index])
