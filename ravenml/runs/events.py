"""Events: the one way in which a training says anything.  One line of JSON each, append only.

``docs/events.md`` lists every type with its fields.  The form is the one that Supervisely's plugins
print; ravenML's own writer adds ``v``, ``step``, ``attempt`` and ``seq``.
"""

from __future__ import annotations

import errno
import json
import os
import reprlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

import orjson

from ravenml.common.formatting import is_timestamp, parse_timestamp, utc_timestamp
from ravenml.common.io import JsonObject, to_user_error
from ravenml.common.permissions import open_file
from ravenml.common.schema import Schema, find_fault
from ravenml.common.secrets import redact
from ravenml.runs.run_row import printable

SCHEMA = 1
LINE_LIMIT = 1 << 20  # bytes; a longer line is shortened by its writer
_PIECE = 8 << 20  # bytes of a file that are read at once
_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
_TOO_LARGE = 1 << 63  # what JSON's reader still takes, and others do not
_SHORTENED = " … (shortened: the event was over 1 MiB)"
_OWN_FIELDS = ("event_type", "timestamp", "level", "v", "attempt", "seq")

_SHARED: dict[str, Schema] = {
    "message": str, "timestamp": str, "level": str, "v": int, "attempt": int, "seq": int, "step": float,
    "epoch": float,
}  # fmt: skip
_FIELDS: dict[str, dict[str, Schema]] = {
    "TASK_STARTED": {"run": str},
    "RESUMED": {"step": int, "of": str},
    "PROGRESS": {"subtask": str, "current": float, "total": float, "images": int},
    "METRICS": {"type": str, "metrics": dict},
    "CHECKPOINT": {
        "files": [str],
        "best_now": bool,
        "kept": str,
        "subdir": str,
        "sizeb": int,
        "optional": dict,
    },
    "IMAGE": {"name": str, "file": str},
    "PLOT": {"name": str, "kind": str, "data": dict},
    "ARTIFACT": {"file": str, "sizeb": int},
    "RESOURCES": {"resources": dict},
    **{name: {"status": str} for name in ("TASK_FINISHED", "TASK_STOPPED", "TASK_CRASHED")},
}
_RIGHT: dict[type, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float), dict: (dict,)}


def _checks(own: dict[str, Schema]) -> list[tuple[str, Schema, tuple[type, ...]]]:
    """Of each field its schema, and the types that need no further look: a training writes many events."""
    known = {**_SHARED, **own}
    return [(name, one, _RIGHT.get(one, ()) if isinstance(one, type) else ()) for name, one in known.items()]


_CHECKS = {type: _checks(own) for type, own in _FIELDS.items()}
_SHARED_CHECKS = _checks({})


@dataclass(frozen=True, slots=True)
class Event:
    """One line of an events file.  Each type has a subclass with the fields that ravenML reads.

    Attributes:
        type: such as ``METRICS``; empty where the line has none.
        fields: the line as it is written; a field of the wrong type is a text.
        bad: the names of those fields.
    """

    type: str
    fields: JsonObject
    bad: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def message(self) -> str:
        """What it says to people."""
        return str(self.fields.get("message") or "")

    @property
    def step(self) -> int | None:
        """The training's step; None where it has none."""
        step = self.fields.get("step")
        return step if isinstance(step, int) else None

    @property
    def epoch(self) -> float | None:
        """The moment in epochs; None where it has none."""
        epoch = self.fields.get("epoch")
        return float(epoch) if isinstance(epoch, int | float) else None

    @property
    def attempt(self) -> int | None:
        """The run's attempt that wrote it."""
        attempt = self.fields.get("attempt")
        return attempt if isinstance(attempt, int) else None

    @property
    def seconds(self) -> float | None:
        """When it was written, in seconds since 1970; None where it does not say."""
        try:
            return parse_timestamp(self.fields.get("timestamp"))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class MetricsEvent(Event):
    """Numbers of one moment.

    Attributes:
        kind: ``train``, ``val``, or a program's own word.
        values: by address (``val/miou``), as they are written; NaN and infinities are texts.
    """

    kind: str
    values: JsonObject

    def numbers(self) -> Iterator[tuple[str, float]]:
        """Address and value of every number, NaN and infinities too."""
        return _numbers(self.values)

    def moment(self) -> tuple[str, float] | None:
        """``("epoch", 1.5)``, or ``("step", 20)`` where no epoch is given; None without either."""
        if self.epoch is not None:
            return "epoch", self.epoch
        step = self.fields.get("step")
        return ("step", float(step)) if isinstance(step, int | float) else None


