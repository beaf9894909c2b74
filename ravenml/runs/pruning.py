"""Removing checkpoints that nobody needs any more, from a run's folder and from the store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ravenml.common.io import JsonObject, to_user_error, write_json
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.events import CheckpointEvent, effective, read_events
from ravenml.runs.index import list_rows
from ravenml.runs.lock import RunLock
from ravenml.runs.record import UNDER_WAY, read_record, status
from ravenml.runs.stored import StoredResult, find_stored
from ravenml.store.base import Store
from ravenml.store.models import read_metadata
from ravenml.store.results import extras_prefix, metadata_key

KEEP = ("best", "last")


@dataclass(frozen=True)
class Prunable:
    """The checkpoints of one run that can go.

    Attributes:
        folder: the run's.
        files: those in its folder.
        stored: where its result lies.
        keys: those in the store.
        size: of all together, in bytes.
        copied: those in a copy of the folder elsewhere, a store and a key each.
    """

    folder: Path
    files: list[Path]
    stored: StoredResult
    keys: list[str]
    size: int
    copied: list[tuple[Store, str]] = field(default_factory=list)

    def places(self) -> list[str]:
        """How many files go where, for people."""
        stored = [self.stored.store.name] * len(self.keys) if self.stored.store is not None else []
        names = [*stored, *(store.name for store, _ in self.copied)]
        there = [f"{names.count(name)} in {name}" for name in dict.fromkeys(names)]
        return [f"{len(self.files)} files here", *there]


def parse_keep(text: str) -> list[str]:
    """Which checkpoints stay: ``best``, ``last``, or both.

    Raises:
        InputError: a word is neither, or there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or any(name not in KEEP for name in names):
        raise InputError(f"--keep: {text!r} should be best, last, or best,last.")
    return names


def find_prunable(
    folder: Path, keep: Sequence[str], copy: tuple[Store, str] | None = None
) -> Prunable | None:
    """The checkpoints of a run that ``keep`` does not name; None for a run that has not ended, or is broken.

    Args:
        folder: the run's.
        keep: ``best``, ``last``, or both.
        copy: a copy of the folder that goes with it: a store, and how the keys of its files begin.

    What events do not name is nobody's checkpoint and stays; so does what another run begins with, and, of a
    run that is not completed, what resuming it needs.

    Raises:
        RavenError: the store does not answer.
    """
    try:
        record = read_record(folder)
        now = status(folder, record)
    except RavenError:
        return None
    if now in UNDER_WAY:
        return None
    wanted = [*keep, *(["last"] if now != "completed" and "last" not in keep else [])]
    places = [folder, *layout.fold_folders(folder)]
    paths = {
        path.relative_to(folder).as_posix(): path for place in places for path in _superfluous(place, wanted)
    }
    used = [text for row in list_rows() if row["id"] != folder.name for text in _texts(row["settings"])]
    used += [f"{folder.name}/{name}" for name in ((record.get("result") or {}).get("models") or {}).values()]
    names = [name for name in paths if not any(f"{folder.name}/{name}" in text for text in used)]
    files = [paths[name] for name in names if paths[name].is_file()]
    stored = find_stored(folder)
    keys: dict[str, int] = {}
    if stored.store is not None:
        prefix = extras_prefix(record["id"])
        there = {entry.key: entry.size for entry in stored.store.list(prefix)}
        keys = {key: there[key] for name in names if (key := prefix + name) in there}
    copied: dict[tuple[Store, str], int] = {}
    if copy is not None:
        store, prefix = copy
        there = {entry.key: entry.size for entry in store.list(prefix)}
        copied = {(store, key): there[key] for name in names if (key := prefix + name) in there}
    size = sum(path.stat().st_size for path in files) + sum(keys.values()) + sum(copied.values())
    return (
        Prunable(folder, files, stored, list(keys), size, list(copied)) if files or keys or copied else None
    )


def prune(found: Prunable) -> None:
    """Remove the checkpoints: of the store, its list of files says so first, so that a model is never listed
    with files that are gone.

    Raises:
        RavenError: the run is being written, or the store does not answer; called again, it goes on.
    """
    lock = RunLock(found.folder)
    try:
        store = found.stored.store
        if store is not None and found.keys:
            metadata = read_metadata(store, found.stored.run_id)
            files: JsonObject = metadata.get("files") or {}
            metadata["files"] = {key: one for key, one in files.items() if key not in found.keys}
            store.put_content(metadata_key(found.stored.run_id), json.dumps(metadata).encode())
            write_json(found.folder / layout.METADATA, metadata)
            for key in found.keys:
                store.delete(key)
        for copy, key in found.copied:
            copy.delete(key)
        for path in found.files:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise to_user_error(error, path) from error
    finally:
        lock.release()


def _superfluous(place: Path, keep: Sequence[str]) -> list[Path]:
    """The files that events of a run, or of a fold, announced as checkpoints and that are not to stay."""
    events = read_events(place / layout.EVENTS, "CHECKPOINT")
    every = [one for one in events if isinstance(one, CheckpointEvent)]
    counts = [
        one
        for one in effective(read_events(place / layout.EVENTS, "CHECKPOINT", "RESUMED"))
        if isinstance(one, CheckpointEvent)
    ]
    best = [one for one in counts if one.best_now][-1:] or counts[-1:]
    with_state = [one for one in counts if any(re.match(r"state_", name) for name in one.files)]
    last = [*counts[-1:], *with_state[-1:]]
    chosen = [*(best if "best" in keep else []), *(last if "last" in keep else [])]
    kept = {name for one in chosen for name in one.files}
    named = dict.fromkeys(name for one in every if one.kept is None for name in one.files)
    return [place / layout.CHECKPOINTS / name for name in named if name not in kept]


def _texts(settings: JsonObject) -> Iterator[str]:
    for value in settings.values():
        yield from (str(one) for one in (value if isinstance(value, list) else [value]))
