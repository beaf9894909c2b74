"""Events: the one way in which a training says anything.  One line of JSON each, append only.

``docs/events.md`` lists every type with its fields.  The form is the one that Supervisely's plugins
print; ravenML's own writer adds ``v``, ``step``, ``attempt`` and ``seq``.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from ravenml.common.formatting import is_timestamp, utc_timestamp
from ravenml.common.io import to_user_error

SCHEMA = 1
LINE_LIMIT = 1 << 20  # bytes; a longer line is shortened by its writer
_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
_OWN_FIELDS = ("event_type", "timestamp", "level", "v", "attempt", "seq")


class EventWriter:
    """Appends events to a file.  Threads may share one; processes may not."""

    def __init__(self, path: Path, attempt: int = 1) -> None:
        self.path = path
        self.attempt = attempt
        self._lock = threading.Lock()
        try:
            self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
        except OSError as error:
            raise to_user_error(error, path) from error
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")  # the writer before us was killed in mid-line
        self._seq = _last_seq(path) if size else 0

    def write(self, message: str, event_type: str, fields: Mapping[str, Any], level: str = "info") -> None:
        """Append one event; it is in the file when this returns.

        Raises:
            RavenError: the disk is full or the folder is gone.
        """
        self._number({"message": message, "event_type": f"EventType.{event_type}", **fields}, level)

    def relay(self, event: Mapping[str, Any]) -> None:
        """Append an event that another program made: its fields stay, but ``v``, ``attempt`` and ``seq``
        are ours.  Its time and level stay where they can be read.

        Raises:
            RavenError: the disk is full or the folder is gone.
        """
        message, level, timestamp = event.get("message", ""), event.get("level"), event.get("timestamp")
        self._number(
            {**event, "message": message if isinstance(message, str) else str(message)},
            level if isinstance(level, str) and len(level) < 20 else "info",
            timestamp if is_timestamp(timestamp) else None,
        )

    def _number(self, fields: Mapping[str, Any], level: str, time: str | None = None) -> None:
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
            line = orjson.dumps(event, option=_OPTIONS, default=str)
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


def _shorten(event: dict[str, Any]) -> dict[str, Any]:
    """What of an event fits into a line whatever stands in it: its numbers, and its short texts and lists."""
    small = [k for k, v in event.items() if not isinstance(v, str | list | dict) or len(str(v)) < 1024]
    kept = {k: event[k] for k in [k for k in small if len(k) < 100][:64]} | {k: event[k] for k in _OWN_FIELDS}
    kept["message"] = event["message"][: LINE_LIMIT // 16] + " … (shortened: the event was over 1 MiB)"
    return kept


def _last_seq(path: Path) -> int:
    return max((event["seq"] for event in read_events(path) if isinstance(event.get("seq"), int)), default=0)


class EventReader:
    """Reads what has been added to an events file since the last time; the file need not exist yet.

    Attributes:
        offset: up to which byte the file has been read; always the beginning of a line.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset

    def size(self) -> int:
        """The file's size in bytes now; 0 where it does not exist."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def read_new(self) -> list[dict[str, Any]]:
        """The events whose lines are complete.  A line that is not a JSON object is passed over."""
        return [event for line in self.read_lines() if (event := parse(line)) is not None]

    def read_lines(self, limit: int = -1) -> list[bytes]:
        """The complete lines that follow, whatever they hold.

        Args:
            limit: look at no more than so many bytes at once; must exceed the longest line.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                content = file.read(limit)
        except FileNotFoundError:
            return []
        end = content.rfind(b"\n") + 1
        self.offset += end
        return content[:end].splitlines()


def parse(line: bytes) -> dict[str, Any] | None:
    """The event in a line, or None where it holds none."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Every event of a file in order, a torn last line tolerated."""
    yield from EventReader(path).read_new()


def effective(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop what a resumed run has overtaken: events of earlier attempts beyond the step it resumed from."""
    kept: list[dict[str, Any]] = []
    for event in events:
        if event.get("event_type") == "EventType.RESUMED":
            step, attempt = event.get("step", 0), event.get("attempt")
            kept = [
                e
                for e in kept
                if not isinstance(e.get("step"), int) or e["step"] <= step or e.get("attempt") == attempt
            ]
        kept.append(event)
    return kept


def newest_metrics(path: Path) -> dict[str, Any]:
    """The newest value of each metric in an events file, by its address (``val/miou``)."""
    return metrics_of(effective(list(read_events(path))))


def metrics_of(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The last value of each metric in these events, by its address (``val/miou``)."""
    newest: dict[str, Any] = {}
    for event in events:
        if event.get("event_type") == "EventType.METRICS" and isinstance(event.get("metrics"), dict):
            newest |= {f"{event.get('type')}/{name}": value for name, value in event["metrics"].items()}
    return newest