@dataclass(frozen=True, slots=True)
class ResourcesEvent(Event):
    """What of the machine is in use; ``values`` by name."""

    values: JsonObject

    def numbers(self) -> Iterator[tuple[str, float]]:
        """Name and value of every number."""
        return _numbers(self.values)


@dataclass(frozen=True, slots=True)
class ProgressEvent(Event):
    """``current`` of ``total`` units of ``subtask`` are done; of an epoch's images, ``images``."""

    subtask: str
    current: int
    total: int
    images: int | None


@dataclass(frozen=True, slots=True)
class CheckpointEvent(Event):
    """A checkpoint's files are in place.

    Attributes:
        files: their names within ``checkpoints/``.
        best_now: whether it was the best when it was written.
        kept: the folder within ``checkpoints/`` in which an agent keeps it.
    """

    files: list[str]
    best_now: bool
    kept: str | None


@dataclass(frozen=True, slots=True)
class ImageEvent(Event):
    """A picture has been written; ``file`` is relative to the run's folder."""

    name: str
    file: str


@dataclass(frozen=True, slots=True)
class ResumedEvent(Event):
    """A further attempt begins, from this step.

    Attributes:
        of: what alone goes on from there, as :func:`subject` says it; None where everything does.
    """

    of: str | None = field(default=None, kw_only=True)

    def overtakes(self, event: Event) -> bool:
        """Whether an event before this one counts no more, because what it says is said again."""
        if event.attempt == self.attempt or event.step is None or event.step <= (self.step or 0):
            return False
        return self.of is None or self.of == subject(event.type, event.fields.get("type"))

    def covers(self, address: str) -> bool:
        """Whether it says something about a metric."""
        return self.of is None or address.startswith(f"{self.of.removeprefix('METRICS ')}/")


@dataclass(frozen=True, slots=True)
class EndEvent(Event):
    """The run has ended."""


def read_event(fields: JsonObject) -> Event:
    """An event from its line, checked here and nowhere else.

    A field of the wrong type is kept as a text and named in :attr:`Event.bad`; an event without the fields
    that its type needs is only an :class:`Event`.
    """
    type = str(fields.get("event_type", "")).removeprefix("EventType.")
    bad = _find_bad(fields, _CHECKS.get(type, _SHARED_CHECKS))
    written = fields
    if bad:
        fields = {**fields, **{name: _as_text(fields[name]) for name in bad}}
    match type, fields:
        case "METRICS", {"metrics": dict(values)}:
            kind = str(fields.get("type"))
            wrong = tuple(f"metrics.{name}" for name, one in values.items() if isinstance(one, dict | list))
            if wrong:
                values = {n: _as_text(v) if isinstance(v, dict | list) else v for n, v in values.items()}
            values = {f"{kind}/{name}": one for name, one in values.items()}
            return MetricsEvent(type, fields, kind, values, bad=bad + wrong)
        case "PROGRESS", _:
            current, total, images = (_count(fields.get(name)) for name in ("current", "total", "images"))
            subtask = str(fields.get("subtask"))
            return ProgressEvent(type, fields, subtask, current or 0, total or 0, images, bad=bad)
        case "CHECKPOINT", _:
            files, kept = written.get("files"), written.get("kept")
            names = [one for one in files if is_file_name(one)] if isinstance(files, list) else []
            best = written.get("best_now") is True
            return CheckpointEvent(type, fields, names, best, kept if is_file_name(kept) else None, bad=bad)
        case "IMAGE", {"file": str(file)} if "file" not in bad:
            return ImageEvent(type, fields, str(fields.get("name") or Path(file).stem), file, bad=bad)
        case "RESOURCES", {"resources": dict(values)}:
            return ResourcesEvent(type, fields, values, bad=bad)
        case "RESUMED", _:
            return ResumedEvent(type, fields, bad=bad, of=None if "of" in bad else fields.get("of"))
        case "TASK_FINISHED" | "TASK_STOPPED" | "TASK_CRASHED", _:
            return EndEvent(type, fields, bad=bad)
    return Event(type, fields, bad=bad)


