"""What a request asks for: which part of the image the network sees, which classes, which answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ravenml.common.io import JsonObject
from ravenml.common.merge import deep_merge
from ravenml.common.parsing import parse_json
from ravenml.data.problems import suggestion
from ravenml.errors import InputError

ANSWERS = ("annotation", "mask", "overlay")
FIELDS = ("mode", "window", "overlap", "classes", "threshold", "answer", "url", "path")
_NAME = ("mode", "name")


@dataclass(frozen=True)
class PredictParams:
    """What is asked for; without anything, what the server was started with.

    Attributes:
        answer: ``annotation`` (Supervisely's JSON), ``mask`` or ``overlay`` (PNG).
        mode: fields of ``mode``, as a config for inference has them.
        threshold: what the model is less sure of is left out; 0 to 1.
        urls: images that are to be fetched.
        paths: images that lie on the server.
        spelled: for fields that a parameter gave, that parameter.
    """

    answer: str = "annotation"
    mode: JsonObject = field(default_factory=dict)
    threshold: float | None = None
    urls: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    spelled: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    where: str = "the request"

    @cached_property
    def key(self) -> bytes:
        """What requests that may go through the network together have in common."""
        return json.dumps([self.mode, self.threshold is not None], sort_keys=True).encode()


def parse_params(given: Sequence[tuple[str, str]]) -> PredictParams:
    """Read a request's parameters.

    Args:
        given: names and values, from the address or from a form; ``classes``, ``url`` and ``path`` may be
            repeated.

    Raises:
        InputError: an unknown parameter, or a value that cannot be used; the parameter is named.
    """
    mode: JsonObject = {}
    classes: list[str] = []
    urls: list[str] = []
    paths: list[str] = []
    answer, threshold = "annotation", None
    spelled: dict[tuple[str, ...], str] = {}
    for name, value in given:
        if name not in FIELDS:
            raise InputError(f"{name}: no such parameter; {suggestion(name, list(FIELDS))}.")
        if name == "mode":
            mode = deep_merge(mode, _mode(value))
        elif name == "classes":
            classes.append(value)
        elif name == "url":
            urls.append(value)
        elif name == "path":
            paths.append(value)
        elif name == "answer":
            if value not in ANSWERS:
                raise InputError(f"answer: should be one of {', '.join(ANSWERS)}, not {value[:100]!r}.")
            answer = value
        elif name == "threshold":
            threshold = _threshold(value)
        else:
            field_name, parts = ("window", ("width", "height"))
            if name == "overlap":
                field_name, parts = "min_overlap", ("x", "y")
            for part, pixels in zip(parts, _size(name, value), strict=True):
                mode = deep_merge(mode, {field_name: {part: pixels}})
                spelled["mode", field_name, part] = name
    if classes:
        mode = deep_merge(mode, {"model_classes": {"save_classes": classes}})
        spelled["mode", "model_classes", "save_classes"] = "classes"
    if mode.get("save_probabilities"):
        raise InputError("mode.save_probabilities: not available in requests; leave it out.")
    return PredictParams(answer, mode, threshold, tuple(urls), tuple(paths), spelled)


def _mode(value: str) -> JsonObject:
    """A mode's name, or an object with all of its fields."""
    if not value.lstrip().startswith("{"):
        return {"name": value}
    content = parse_json(value, "mode:")
    content = content.get("mode", content)  # a whole config may be given, too
    if not isinstance(content, dict):
        raise InputError('mode: should be a name, or an object such as {"name": "full_image"}.')
    return content


def _threshold(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise InputError(f"threshold: should be a number from 0 to 1, not {value[:100]!r}.")
    return number


def _size(name: str, value: str) -> tuple[int, int]:
    parts = value.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() and len(part) < 8 for part in parts):
        raise InputError(f"{name}: {value[:100]!r} is not a size; write 256, or 320x240 for width x height.")
    return int(parts[0]), int(parts[-1])
