"""Images as arrays, uint8 RGB (height, width, 3)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ravenml.common.io import write_bytes
from ravenml.data.images import read_image


def read(path: str) -> np.ndarray:
    """Read an image file."""
    return read_image(Path(path))


def write(path: str, img: np.ndarray) -> None:
    """Write an image file, of the kind that its name says."""
    written, content = cv2.imencode(Path(path).suffix, cv2.cvtColor(img, cv2.COLOR_RGB2BGR))
    if not written:
        raise ValueError(f"{path} cannot be written; give it another extension, such as .png.")
    write_bytes(Path(path), content.tobytes())


def resize(img: np.ndarray, out_size: tuple[int, int]) -> np.ndarray:
    """Scale to (height, width), between pixels bilinearly."""
    return cv2.resize(img, tuple(out_size)[::-1], interpolation=cv2.INTER_LINEAR)


def resize_inter_nearest(img: np.ndarray, out_size: tuple[int, int]) -> np.ndarray:
    """Scale to (height, width), each pixel being an old one."""
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip(out_size, img.shape[:2], strict=True)
    )
    return np.asarray(img[rows][:, columns])