def subject(type: str, kind: object = None) -> str:
    """What an event is about: metrics of one kind (``METRICS train``), pictures, checkpoints."""
    return f"{type} {kind}" if type == "METRICS" else type


def is_file_name(name: object) -> TypeGuard[str]:
    """Whether it is the plain name of a file, which leads to no other folder."""
    return isinstance(name, str) and name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _find_bad(fields: JsonObject, checks: Sequence[tuple[str, Schema, tuple[type, ...]]]) -> tuple[str, ...]:
    bad: list[str] = []
    for name, schema, right in checks:
        value = fields.get(name)
        if value is None or (value.__class__ in right and (value.__class__ is not int or value < _TOO_LARGE)):
            continue
        if find_fault(value, schema) is not None:
            bad.append(name)
    return tuple(bad)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else reprlib.repr(value)


def as_number(value: object) -> float | None:
    """A metric's value as a number, NaN and infinities too; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and value not in ("NaN", "Infinity", "-Infinity"):
        return None
    return float(value)


def _numbers(values: JsonObject) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        number = as_number(value)
        if number is not None:
            yield name, number


def _count(value: object) -> int | None:
    """A whole number of what a plugin counts; None where that is not a number."""
    return int(value) if isinstance(value, int | float) and abs(value) < _TOO_LARGE else None


# Written often, by ravenML itself, and of numbers alone.
_NUMBERS = ("METRICS", "PROGRESS", "CHECKPOINT", "RESOURCES")


class EventWriter:
    """Appends events to a file.  Threads may share one; processes may not."""

    def __init__(self, path: Path, attempt: int = 1) -> None:
        self.path = path
        self.attempt = attempt
        self._lock = threading.Lock()
        try:
            self._file = open_file(path, os.O_CREAT | os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise to_user_error(error, path) from error
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")  # the writer before us was killed in mid-line
        self._seq = _last_seq(path) if size else 0

    def write(self, message: str, event_type: str, fields: Mapping[str, object], level: str = "info") -> None:
        """Append one event; it is in the file when this returns.

        Raises:
            RavenError: the disk is full or the folder is gone.
        """
        event = {"message": message, "event_type": f"EventType.{event_type}", **fields}
        self._number(event if event_type in _NUMBERS else redact_event(event), level)

    def relay(self, event: Mapping[str, object]) -> None:
        """Append an event that another program made: its fields stay, but ``v``, ``attempt`` and ``seq``
        are ours.  Its time and level stay where they can be read.

        Raises:
            RavenError: the disk is full or the folder is gone.
        """
        if len(orjson.dumps(event, option=_OPTIONS, default=str)) > LINE_LIMIT:
            event = _shorten(event)  # before looking for secrets, which takes seconds in megabytes
        event = redact_event(event)
        message, level, timestamp = event.get("message", ""), event.get("level"), event.get("timestamp")
        self._number(
            {**event, "message": message if isinstance(message, str) else str(message)},
            level if isinstance(level, str) and len(level) < 20 else "info",
            timestamp if is_timestamp(timestamp) else None,
        )

    def _number(self, fields: Mapping[str, object], level: str, time: str | None = None) -> None:
        with self._lock:
            self._seq += 1
            event = {
                **fields,
                "timestamp": time or utc_timestamp(),
                "level": level,
                "v": SCHEMA,
                "attempt": self.attempt,
                "seq": self._seq,
            }
            try:
                line = orjson.dumps(event, option=_OPTIONS, default=str)
            except TypeError:  # half of a surrogate pair, as in the name of a file that is not UTF-8
                event = dict(json.loads(json.dumps(printable(event), default=str)))
                line = orjson.dumps(event, option=_OPTIONS)
            if len(line) > LINE_LIMIT:
                line = orjson.dumps(_shorten(event), option=orjson.OPT_APPEND_NEWLINE, default=str)
            self._append(line)

    def _append(self, line: bytes) -> None:
        """Write a whole line, or nothing of it."""
        try:
            written = os.write(self._file, line)
            if written < len(line):  # the disk is full: take the torn part back
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise to_user_error(error, self.path) from error

    def close(self) -> None:
        """Close the file; nothing more can be written."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def redact_event(event: Mapping[str, object]) -> JsonObject:
    """The event without the secrets in its texts.  What metrics are called gives nothing away."""
    if str(event.get("event_type", "")).removeprefix("EventType.") in _NUMBERS:
        return {name: redact(value) if isinstance(value, str) else value for name, value in event.items()}
    found: JsonObject = redact(dict(event))
    return found


