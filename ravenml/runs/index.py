"""The runs of this home as flat records: derived from their folders, and remembered in one file.

The file in the cache is never the truth.  An entry counts only while ``run.json`` and ``notes.json`` are the
very files that it was made from; whatever differs is read anew, and a lost or broken file is only slow once.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import orjson

from ravenml.common.io import JsonObject, sweep_temporaries, write_cache
from ravenml.config.home import cache_dir, runs_dir
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.events import EventReader, ResumedEvent, effective_metrics, newest_metrics
from ravenml.runs.notes import notes_or_reason
from ravenml.runs.record import read_record, status
from ravenml.runs.run_row import printable, run_row

_FORMAT = 6  # of the index file; a file of another format is rebuilt
_FILE = "runs-index.json"
_SAVE = 10.0  # seconds between two writings of it by somebody who looks on


def list_rows(names: Sequence[str] | None = None) -> list[JsonObject]:
    """One flat record per run, newest first, of somebody who looks once; see :class:`Index`."""
    return Index().rows(names)


class Index:
    """The runs of this home for somebody who looks again and again: what was found stays in memory, and is
    written to the cache from time to time.  Threads may not share one.
    """

    def __init__(self) -> None:
        self._root: Path | None = None
        self._entries: dict[str, JsonObject] = {}
        self._unsaved = False
        self._saved = -_SAVE  # when, by time.monotonic

    def rows(self, names: Sequence[str] | None = None) -> list[JsonObject]:
        """One flat record per run, newest first; see :func:`ravenml.runs.run_row.run_row`.

        Their ``status`` is derived now.  A run whose record is broken has the status ``broken`` and an
        ``error``.  The records are nobody's to change.

        Args:
            names: only these runs; without it, all of this home.
        """
        root = runs_dir()
        if root != self._root:
            self._root, self._entries, self._unsaved = root, _load(), False
        known = self._entries
        found = layout.run_ids() if names is None else sorted(names)
        entries: dict[str, JsonObject] = {}
        self._unsaved |= names is None and len(found) != len(known)
        for name in found:
            folder = f"{root}/{name}"
            before = known.get(name)
            stamp = _stamp(folder)
            if before is None or before.get("stamp") != stamp:
                before = {"stamp": stamp, **_read(Path(folder))}
                self._unsaved = True
            try:
                if before["row"]["status"] is None:
                    self._unsaved |= _follow(Path(folder), before)
            except Exception as error:
                # not remembered: what is wrong may be mended without a change of run.json
                before = {"stamp": None, "row": broken_row(Path(folder), error)}
            entries[name] = before
        self._entries = entries if names is None else {**known, **entries}
        if self._unsaved and time.monotonic() - self._saved >= _SAVE:
            self._saved, self._unsaved = time.monotonic(), False
            with suppress(OSError):  # a home that may only be read is listed all the same
                _save(self._entries)
        return [_now(root, entries[name]) for name in reversed(found)]


def _stamp(folder: str) -> list[int]:
    """What changes whenever a run's record or notes do: both are always written anew and renamed."""
    stamp: list[int] = []
    for name in (layout.RUN_JSON, layout.NOTES):
        try:
            found = os.stat(f"{folder}/{name}")
            stamp += [found.st_ino, found.st_mtime_ns, found.st_size]
        except OSError:
            stamp.append(0)
    return stamp


def _read(folder: Path) -> JsonObject:
    """An entry without its stamp.  Whatever is wrong in a run's folder is the error of that run alone."""
    try:
        record = read_record(folder)
        row = run_row(record, notes_or_reason(folder)) | {"id": folder.name}
    except Exception as error:
        return {"row": broken_row(folder, error)}
    return {"row": row, "host": printable(record["process"].get("host"))}


def broken_row(folder: Path, error: Exception) -> JsonObject:
    """The record of a run that cannot be read, and why; of an error that nobody foresaw also its kind."""
    reason = str(error) if isinstance(error, RavenError) else f"{type(error).__name__}: {error}"
    row = dict.fromkeys(run_row({"id": folder.name}, {}))
    empty: JsonObject = {"metrics": {}, "settings": {}, "tags": []}
    return row | empty | {"id": folder.name, "status": "broken", "error": printable(reason[:1000])}


def _follow(folder: Path, entry: JsonObject) -> bool:
    """Take in what a run without a result has reported since; whether anything was new.

    Only the new lines are read, unless they say that the training has gone back.
    """
    reader = EventReader(folder / layout.EVENTS, int(entry.get("read", 0)))
    if reader.size() < reader.offset:
        reader.offset, entry["reported"] = 0, {}
    before = reader.offset
    new = list(reader.read_new("METRICS", "RESUMED"))
    if reader.offset == before:
        return False
    if any(isinstance(event, ResumedEvent) for event in new):
        entry["reported"] = newest_metrics(effective_metrics(folder / layout.EVENTS))
    else:
        entry["reported"] = entry.get("reported", {}) | newest_metrics(new)
    entry["read"] = reader.offset
    return True


def _now(root: Path, entry: JsonObject) -> JsonObject:
    """The entry's row with what holds only at this moment."""
    row: JsonObject = entry["row"]
    if row["status"] is not None:
        return row
    try:
        now = status(root / row["id"], {"process": {"host": entry["host"]}})
    except Exception as error:
        return broken_row(root / row["id"], error)
    return row | {"status": now, "metrics": entry.get("reported", {})}


def _load() -> dict[str, JsonObject]:
    collecting = gc.isenabled()
    gc.disable()  # a million small objects at once, none of them garbage: half of the time would be lost
    try:
        stored = orjson.loads((cache_dir() / _FILE).read_bytes())
        if stored["format"] == _FORMAT and stored["runs_dir"] == str(runs_dir()):
            return {name: entry for name, entry in stored["runs"].items() if "status" in entry["row"]}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    finally:
        if collecting:
            gc.enable()
    return {}


def _save(entries: dict[str, JsonObject]) -> None:
    sweep_temporaries(cache_dir(), below=False)
    stored = {"format": _FORMAT, "runs_dir": str(runs_dir()), "runs": entries}
    write_cache(cache_dir() / _FILE, [orjson.dumps(stored)])
