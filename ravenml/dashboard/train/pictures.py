"""Small pictures of a project's images, with the masks over them; made once and kept in the cache."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ravenml.common.io import write_cache
from ravenml.config.home import cache_dir
from ravenml.data.images import read_image
from ravenml.data.masks import draw_mask
from ravenml.data.problems import DataProblem
from ravenml.data.project import Item, Project

WIDTHS = (320, 1280)
_STRENGTH = 0.5  # of the colours over the picture
_QUALITY = 85


def make_thumbnail(project: Project, item: Item, width: int, masks: bool) -> bytes:
    """A JPEG of an item, at most ``width`` pixels wide.

    Raises:
        DataProblem: the image or the annotation is missing or broken.
    """
    path = _place(project, item, width, masks)
    try:
        return path.read_bytes()
    except OSError:
        pass
    content = _draw(project, item, width, masks)
    with suppress(OSError):  # a full disk: it is made again the next time
        write_cache(path, [content])
    return content


def overlay_masks(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Lay colours over an image where the mask is not 0.

    Args:
        image: uint8 RGB ``(H, W, 3)``.
        mask: ``(H, W)``; ``i + 1`` is the colour ``colours[i]``.
        colours: uint8 ``(C, 3)``.
    """
    table = np.concatenate([np.zeros((1, 3), np.uint8), colours])
    coloured = cv2.addWeighted(image, 1 - _STRENGTH, table[mask], _STRENGTH, 0)
    return np.where(mask[..., None] > 0, coloured, image).astype(np.uint8)


def _draw(project: Project, item: Item, width: int, masks: bool) -> bytes:
    image = read_image(item.image_path)
    scale = min(1.0, width / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if masks:
        mask = draw_mask(project.annotation(item, lambda fault: None), project.titles)
        fitting = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        colours = np.array([known.rgb for known in project.classes], np.uint8).reshape(-1, 3)
        small = overlay_masks(small, np.asarray(fitting), colours)
    done, content = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise DataProblem(item.image_path, "", "cannot be shown", "look at the file")
    return content.tobytes()


def _place(project: Project, item: Item, width: int, masks: bool) -> Path:
    try:
        image, annotation = os.stat(item.image_path), os.stat(item.annotation_path)
    except OSError:
        raise DataProblem(item.image_path, "", "is gone", "open the project again") from None
    identity = (
        f"{item.image_path}\0{image.st_mtime_ns}\0{image.st_size}\0{annotation.st_mtime_ns}\0{width}\0{masks}"
    )
    colours = ",".join(known.color for known in project.classes)
    key = hashlib.sha256(
        identity.encode(errors="surrogateescape") + colours.encode() + project.fingerprint
    ).hexdigest()
    return cache_dir() / "thumbnails" / key[:2] / f"{key[2:34]}.jpg"