def _shorten(event: Mapping[str, object]) -> JsonObject:
    """What of an event fits into a line whatever stands in it: its numbers, and its short texts and lists."""
    small = [k for k, v in event.items() if not isinstance(v, str | list | dict) or len(str(v)) < 1024]
    names = [*[k for k in small if len(k) < 100][:64], *(k for k in _OWN_FIELDS if k in event)]
    kept = {k: event[k] for k in names}
    kept["message"] = str(event.get("message", ""))[: LINE_LIMIT // 16] + _SHORTENED
    return kept


def _last_seq(path: Path) -> int:
    numbers = (event.fields.get("seq") for event in read_events(path))
    return max((number for number in numbers if isinstance(number, int)), default=0)


class EventReader:
    """Reads what has been added to an events file since the last time; the file need not exist yet.

    Attributes:
        offset: up to which byte the file has been read; always the beginning of a line.
        unreadable: how many of the lines that were looked at hold no event.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.unreadable = 0

    def size(self) -> int:
        """The file's size in bytes now; 0 where it does not exist."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def read_new(self, *types: str) -> Iterator[Event]:
        """The events whose lines are complete.  A line that is not a JSON object is passed over.

        Args:
            types: only these (``METRICS`` …): most lines of a long training are about progress, and parsing
                them would double the time of those who need others.
        """
        marks = [f'"EventType.{type}"'.encode() for type in types]
        while lines := self._read_lines():
            for line in lines:
                if not marks or any(mark in line for mark in marks):
                    event = parse(line)
                    if event is None:
                        self.unreadable += 1
                    elif not types or event.type in types:
                        yield event

    def check(self) -> None:
        """Find out whether the file can be read at all.

        Raises:
            RavenError: it cannot.
        """
        next(EventReader(self.path).read_new(), None)

    def skip(self) -> None:
        """Leave out the lines that are there."""
        while self._read_lines():
            pass

    def _read_lines(self) -> list[bytes]:
        """The complete lines that follow, whatever they hold; not all of a large file at once."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                content = file.read(_PIECE)
                if len(content) == _PIECE and b"\n" not in content:
                    content += file.readline()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise to_user_error(error, self.path) from error
        end = content.rfind(b"\n") + 1
        self.offset += end
        return content[:end].splitlines()


def parse(line: bytes) -> Event | None:
    """The event in a line, or None where it holds none."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return read_event(fields) if isinstance(fields, dict) else None


def read_events(path: Path, *types: str) -> Iterator[Event]:
    """Every event of a file in order, or those of these types; a torn last line is tolerated."""
    return EventReader(path).read_new(*types)


def effective(events: Iterable[Event]) -> list[Event]:
    """Drop what a resumed run has overtaken: events of earlier attempts beyond the step it resumed from."""
    kept: list[Event] = []
    for event in events:
        if isinstance(event, ResumedEvent):
            kept = [one for one in kept if not event.overtakes(one)]
        kept.append(event)
    return kept


def effective_metrics(path: Path) -> list[MetricsEvent]:
    """The metrics in an events file that count."""
    events = effective(read_events(path, "METRICS", "RESUMED"))
    return [event for event in events if isinstance(event, MetricsEvent)]


def newest_metrics(events: Iterable[Event]) -> JsonObject:
    """The last value of each metric in these events, by its address (``val/miou``)."""
    newest: JsonObject = {}
    for event in events:
        if isinstance(event, MetricsEvent):
            newest |= event.values
    return newest
