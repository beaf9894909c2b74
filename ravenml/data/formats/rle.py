"""Masks as lengths of runs: pixels that are not set, pixels that are, and so on in turn.

COCO goes down the columns and writes the lengths as a list or as a short text; CVAT goes along the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def runs_of(flat: np.ndarray) -> list[int]:
    """The lengths of runs of a flat mask; the first is of pixels that are not set, and may be 0."""
    bits = np.concatenate([[False], np.asarray(flat, bool)])
    changes = np.flatnonzero(bits[1:] != bits[:-1])
    edges = np.concatenate([[0], changes, [flat.size]])
    return [int(length) for length in np.diff(edges)]


def flat_of(runs: Sequence[int], size: int) -> np.ndarray:
    """The flat mask, bool (size,), of lengths of runs.

    Raises:
        ValueError: a length is not a number or negative, or they do not add up to ``size``.
    """
    try:
        lengths = np.asarray(runs, np.int64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("is not a list of lengths") from None
    if lengths.ndim != 1 or (lengths.size and lengths.min() < 0):
        raise ValueError("has a length that is negative")
    if (lengths.size and int(lengths.max()) > size) or int(lengths.sum()) != size:
        raise ValueError(f"covers {int(lengths.sum())} pixels of {size}")
    return np.repeat(np.arange(lengths.size) % 2 == 1, lengths)


def unpack_runs(text: str) -> list[int]:
    """The lengths in COCO's short text: from the third on each is the difference to the one before the last.

    A number is written five bits at a time, the lowest first, as characters from ``0`` on; the sixth bit says
    that there is more.

    Raises:
        ValueError: the text is cut off, or has other characters.
    """
    runs: list[int] = []
    number, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"has the character {character!r}, which no such text has")
        number |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                number -= 1 << shift
            runs.append(number + runs[-2] if len(runs) > 2 else number)
            number, shift = 0, 0
    if shift:
        raise ValueError("is cut off")
    return runs


def pack_runs(runs: Iterable[int]) -> str:
    """COCO's short text of lengths; see `unpack_runs`."""
    given = list(runs)
    text = bytearray()
    for index, length in enumerate(given):
        number = length - given[index - 2] if index > 2 else length
        more = True
        while more:
            bits = number & 31
            number >>= 5
            more = number != (-1 if bits & 16 else 0)
            text.append((bits | (32 if more else 0)) + 48)
    return text.decode()
