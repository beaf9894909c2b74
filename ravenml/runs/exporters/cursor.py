"""One reader on its way through one run's events, from its cursor."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

from ravenml.common.io import to_user_error, write_json
from ravenml.common.locks import open_locked
from ravenml.common.permissions import make_folder
from ravenml.common.schema import Fields, read_object
from ravenml.common.secrets import redact, redact_text
from ravenml.config.config import Config
from ravenml.runs import layout
from ravenml.runs.events import Event, ResumedEvent, parse
from ravenml.runs.exporters.base import Exporter, Unreached
from ravenml.runs.exporters.start_sidecar import FOLDER
from ravenml.runs.record import read_record

PIECE = 4 << 20  # bytes of events that are brought at once
_FIELDS = Fields({"offset": int, "furthest": int, "closed": int, "state": dict})
_MARK = b'"EventType.RESUMED"'


class ExportCursor:
    """Holds a exporter's cursor, ``readers/<name>.json`` in the run's folder.

    The cursor moves on only after the exporter has brought the events.  When the run has gone back behind
    what was brought, or bringing something has failed or was killed halfway, the exporter starts over and is
    given everything that counts: so no step is there twice.

    Args:
        name: the exporter's.
        made_by: its class.
        folder: the run's.
        wait: whether to wait for another process that holds it.

    Raises:
        LockHeld: another process holds it.
        RavenError: the cursor is broken, or the folder cannot be written.
    """

    def __init__(
        self, name: str, made_by: Callable[..., Exporter], folder: Path, config: Config, wait: bool = False
    ) -> None:
        self.name, self.folder = name, folder
        self._events = folder / layout.EVENTS
        self._cursor = folder / FOLDER / f"{name}.json"
        lock = self._cursor.with_suffix(".lock")
        try:
            make_folder(lock.parent)
        except OSError as error:
            raise to_user_error(error, lock) from error
        self._lock = open_locked(lock, math.inf if wait else 0)
        try:
            self._open(made_by, config)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, made_by: Callable[..., Exporter], config: Config) -> None:
        mend = "remove it, and the run is sent again"
        known = read_object(self._cursor, _FIELDS, mend) if self._cursor.exists() else {}
        self.offset = max(0, known.get("offset") or 0)
        self.furthest = known.get("furthest")  # the latest step that was brought
        self.closed = known.get("closed")  # the attempt at whose end it was closed
        record = redact(read_record(self.folder))  # one that an older ravenML wrote may hold secrets
        self.exporter = made_by(self.folder, record, config, known.get("state") or {})
        self._resumed: list[tuple[int, ResumedEvent]] = []  # where the run went back
        self._scanned = 0
        self._attempt = len(record["attempts"])
        self._broken_off = bool(known.get("bringing"))
        self._cannot_go_on = self.offset > 0 and not self.exporter.resumable

    def behind(self) -> bool:
        """Whether there are events that were not brought."""
        return _size(self._events) > self.offset

    def bring(self) -> bool:
        """Bring the next events; whatever the exporter raises is raised, and the same events come next time.

        Returns:
            Whether there were any.
        """
        if self.offset > _size(self._events):  # the file is another one
            self._broken_off = True
        self._scan()
        if self._must_start_over():
            self.exporter.start_over()
            self.offset, self.furthest, self.closed = 0, None, None
            self._broken_off = self._cannot_go_on = False
            self._save()
        events, end = self._read()
        if end == self.offset:
            return False
        if events:
            self._save(bringing=True)
            try:
                self.exporter.take([event.fields for event in events])
            except Unreached:
                raise
            except BaseException:  # some of them may be there
                self._broken_off = True
                raise
        steps = [event.step for event in events if event.step is not None]
        self.furthest = max([*steps, *([self.furthest] if self.furthest is not None else [])], default=None)
        self.offset = end
        self._save()
        return True

    def _must_start_over(self) -> bool:
        if self._broken_off or (self._cannot_go_on and (self.behind() or self.closed != self._attempt)):
            return True
        furthest = self.furthest
        return furthest is not None and any(
            position >= self.offset and (resumed.step or 0) < furthest for position, resumed in self._resumed
        )

    def close(self, status: str) -> None:
        """Tell the exporter that the run has ended; once for every attempt."""
        record = redact(read_record(self.folder))
        attempt = len(record["attempts"])
        if self.closed != attempt:
            self.exporter.close(status, record)
            self.closed = attempt
        self._save()

    def fail(self, error: BaseException) -> None:
        """Note for people what keeps the exporter from its work."""
        told = error.__cause__ if isinstance(error, Unreached) and error.__cause__ else error
        self._save(error=redact_text(f"{type(told).__name__}: {told}")[:2000], bringing=self._broken_off)

    def release(self) -> None:
        """Let another process have it."""
        try:
            self.exporter.leave()
        finally:
            os.close(self._lock)

    def _save(self, **more: object) -> None:
        fields = {"offset": self.offset, "furthest": self.furthest, "closed": self.closed}
        write_json(self._cursor, {"v": 1, **fields, "state": self.exporter.state, **more})

    def _scan(self) -> None:
        """Find where the run went back, in what has been added to the file."""
        if _size(self._events) <= self._scanned:
            return
        with self._events.open("rb") as file:
            file.seek(self._scanned)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if _MARK in line and isinstance(event := parse(line), ResumedEvent):
                    self._resumed.append((self._scanned, event))
                self._scanned += len(line)

    def _read(self) -> tuple[list[Event], int]:
        """The next events that count, and where the ones after them begin."""
        events: list[Event] = []
        position = self.offset
        try:
            file = self._events.open("rb")
        except FileNotFoundError:
            return [], position
        with file:
            file.seek(position)
            for line in file:
                if not line.endswith(b"\n") or position - self.offset > PIECE or position >= self._scanned:
                    break
                event = parse(line)
                if event is not None and not self._overtaken(position, event):
                    events.append(event)
                position += len(line)
        return events, position

    def _overtaken(self, position: int, event: Event) -> bool:
        return any(back_at > position and resumed.overtakes(event) for back_at, resumed in self._resumed)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
