"""What a run's files say that is new: progress, time left, pictures, printed lines.  Work for a thread."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ravenml.common.formatting import parse_timestamp
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.events import EventReader
from ravenml.runs.follow import LogReader
from ravenml.runs.progress import Progress
from ravenml.runs.record import read_record, status

_LINES = 400  # of the console that are kept for the page
_AT_ONCE = 8 << 20
_READ = (
    b"EventType.PROGRESS",
    b"EventType.IMAGE",
    b"EventType.RESUMED",
    b"EventType.TASK_",
    b"EventType.CHECKPOINT",
)


@dataclass(frozen=True)
class Picture:
    """A picture of a moment: its name without the moment, its file, and the epoch."""

    name: str
    file: str
    epoch: float


@dataclass
class Part:
    """What one events file (the run's, or a fold's) says."""

    folder: Path
    subtasks: dict[str, Progress] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    checkpoints: int = 0
    began: tuple[float, float] | None = None  # when this attempt was first heard of, and what was done then

    def __post_init__(self) -> None:
        self._reader = EventReader(self.folder / layout.EVENTS)

    def read(self) -> bool:
        """Take in what is new; whether anything was."""
        before = self._reader.offset
        while lines := self._reader.read_lines(_AT_ONCE):
            for line in lines:
                if any(kind in line for kind in _READ):
                    self._take(line)
        return self._reader.offset != before

    def done(self) -> float | None:
        """The share that is done, 0 to 1."""
        epochs, steps = self.subtasks.get("Epoch"), self.subtasks.get("Iteration")
        if epochs is None or not epochs.total:
            newest = next(reversed(self.subtasks.values()), None)
            return min(1.0, newest.current / newest.total) if newest is not None and newest.total else None
        within = steps.current / steps.total if steps is not None and steps.total else 0.0
        return min(1.0, (epochs.current + (within if within < 1 else 0.0)) / epochs.total)

    def seconds_left(self) -> float | None:
        """From what was done since this attempt began."""
        done = self.done()
        if done is None or self.began is None:
            return None
        when, before = self.began
        fresh = done - before
        return (time.time() - when) * (1 - done) / fresh if fresh > 0.002 else None

    def _take(self, line: bytes) -> None:
        from ravenml.runs.events import parse

        event = parse(line)
        if event is None:
            return
        kind = str(event.get("event_type", "")).removeprefix("EventType.")
        if kind == "PROGRESS":
            current, total = event.get("current"), event.get("total")
            if isinstance(current, int | float) and isinstance(total, int | float):
                self.subtasks[str(event.get("subtask"))] = Progress(int(current), int(total))
                if self.began is None:
                    self.began = (_seconds(event.get("timestamp")), self.done() or 0.0)
        elif kind == "RESUMED":
            self.began = None
        elif kind == "CHECKPOINT":
            self.checkpoints += 1
        elif kind == "IMAGE" and isinstance(event.get("file"), str):
            epoch = event.get("epoch", event.get("step"))
            if isinstance(epoch, int | float):
                name = str(event.get("name", "")).rpartition("/")[0] or "pictures"
                self.pictures.append(Picture(name, event["file"], float(epoch)))


class Live:
    """A run, or the folds of one, as the page shows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record: dict[str, Any] = {}
        self.status = "starting"
        self.parts: list[Part] = []
        self.lines: list[str] = []
        self.new_lines: list[str] = []
        self._logs: dict[Path, LogReader] = {}

    def read(self) -> None:
        """Take in what is new of all its files."""
        try:
            self.record = read_record(self.folder)
            self.status = status(self.folder, self.record)
        except RavenError:
            self.status = "starting"
            return
        known = {part.folder for part in self.parts}
        folds = sorted((self.folder / layout.FOLDS).glob("*"), key=lambda path: (len(path.name), path.name))
        for place in [self.folder, *folds]:
            if place not in known:
                self.parts.append(Part(place))
        for part in self.parts:
            part.read()
        self.new_lines = self._printed([self.folder, *folds])
        self.lines = (self.lines + self.new_lines)[-_LINES:]

    def shown_parts(self) -> list[Part]:
        """The folds where there are some, else the run itself."""
        return self.parts[1:] or self.parts

    def _printed(self, places: list[Path]) -> list[str]:
        lines: list[str] = []
        for place in places:
            if place not in self._logs:
                label = "" if place == self.folder else f"fold {place.name} | "
                log = self._logs[place] = LogReader(place / layout.CONSOLE, label)
                log.start_at(_LINES)
            lines += self._logs[place].read()
        return lines[-_LINES:]


def _seconds(timestamp: object) -> float:
    try:
        return parse_timestamp(timestamp)
    except ValueError:
        return time.time()
