"""From an item's two files to an image and its mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ravenml.data.geometry import Size
from ravenml.data.images import decode_image, read_bytes
from ravenml.data.masks import draw_mask
from ravenml.data.problems import DataProblem
from ravenml.data.project import Item, Project


def decode(project: Project, item: Item) -> tuple[np.ndarray, np.ndarray]:
    """Read an item: the image, uint8 RGB (height, width, 3), and its mask (height, width) in project order.

    The mask is 0 for none and ``i + 1`` for ``project.classes[i]``; uint8, or uint16 from 256 classes on.

    Raises:
        DataProblem: one of the files is missing or broken, or they differ in size.
    """
    return decode_bytes(project, item, read_bytes(item.image_path), read_bytes(item.annotation_path))


def decode_bytes(
    project: Project, item: Item, image_content: bytes, annotation_content: bytes
) -> tuple[np.ndarray, np.ndarray]:
    """`decode`, where the files' contents have been read already."""
    annotation = project.parse(annotation_content, item)
    image = decode_image(image_content, item.image_path)
    check_size(annotation.size, image, item.annotation_path, item.image_path)
    return image, draw_mask(annotation, project.titles)


def check_size(size: Size, image: np.ndarray, annotation: Path, path: Path) -> None:
    """Check that an annotation of ``size`` (height, width) belongs to an image; the paths are for messages.

    Raises:
        DataProblem: it does not; says so where width and height are only swapped.
    """
    height, width = image.shape[:2]
    if size == (height, width):
        return
    said = f"says {size[1]}×{size[0]}, but {path} is {width}×{height}"
    if size == (width, height):
        said += ", the other way round (an EXIF orientation, where there is one, has been applied)"
    raise DataProblem(annotation, "size", said, "annotate this image again, or restore the right image")
