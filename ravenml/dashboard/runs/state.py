"""What a run's page is made from, read from its folder in one go.  Work for a thread."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ravenml.common.io import read_json
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.notes import read_notes
from ravenml.runs.record import UNDER_WAY, heartbeat, read_record, status


@dataclass
class State:
    """A run, or one fold of it, at this moment.

    Attributes:
        id: the run's; of a fold, that of the whole.
        fold: which one; None for the whole.
        folder: the run's, or the fold's.
        error: why the record cannot be read; all else is empty then.
    """

    id: str
    fold: int | None
    folder: Path
    record: dict[str, Any] = field(default_factory=dict)
    status: str = "broken"
    notes: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] | None = None
    evaluation: dict[str, Any] | None = None
    waits_for: str | None = None
    error: str | None = None

    @property
    def under_way(self) -> bool:
        """Whether more is to come."""
        return self.status in UNDER_WAY

    @property
    def result(self) -> dict[str, Any]:
        """How it ended; empty before."""
        return self.record.get("result") or {}

    def path(self, name: str) -> str:
        """A file's path for :func:`ravenml.dashboard.runs.files.address`, from its place in this folder."""
        return name if self.fold is None else f"{layout.FOLDS}/{self.fold}/{name}"


def read_state(run_id: str, fold: int | None, folder: Path) -> State:
    """Read it all; what is broken is left out, and the rest shown."""
    state = State(run_id, fold, folder)
    try:
        state.record = read_record(folder)
        state.status = status(folder, state.record)
    except RavenError as error:
        state.error = str(error)
    with suppress(RavenError):
        state.notes = read_notes(folder)
    if state.status == "waiting":
        state.waits_for = heartbeat(folder).get("waits_for")
    state.summary = _object(folder / layout.SUMMARY)
    state.evaluation = _object(folder / layout.EVALUATION)
    return state


def _object(path: Path) -> dict[str, Any] | None:
    try:
        found = read_json(path) if path.exists() else None
    except RavenError:
        return None
    return found if isinstance(found, dict) else None
