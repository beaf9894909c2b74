"""What a run's page is made from, read from its folder in one go.  Work for a thread."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ravenml.common.io import JsonObject, read_json
from ravenml.dashboard.run_files import RunFolder
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.notes import read_notes
from ravenml.runs.record import UNDER_WAY, heartbeat, read_record, status


@dataclass
class State(RunFolder):
    """A run, or one fold of it, at this moment.

    Attributes:
        error: why the record cannot be read; all else is empty then.
    """

    record: JsonObject = field(default_factory=dict)
    status: str = "broken"
    notes: JsonObject = field(default_factory=dict)
    summary: JsonObject | None = None
    evaluation: JsonObject | None = None
    waits_for: str | None = None
    error: str | None = None

    @property
    def under_way(self) -> bool:
        """Whether more is to come."""
        return self.status in UNDER_WAY

    @property
    def result(self) -> JsonObject:
        """How it ended; empty before."""
        return self.record.get("result") or {}

    @property
    def can_resume(self) -> bool:
        """Whether it ended early, and its plugin can continue."""
        return self.status in ("interrupted", "failed", "lost") and bool(self.record.get("resume"))


def read_state(run: RunFolder) -> State:
    """Read it all; what is broken is left out, and the rest shown."""
    state = State(run.id, run.fold, run.folder)
    try:
        state.record = read_record(run.folder)
        state.status = status(run.folder, state.record)
    except RavenError as error:
        state.error = str(error)
    with suppress(RavenError):
        state.notes = read_notes(run.folder)
    if state.status == "waiting":
        state.waits_for = heartbeat(run.folder).get("waits_for")
    state.summary = _read_object(run.folder / layout.SUMMARY)
    state.evaluation = _read_object(run.folder / layout.EVALUATION)
    return state


def _read_object(path: Path) -> JsonObject | None:
    try:
        found = read_json(path) if path.exists() else None
    except RavenError:
        return None
    return found if isinstance(found, dict) else None
