"""Non-maximum suppression: of boxes that overlap much, the likeliest stays (Neubeck and Van Gool, 2006)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ravenml.data.geometry import Rectangle


def suppress(boxes: NDArray[np.floating], scores: NDArray[np.floating], threshold: float) -> list[int]:
    """Which boxes stay, the likeliest first.

    Args:
        boxes: ``(N, 4)``: left, top, right and bottom edges in pixels.
        scores: ``(N,)``.
        threshold: a box goes if its intersection over union with a likelier one is greater.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    left, top, right, bottom = np.asarray(boxes, np.float64).reshape(-1, 4).T
    area = (right - left) * (bottom - top)
    kept: list[int] = []
    while order.size:
        best, others = int(order[0]), order[1:]
        kept.append(best)
        wide = np.minimum(right[best], right[others]) - np.maximum(left[best], left[others])
        high = np.minimum(bottom[best], bottom[others]) - np.maximum(top[best], top[others])
        shared = wide.clip(0) * high.clip(0)
        order = others[shared <= threshold * (area[best] + area[others] - shared)]
    return kept


def edges(rectangle: Rectangle) -> tuple[int, int, int, int]:
    """A rectangle's left, top, right and bottom edges; its right and bottom pixels belong to it."""
    return rectangle.left, rectangle.top, rectangle.right + 1, rectangle.bottom + 1
