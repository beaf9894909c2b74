"""One decoded item as a file: a header of 64 bytes, the image, the mask; ready to be mapped.

Everything is little-endian and raw: opening costs a page table, not a decoder.  The header holds a sum
over all that follows, so that a damaged file is noticed and made again.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

import numpy as np

_HEADER = struct.Struct("<8sIIIIQ")  # magic, height, width, bytes per mask pixel, 0, sum
_MAGIC = b"ravenDC1"
HEADER_BYTES = 64


def pack(image: np.ndarray, mask: np.ndarray) -> list[bytes | memoryview]:
    """The parts of the file that holds an image (height, width, 3) uint8 and a mask (height, width)."""
    height, width = mask.shape
    parts = [_padded(np.ascontiguousarray(image)), _padded(np.ascontiguousarray(mask))]
    total = sum(int(part.sum(dtype=np.uint64)) for part in parts) & 0xFFFFFFFFFFFFFFFF
    header = _HEADER.pack(_MAGIC, height, width, mask.itemsize, 0, total)
    return [header.ljust(HEADER_BYTES, b"\0"), *(part.data for part in parts)]


def read(path: Path, verify: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Map a file that `pack` made: image and mask, read-only; None where it is absent or damaged.

    ``verify`` compares the sum, which reads the whole file once.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        length = os.fstat(descriptor).st_size
        if length < HEADER_BYTES:
            return None
        content = mmap.mmap(descriptor, length, prot=mmap.PROT_READ)
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)
    magic, height, width, depth, _, total = _HEADER.unpack_from(content)
    pixels = height * width
    mask_at = HEADER_BYTES + _round_up(3 * pixels)
    if magic != _MAGIC or depth not in (1, 2) or length != mask_at + _round_up(depth * pixels):
        return None
    if verify:
        words = np.frombuffer(content, np.uint64, offset=HEADER_BYTES)
        if int(words.sum(dtype=np.uint64)) != total:
            return None
    image = np.frombuffer(content, np.uint8, 3 * pixels, HEADER_BYTES).reshape(height, width, 3)
    kind = np.uint8 if depth == 1 else np.uint16
    return image, np.frombuffer(content, kind, pixels, mask_at).reshape(height, width)


def _round_up(length: int) -> int:
    return (length + 7) // 8 * 8


def _padded(array: np.ndarray) -> np.ndarray:
    """An array's bytes as whole 64-bit words, filled up with zeros."""
    raw = array.reshape(-1).view(np.uint8)
    missing = -raw.size % 8
    return (np.append(raw, np.zeros(missing, np.uint8)) if missing else raw).view(np.uint64)
