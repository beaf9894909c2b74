"""How other processes speak into a run: by appending events to a file, which the run's one writer reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ravenml.capture import RANKS
from ravenml.common.io import JsonObject
from ravenml.common.secrets import redact
from ravenml.runs.events import EventReader
from ravenml.runs.run import Run

EVENTS = "RAVENML_EVENTS"  # in a process's environment: the file to which it may append events
INBOX = ".inbox.jsonl"  # its name in the run's folder
_ENDS = "EventType.TASK_"  # a program does not say how its run ends; its exit code does
_HELD = 100_000  # events of other ranks that wait for the end at most


class Inbox:
    """The file, and what has come of it.

    Of what several ranks of a distributed training report under one name, rank 0's counts; what only another
    rank reports is written when the run ends, since rank 0 might still report it until then.

    Args:
        run: whose events they become.
        attempt: does something that may fail, such as writing to a full disk.
    """

    def __init__(self, run: Run, attempt: Callable[[Callable[[], None]], None]) -> None:
        self.path = run.path / INBOX
        self._run, self._attempt = run, attempt
        self._reader = EventReader(self.path)
        self._told: set[str] = set()  # by rank 0, while other ranks speak
        self._held: list[JsonObject] = []
        self.path.write_bytes(b"")  # what an attempt that was killed left is recorded already

    def read(self, keep_model: Callable[[Path], None] | None = None) -> None:
        """Take in what is new; ``keep_model`` is told of models that were saved."""
        for event in self._reader.read_new():
            if event.fields.get("event_type") != "EventType.MODEL":
                self.relay(event.fields)
            elif keep_model is not None:
                path = Path(str(event.fields.get("path")))
                self._attempt(lambda path=path: keep_model(path))  # type: ignore[misc]

    def relay(self, found: object) -> None:
        """Keep an event, unless it is one that only the run's owner may write."""
        if not isinstance(found, dict) or str(found.get("event_type", _ENDS)).startswith(_ENDS):
            return
        kind, other = found["event_type"], bool(found.get("rank"))
        if kind == "EventType.DESCRIBED":
            if isinstance(fields := found.get("fields"), dict) and not other:
                self._attempt(lambda: self._run.describe(redact(fields)))
            return
        if kind in ("EventType.METRICS", "EventType.IMAGE"):
            if other:
                self._held += [found] if len(self._held) < _HELD else []
                return
            self._told |= _names(found)
        self._attempt(lambda: self._run.relay(found))

    def note(self, event: JsonObject) -> None:
        """Take note of an event that the run's owner, as rank 0, has written itself."""
        self._told |= _names(event)

    def end(self) -> None:
        """Write what only other ranks have reported, and remove the file."""
        first: dict[str, object] = {}  # which rank was the first to report a name
        for found in self._held:
            own = {name for name in _names(found) if name not in self._told}
            own = {name for name in own if first.setdefault(name, found["rank"]) == found["rank"]}
            metrics = found.get("metrics")
            if isinstance(metrics, dict):
                metrics = {key: value for key, value in metrics.items() if _name(found, key) in own}
                found = {**found, "metrics": metrics}
            if own:
                self._attempt(lambda found=found: self._run.relay(found))  # type: ignore[misc]
        with suppress(OSError):
            self.path.unlink()


def _names(event: JsonObject) -> set[str]:
    metrics = event.get("metrics")
    if isinstance(metrics, dict):
        return {_name(event, name) for name in metrics}
    return {str(event.get("file"))}


def _name(event: JsonObject, metric: str) -> str:
    return f"{event.get('type')}/{metric}"


def rank() -> int:
    """This process's rank among those that a launcher has started; 0 where there is none."""
    found = next((os.environ[name] for name in RANKS if os.environ.get(name)), "0")
    return int(found) if found.isdigit() else 0
