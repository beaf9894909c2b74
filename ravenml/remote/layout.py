"""Where a remote run's things lie in the store of its queue.

```text
remote/<run id>/job.json           what was submitted
remote/<run id>/attempts/0001.json who submitted the first attempt, and when; each exists once
remote/<run id>/waiting.json       the supervisor's heartbeat: what the run waits for
remote/<run id>/heartbeat.json     the worker's heartbeat
remote/<run id>/control.json       what others ask of the run; control-0.json of its fold 0
remote/<run id>/files/…            the run's folder
remote/<run id>/grow/<file>@<offset>  pieces of files that grow: events.jsonl, console.log
remote/code/<digest>.zip           packed code
```
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.common.parsing import parse_json
from ravenml.errors import RavenError
from ravenml.store.base import Store
from ravenml.store.local_store import FolderStore

ROOT = "remote"
PATIENCE = 60.0  # seconds for which one request to a mirror is repeated
FRESH = 15.0  # seconds; a training whose heartbeat is younger is running
HEARTBEAT, WAITING = "heartbeat.json", "waiting.json"
# In a job's environment: the run, which attempt this is, and the store of its mirror.
RUN, ATTEMPT, STORE = "RAVENML_REMOTE_RUN", "RAVENML_REMOTE_ATTEMPT", "RAVENML_REMOTE_STORE"


# What :mod:`ravenml.toolkit.checkpoints` writes beside its place and then renames, so that no file with that
# name is written to; of the other files of a run that is never certain.
_WRITTEN_ONCE = re.compile(
    rf"{ROOT}/[^/]+/files/(folds/\d+/)?checkpoints/(model|state)_\d+(_\d+)?(_best|_last)?\.\w+"
)


def open_store(address: str) -> Store:
    """The store of mirrors: a folder, or what an ``s3://`` address names."""
    if "://" in address:
        from ravenml.store.factory import bucket

        found = bucket("models", address=address)
        assert found is not None
        # Whoever mirrors, or looks at a mirror, comes again by itself soon.
        found.retry.patience = min(found.retry.patience, PATIENCE)
        return found
    return FolderStore(Path(address), links=is_written_once)


def is_written_once(key: str) -> bool:
    """Whether a key of a mirror is a checkpoint's, which is replaced, and never written to."""
    return _WRITTEN_ONCE.fullmatch(key) is not None


def code_key(digest: str) -> str:
    """Where packed code lies."""
    return f"{ROOT}/code/{digest}.zip"


def known_runs(store: Store) -> list[str]:
    """The runs that a store has mirrors of, oldest first."""
    return sorted(name for name in store.folders(ROOT) if name != "code")


def attempt_name(attempt: int) -> str:
    """What an attempt's claim is called: ``by`` whom, when (``at``), and which ``retry`` it is."""
    return f"attempts/{attempt:04d}.json"


@dataclass(frozen=True)
class RemoteRun:
    """A remote run's part of a store."""

    store: Store
    run_id: str

    def key(self, name: str) -> str:
        """The store's key of a name in the listing above."""
        return f"{ROOT}/{self.run_id}/{name}"

    def read(self, name: str) -> JsonObject | None:
        """A small JSON object, or None where there is none."""
        return self._content(name) if self.store.head(self.key(name)) is not None else None

    def _content(self, name: str) -> JsonObject | None:
        try:
            found = parse_json(self.store.read(self.key(name)), name)
        except RavenError:
            return None  # it was just replaced or removed
        return found if isinstance(found, dict) else None

    def read_heartbeat(self, name: str) -> JsonObject | None:
        """A heartbeat, or whatever else has an ``at``, which is given in this machine's own time.

        Its age is what the store says, by one clock: those of two machines may differ by minutes.
        """
        entry = self.store.head(self.key(name))
        found = self._content(name) if entry is not None else None
        if entry is None or found is None:
            return None
        age = (self.store.now() - entry.modified).total_seconds()
        return {**found, "at": time.time() - max(0.0, age)}

    def write_heartbeat(self, name: str, attempt: int, state: str, **more: object) -> None:
        """Write a heartbeat; ``name`` is ``heartbeat.json`` or ``waiting.json``."""
        self.write(name, {"attempt": attempt, "state": state, "at": time.time(), **more})

    def is_running(self, name: str, since: float = 0.0) -> bool:
        """Whether a heartbeat says that a training runs, and is fresh and written after ``since``."""
        heartbeat = self.read_heartbeat(name) or {}
        return heartbeat.get("state") == "running" and heartbeat["at"] > max(since, time.time() - FRESH)

    def write(self, name: str, value: JsonObject) -> None:
        """Write a small JSON object."""
        self.store.put_content(self.key(name), json.dumps(value).encode())

    def claim(self, attempt: int, value: JsonObject) -> bool:
        """Become the one who submits this attempt; False where somebody else has."""
        return self.store.create(self.key(attempt_name(attempt)), json.dumps(value).encode())

    def attempts(self) -> int:
        """The number of the newest attempt that was claimed."""
        prefix = self.key("attempts/")
        names = [entry.key.removeprefix(prefix) for entry in self.store.list(prefix)]
        return max((int(name.removesuffix(".json")) for name in names), default=0)
