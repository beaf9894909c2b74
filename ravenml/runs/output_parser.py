"""What a child process prints, taken apart: events, and lines of text.

A program in another process says what it has to say as lines of JSON on its output.  The stream is cut at
newlines and at carriage returns, so that an event is found behind a progress bar as well.  Nothing that is
printed, however long or broken, can do more than become text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from ravenml.common.io import JsonObject, to_jsonable

LIMIT = 16 << 20  # bytes of one line that are kept until it ends; a longer one cannot be an event
TEXT_LIMIT = 64 << 10  # bytes of one line of text that are passed on
_END = re.compile(rb"[\r\n]")
_BIGGEST = 1 << 63
_DEEP = 200


class OutputParser:
    """Takes a stream in pieces of any size, and gives back what is complete.

    Memory stays below ``LIMIT`` and one piece, whatever comes.

    Attributes:
        consumed: bytes of the stream up to and with the end of what was given last; a parser that is made
            with it and fed from there on goes on without a gap.
    """

    def __init__(self, consumed: int = 0) -> None:
        self.consumed = consumed
        self._line = bytearray()
        self._left_out = 0  # bytes of the current line beyond LIMIT
        self._cut_at_return = False  # whether what was given last ended at a carriage return, just now

    def feed(self, piece: bytes) -> Iterator[JsonObject | str]:
        """The events (dicts) and lines of text (without their end) that ``piece`` completes, in order."""
        start = 0
        for end in _END.finditer(piece):
            self._keep(piece[start : end.start()])
            start = end.end()
            yield from self._complete(1, end.group())
        self._keep(piece[start:])

    def end(self) -> Iterator[JsonObject | str]:
        """What is left when the stream has ended without a newline."""
        if self._line:
            yield from self._complete(0, b"")

    def _keep(self, part: bytes) -> None:
        room = max(0, LIMIT - len(self._line))
        self._line += part[:room]
        self._left_out += max(0, len(part) - room)

    def _complete(self, width: int, end: bytes) -> Iterator[JsonObject | str]:
        line, left_out = bytes(self._line), self._left_out
        self._line, self._left_out = bytearray(), 0
        self.consumed += len(line) + left_out + width
        # "\r\n" ends one line, and a bar that goes back to the line's beginning says nothing by that.
        silent = not line and (end == b"\r" or self._cut_at_return)
        self._cut_at_return = end == b"\r" and bool(line)
        if silent:
            return
        event = parse_event(line) if not left_out else None
        yield event if event is not None else _text(line, left_out)


def parse_event(line: bytes) -> JsonObject | None:
    """The event that a line holds, or None: an object whose ``event_type`` begins with ``EventType.``.

    The tokens ``NaN``, ``Infinity`` and ``-Infinity``, which Python's own ``json`` writes, are taken as
    the strings of the same name; an integer of more than 64 bits becomes a float.
    """
    line = line.strip()
    if not (line.startswith(b"{") and line.endswith(b"}")):
        return None
    try:
        event = orjson.loads(line)
        if line.count(b"{") + line.count(b"[") > _DEEP:
            orjson.dumps(event)  # what is nested deeper than can be written is refused now
    except orjson.JSONDecodeError:
        event = _lenient(line)
    except orjson.JSONEncodeError:
        return None
    if not isinstance(event, dict):
        return None
    kind = event.get("event_type")
    return event if isinstance(kind, str) and kind.startswith("EventType.") and len(kind) < 100 else None


def _lenient(line: bytes) -> Any:
    try:
        event = json.loads(line, parse_constant=str, parse_int=_integer)
        return orjson.loads(orjson.dumps(to_jsonable(event, "event")))  # only what can be written down again
    except (ValueError, TypeError, RecursionError):
        return None


def _integer(digits: str) -> int | float:
    value = float(digits)
    return value if abs(value) >= _BIGGEST else int(digits)


def _text(line: bytes, left_out: int) -> str:
    cut = len(line) + left_out - TEXT_LIMIT
    text = line[:TEXT_LIMIT].decode(errors="replace")
    return text if cut <= 0 else f"{text} … (shortened: {cut} bytes more)"


_NUMBERED = ("EventType.METRICS", "EventType.CHECKPOINT", "EventType.IMAGE")


class StepNumbering:
    """Gives a step to the events that need one, where a program that knows none of ours printed them.

    The step counts the moments that were spoken of: each new value of ``epoch`` is one more, so that the
    metrics of training and validation at one moment, and the checkpoint after them, stand side by side.

    Args:
        recorded: the events that are in the run already.
    """

    def __init__(self, recorded: Iterable[Mapping[str, object]] = ()) -> None:
        self._step = 0
        self._epoch: object = None
        for event in recorded:
            self.number_event(event)

    def begin_after(self, step: int) -> None:
        """Count from here: the program resumes what another process began."""
        self._step = step

    def number_event(self, event: Mapping[str, object]) -> JsonObject:
        """The event with its step, where it has a place among the steps."""
        event = dict(event)
        kind, epoch, step = event.get("event_type"), event.get("epoch"), event.get("step")
        if kind not in _NUMBERED:
            return event
        if isinstance(step, int) and not isinstance(step, bool):
            self._step = step
        elif kind == "EventType.METRICS" and (epoch is None or epoch != self._epoch):
            self._step += 1
        self._epoch = epoch if kind == "EventType.METRICS" else self._epoch
        return event | {"step": self._step}
