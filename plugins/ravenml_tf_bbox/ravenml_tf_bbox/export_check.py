"""Whether another form of a model finds what the model finds.

Of two boxes that overlap and are as good as equally likely, suppression keeps one, and the last bit of their
scores decides which: so two right lists of boxes need not be the same.  What decides here is what the model
says *before* suppression.  A form's list is right if each of its boxes is one that the model says, no two of
them should have suppressed each other, and every other box of the model's is suppressed by one of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ravenml.errors import RavenError
from ravenml_tf_bbox.detecting import CANDIDATES, THINNEST, Choice

PIXELS = 0.1  # by how much an edge may differ
SHARE, LEAST = 1e-3, 1e-6  # of a score, and at least: by how much it may
OVERLAP = 0.01  # by how much the overlap of two boxes may

Rows = NDArray[np.float32]


class RawOutput(NamedTuple):
    """What the model says of one image.

    Attributes:
        places: ``(A, 4)``: left, top, right, bottom edges.
        scores: ``(A, C)``.
        rows: ``(K, 6)``: edges, score, class: what is left of it after suppression.
    """

    places: Rows
    scores: Rows
    rows: Rows


class Agreement(NamedTuple):
    """How well a form agrees.

    Attributes:
        boxes: how many there were to compare.
        others: how many of them the model did not choose, since it chose one that is as likely.
        pixels: the largest difference of an edge.
        score: the largest difference of a score.
    """

    boxes: int = 0
    others: int = 0
    pixels: float = 0.0
    score: float = 0.0

    def __add__(self, other: object) -> Agreement:
        assert isinstance(other, Agreement)
        worst = max(self.pixels, other.pixels), max(self.score, other.score)
        return Agreement(self.boxes + other.boxes, self.others + other.others, *worst)


def compare_outputs(output: RawOutput, rows: Rows, choice: Choice) -> Agreement:
    """Compare what a form gives for an image with what the model says.

    Args:
        output: the model's.
        rows: the form's ``(K, 6)``, the likeliest first, whatever their score.
        choice: how boxes are suppressed.

    Raises:
        RavenError: it is not a right choice from what the model says; the first box at fault is named.
    """
    model_rows, needed = _candidates(output)
    pixels = score = 0.0
    for row in rows:
        one = _nearest(model_rows, row)
        if one is None:
            raise RavenError(f"it finds {_named(row)}, of which the model says nothing")
        pixels, score = max(pixels, one[0]), max(score, one[1])
    if (np.diff(rows[:, 4]) > 0).any():
        raise RavenError("its boxes do not come in the order of their scores")
    overlaps = _overlaps(rows, rows)
    np.fill_diagonal(overlaps, 0)
    first, second = np.nonzero(overlaps > choice.iou + OVERLAP)
    if len(first):
        raise RavenError(f"it finds both {_named(rows[first[0]])} and {_named(rows[second[0]])}")
    missing = needed[~_suppressed(needed, rows, choice)]
    if len(missing):
        raise RavenError(f"it does not find {_named(missing[0])}")
    others = sum(_nearest(output.rows, row) is None for row in rows)
    return Agreement(len(rows), others, pixels, score)


def _candidates(output: RawOutput) -> tuple[Rows, Rows]:
    """The model's boxes ``(N, 6)`` that suppression may have looked at, and those that it must have."""
    thick = (output.places[:, 2:] - output.places[:, :2]).min(axis=1) >= THINNEST
    flat = np.where(thick[:, None], output.scores, 0).reshape(-1)
    least = np.partition(flat, -CANDIDATES)[-CANDIDATES] if len(flat) > CANDIDATES else np.float32(-1)
    may = np.flatnonzero(flat >= least - _tolerance(least))
    classes = output.scores.shape[1]
    rows = np.concatenate(
        [output.places[may // classes], flat[may, None], (may % classes)[:, None].astype(np.float32)], axis=1
    )
    rows = rows[rows[:, 4] > 0]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    return rows, rows[rows[:, 4] > least + _tolerance(least)]


def _tolerance(scores: np.float32 | Rows) -> np.float32 | Rows:
    return np.abs(scores) * np.float32(SHARE) + np.float32(LEAST)


def _nearest(rows: Rows, row: Rows) -> tuple[float, float] | None:
    """By how much the edges and the score of the nearest row of its class differ, if that is little."""
    edges = np.abs(rows[:, :4] - row[:4]).max(axis=1)
    scores = np.abs(rows[:, 4] - row[4])
    same = (rows[:, 5] == row[5]) & (edges <= PIXELS) & (scores <= _tolerance(rows[:, 4]))
    if not same.any():
        return None
    best = np.argmin(np.where(same, edges, np.inf))
    return float(edges[best]), float(scores[best])


def _suppressed(needed: Rows, rows: Rows, choice: Choice) -> NDArray[np.bool_]:
    """Which of the model's boxes are a form's too, suppressed by one, or too unlikely for the last place."""
    edges = np.abs(needed[:, None, :4] - rows[None, :, :4]).max(axis=2)
    there = (edges <= PIXELS) & (needed[:, None, 5] == rows[None, :, 5])
    covered = there | (_overlaps(needed, rows) >= choice.iou - OVERLAP)
    likely = rows[None, :, 4] >= needed[:, None, 4] - _tolerance(needed[:, None, 4])
    result: NDArray[np.bool_] = (covered & likely).any(axis=1)
    if len(rows) >= choice.most:
        result |= needed[:, 4] <= rows[-1, 4] + _tolerance(rows[-1, 4])
    return result


def _overlaps(ones: Rows, others: Rows) -> NDArray[np.float64]:
    """Intersection over union ``(N, M)`` of boxes of one class, 0 for those of different classes."""
    a, b = ones[:, None].astype(np.float64), others[None].astype(np.float64)
    sides = (np.minimum(a[..., 2:4], b[..., 2:4]) - np.maximum(a[..., :2], b[..., :2])).clip(0)
    shared = sides[..., 0] * sides[..., 1]
    areas = [(one[..., 2] - one[..., 0]) * (one[..., 3] - one[..., 1]) for one in (a, b)]
    union = areas[0] + areas[1] - shared
    return np.where((a[..., 5] == b[..., 5]) & (shared > 0), shared / np.where(union > 0, union, 1), 0.0)


def _named(row: Rows) -> str:
    edges = ", ".join(f"{edge:.1f}" for edge in row[:4])
    return f"the box ({edges}) of class {row[5]:.0f} with the score {row[4]:.4f}"
