"""Images that look almost the same: copies that were resized, compressed again, or made a little brighter.

Each image becomes 256 bits, a difference hash: whether its brightness rises from one cell of a 16 × 17 grid
to the next.  Two images look the same if at most 12 bits differ.  A copy mostly differs in fewer than 10, two
frames of a drive, a second apart, in about 30 or more.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_CELLS = 16
_RISE = 2  # shades; less is noise
_DIFFERENT = 12  # bits
_FLAT = 24  # bits; an image with fewer rises has too little in it to be told from others
_ROWS = 64  # images that are compared with all others at once


def difference_hash(image: np.ndarray) -> np.ndarray:
    """An image's hash: uint64 (4,), of uint8 RGB (height, width, 3)."""
    small = cv2.resize(image, (_CELLS + 1, _CELLS), interpolation=cv2.INTER_AREA)
    shades = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.int16)
    return np.packbits(shades[:, 1:] - shades[:, :-1] > _RISE).view(np.uint64)


def group_near_duplicates(hashes: Sequence[np.ndarray]) -> list[list[int]]:
    """The images that look almost the same, as groups of their numbers; those of too little content are
    passed over.

    Every image is compared with every other, which takes a second for 20,000.
    """
    if not hashes:
        return []
    bits = np.stack(hashes)
    numbers = np.flatnonzero(np.bitwise_count(bits).sum(axis=1) >= _FLAT)
    bits = bits[numbers]
    group = list(range(len(numbers)))

    def first_of(number: int) -> int:
        while group[number] != number:
            number = group[number]
        return number

    for start in range(0, len(bits), _ROWS):
        rows = bits[start : start + _ROWS]
        different = np.zeros((len(rows), len(bits) - start), np.uint16)
        for word in range(bits.shape[1]):
            different += np.bitwise_count(rows[:, word, None] ^ bits[None, start:, word])
        for row, column in np.argwhere(different <= _DIFFERENT).tolist():
            if row < column:
                one, other = sorted((first_of(start + row), first_of(start + column)))
                group[other] = one
    groups: dict[int, list[int]] = {}
    for place, number in enumerate(numbers.tolist()):
        groups.setdefault(first_of(place), []).append(number)
    return [members for members in groups.values() if len(members) > 1]
