"""The metrics of a run, read from its events as they come, and kept as columns of numbers.

Reading is work for a thread: a million events take seconds.  What was read of a long run is remembered in the
cache, which is derived and may be deleted at any time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from ravenml.dashboard import series_cache
from ravenml.dashboard.metric_column import MetricColumn, Points
from ravenml.runs import layout
from ravenml.runs.curves import as_number
from ravenml.runs.events import EventReader, parse

_AT_ONCE = 8 << 20  # bytes that are read at once; the longest line has 1 MiB
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
            while lines := self._reader.read_lines(_AT_ONCE):
                if self._take(lines):
                    self.version += 1
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

    def _take(self, lines: list[bytes]) -> bool:
        """Take in lines; whether any of them changed the metrics."""
        changed = False
        for line in lines:
            # Most lines of a long training tell of progress; reading those would double the time.
            if b"EventType.METRICS" in line or b"EventType.RESUMED" in line:
                event = parse(line)
                changed |= event is not None and self._take_event(event)
        return changed

    def _take_event(self, event: dict[str, Any]) -> bool:
        kind, step, attempt = event.get("event_type"), event.get("step"), event.get("attempt")
        attempt = attempt if isinstance(attempt, int) else 0
        if kind == "EventType.RESUMED":
            for column in self._columns.values():
                column.discard_after(step if isinstance(step, int) else 0, attempt)
            return True
        metrics = event.get("metrics")
        if kind != "EventType.METRICS" or not isinstance(metrics, dict):
            return False
        unit = "epoch" if isinstance(event.get("epoch"), int | float) else "step"
        at = event.get(unit)
        if not isinstance(at, int | float):
            return False
        prefix = event.get("type")
        for name, value in metrics.items():
            number = as_number(value)
            if number is None:
                continue
            address = f"{prefix}/{name}"
            if address not in self._columns:
                self._columns[address] = MetricColumn(unit)
            column = self._columns[address]
            if column.unit == unit:
                column.append(float(at), number, step if isinstance(step, int) else None, attempt)
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
