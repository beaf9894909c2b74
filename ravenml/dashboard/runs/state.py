"""What a run's page is made from, read from its folder in one go.  Work for a thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.common.schema import Fields, read_object
from ravenml.dashboard.run_files import RunFolder
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.events import EventReader
from ravenml.runs.notes import apply_notes, read_notes
from ravenml.runs.overview import last_heard
from ravenml.runs.record import UNDER_WAY, heartbeat, read_record, read_summary, status


@dataclass
class State(RunFolder):
    """A run, or one fold of it, at this moment.

    Attributes:
        error: why the run is broken.
        problems: what else cannot be read; it is left out.
    """

    record: JsonObject = field(default_factory=dict)
    status: str = "broken"
    notes: JsonObject = field(default_factory=dict)
    summary: JsonObject | None = None
    evaluation: JsonObject | None = None
    waits_for: str | None = None
    last_heard: str | None = None
    error: str | None = None
    problems: list[str] = field(default_factory=list)

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
        EventReader(run.folder / layout.EVENTS).check()
        now = status(run.folder, state.record)
        state.waits_for = heartbeat(run.folder).get("waits_for") if now == "waiting" else None
        state.last_heard = last_heard(run.folder) if now == "unreachable" else None
        state.status = now
    except RavenError as error:
        state.error = str(error)
    for name, read in _READERS.items():
        try:
            setattr(state, name, read(run.folder))
        except RavenError as error:
            state.problems.append(str(error))
    state.record = apply_notes(state.record, state.notes)
    return state


def _read_evaluation(folder: Path) -> JsonObject | None:
    path = folder / layout.EVALUATION
    return read_object(path, _EVALUATION) if path.exists() else None


_EVALUATION = Fields({"classes": list})  # a plugin may write one of its own form
_READERS: dict[str, Callable[[Path], object]] = {
    "notes": read_notes,
    "summary": read_summary,
    "evaluation": _read_evaluation,
}
