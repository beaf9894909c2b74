"""The metrics of a run, read from its events as they come, and kept as columns of numbers.

Reading is work for a thread: a million events take seconds.  What was read of a long run is remembered in the
cache, which is derived and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import orjson

from ravenml.common.io import JsonObject, write_cache
from ravenml.config.home import cache_dir
from ravenml.dashboard import metric_cache as series_cache
from ravenml.dashboard.metric_column import MetricColumn, Points
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.events import Event, EventReader, MetricsEvent, ResumedEvent

_REMEMBERED = 1 << 20  # bytes of events above which what was read is worth a file
_MEMORY_LIMIT = 512 << 20  # bytes of columns that stay in memory, those asked for last


class RunMetrics:
    """What one ``events.jsonl`` says of metrics.  Threads may share it.

    Attributes:
        folder: the run's, or the fold's.
        version: grows whenever the metrics change.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = 0
        self._lock = threading.Lock()
        self._columns: dict[str, MetricColumn] = {}
        self._reader = EventReader(folder / layout.EVENTS)
        self._identity: tuple[int, ...] = ()
        self._remembered = 0  # up to which byte the cache knows the file

    def refresh(self) -> int:
        """Take in what is new, and return the version that holds then."""
        with self._lock:
            identity = series_cache.identity(self._reader.path)
            if identity[:1] != self._identity[:1] or self._reader.size() < self._reader.offset:
                self._start_over(identity)
            changed = False
            with suppress(RavenError):  # it cannot be read: the run is broken, and its page says so
                for event in self._reader.read_new("METRICS", "RESUMED"):
                    changed |= self._take(event)
            self.version += changed
            self._remember()
            return self.version

    def points(self) -> dict[str, Points]:
        """Every metric's points by address (``val/miou``), in the order in which they were first reported."""
        with self._lock:
            return {name: column.points() for name, column in self._columns.items()}

    @property
    def memory(self) -> int:
        """Bytes of its columns."""
        return sum(column.memory for column in list(self._columns.values()))

    def _start_over(self, identity: tuple[int, ...]) -> None:
        """Another file, or none: forget what was read; begin with what the cache knows of this one."""
        if self._columns:
            self.version += 1
        self._identity = identity
        found = series_cache.load(self._reader.path, identity) if identity else None
        self._columns, self._reader.offset = found or ({}, 0)
        self._remembered = self._reader.offset
        self.version += bool(self._columns)

    def _remember(self) -> None:
        new = self._reader.offset - self._remembered
        if new >= max(_REMEMBERED, self._remembered // 4):  # so that a growing file is not written too often
            series_cache.save(self._reader.path, self._identity, self._columns, self._reader.offset)
            self._remembered = self._reader.offset

    def _take(self, event: Event) -> bool:
        """Take in an event; whether it changed the metrics."""
        if isinstance(event, ResumedEvent):
            for address, column in self._columns.items():
                if event.covers(address):
                    column.discard_after(event.step or 0, event.attempt or 0)
            return True
        if not isinstance(event, MetricsEvent) or (moment := event.moment()) is None:
            return False
        unit, at = moment
        for address, value in event.numbers():
            if address not in self._columns:
                self._columns[address] = MetricColumn(unit)
            column = self._columns[address]
            if column.unit == unit:
                column.append(at, value, event.step, event.attempt or 0)
        return True


class MetricCache:
    """The series of many runs, shared by all pages: each file is read once, whoever looks at it."""

    def __init__(self, limit: int = _MEMORY_LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._series: OrderedDict[Path, RunMetrics] = OrderedDict()

    def get(self, folder: Path) -> RunMetrics:
        """The series of a run's, or a fold's, folder."""
        with self._lock:
            found = self._series.get(folder)
            if found is None:
                found = self._series[folder] = RunMetrics(folder)
            self._series.move_to_end(folder)
            held = sum(one.memory for one in self._series.values())
            while held > self._limit and len(self._series) > 1:
                held -= self._series.popitem(last=False)[1].memory
            return found


METRICS = MetricCache()


_FORMAT = 1
_PROBE = 4096  # bytes before the end of what was read, by which another content is found out


def identity(path: Path) -> tuple[int, ...]:
    """What tells a file from another in its place: inode, size, time of change; empty if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def load(path: Path, now: tuple[int, ...]) -> tuple[dict[str, MetricColumn], int] | None:
    """The columns of an events file and up to which byte they hold; None where nothing usable is known.

    Args:
        path: the events file.
        now: its :func:`identity`.
    """
    try:
        content = _place(path).read_bytes()
        head, _, body = content.partition(b"\n")
        known: JsonObject = orjson.loads(head)
        inode, size, changed = known["identity"]
        end = int(known["end"])
        same = inode == now[0] and (now[1] > size or (now[1], now[2]) == (size, changed))
        if known["format"] != _FORMAT or not same or known["probe"] != _probe(path, end):
            return None
        return _columns(known["columns"], body), end
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save(path: Path, now: tuple[int, ...], columns: Mapping[str, MetricColumn], end: int) -> None:
    """Remember the columns of an events file that was read up to the byte ``end``."""
    parts: list[bytes | memoryview] = []
    listed = []
    for name, column in columns.items():
        for array in column.as_arrays():
            parts.append(np.ascontiguousarray(array).data.cast("B") if column.size else b"")
        listed.append([name, column.unit, column.size])
    head = {
        "format": _FORMAT,
        "identity": now,
        "end": end,
        "probe": _probe(path, end),
        "columns": listed,
    }
    with suppress(OSError, TypeError, ValueError):  # a home that may only be read is shown all the same
        write_cache(_place(path), [orjson.dumps(head) + b"\n", *parts])


def _columns(listed: list[tuple[str, str, int]], body: bytes) -> dict[str, MetricColumn]:
    columns: dict[str, MetricColumn] = {}
    place = 0
    for name, unit, size in listed:
        values = np.frombuffer(body, np.float64, 2 * size, place)
        origin = np.frombuffer(body, np.int64, 2 * size, place + values.nbytes)
        columns[name] = MetricColumn.from_arrays(unit, values.reshape(2, size), origin.reshape(2, size))
        place += values.nbytes + origin.nbytes
    if place != len(body):
        raise ValueError("the file is torn")
    return columns


def _probe(path: Path, end: int) -> str:
    with path.open("rb") as file:
        begin = max(0, end - _PROBE)
        return hashlib.sha256(os.pread(file.fileno(), end - begin, begin)).hexdigest()


def _place(path: Path) -> Path:
    """One file per events file, by its path."""
    digest = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
    return cache_dir() / "series" / f"{digest}.bin"
