"""From what a model found in an image to the bytes of an answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from ravenml.data.bitmap import trim
from ravenml.data.editable_annotation import Label
from ravenml.data.geometry import Bitmap
from ravenml.data.images import encode_png
from ravenml.data.meta import ObjClass
from ravenml.infer.drawing import draw_mask, draw_overlay
from ravenml.infer.modes.base import Mode
from ravenml.infer.modes.interface import ModeResult
from ravenml.infer.network import CONFIDENCE

MEDIA = {"annotation": "application/json", "mask": "image/png", "overlay": "image/png"}
_QUICK = 1  # PNG's level: an answer is sent once, and the processor has better things to do


def encode(kind: str, image: NDArray[np.uint8], outcome: ModeResult, classes: Sequence[ObjClass]) -> bytes:
    """The bytes of an answer.

    Args:
        kind: ``annotation``, ``mask`` or ``overlay``.
        image: the image, for ``overlay``.
        outcome: what was found.
        classes: those of the results; a mask numbers them from 1.
    """
    if kind == "mask":
        return encode_png(draw_mask(outcome.predicted, outcome.document.size, classes), _QUICK)
    if kind == "overlay":
        return encode_png(draw_overlay(image, outcome.added, classes), _QUICK)
    document = outcome.document.to_json()
    try:
        return orjson.dumps(document)
    except TypeError:  # an integer of more than 64 bits, which the request's annotation had
        return json.dumps(document).encode()


def above_threshold(outcome: ModeResult, threshold: float, mode: Mode) -> ModeResult:
    """The same without what the model is less sure of: boxes by their confidence, areas pixel by pixel."""
    numbers = {mode.title(one.title): index for index, one in enumerate(mode.network.classes)}
    kept: dict[int, Label | None] = {}
    for label in outcome.added:
        kept[id(label)] = _above(label, threshold, outcome.probabilities, numbers.get(label.title))
    added = [one for label in outcome.added if (one := kept[id(label)]) is not None]
    labels = [kept.get(id(label), label) for label in outcome.document.labels]
    document = outcome.document.with_labels(one for one in labels if one is not None)
    return ModeResult(document, added, outcome.probabilities)


def _above(
    label: Label, threshold: float, probabilities: NDArray[Any] | None, index: int | None
) -> Label | None:
    if index is None:
        return label  # an area that the network saw
    confidence = next(
        (tag.get("value") for tag in label.tags if str(tag["name"]).startswith(CONFIDENCE)), None
    )
    if isinstance(confidence, int | float):
        return label if confidence >= threshold else None
    shape = label.geometry
    if probabilities is None or not isinstance(shape, Bitmap):
        return label
    x, y = shape.origin
    height, width = shape.mask.shape
    sure = shape.mask & (probabilities[index, y : y + height, x : x + width] >= threshold)
    if not sure.any():
        return None
    (left, top), mask = trim(sure)
    return label.changed(geometry=Bitmap((x + left, y + top), mask))
