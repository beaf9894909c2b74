"""Storing a finished run: from its folder alone, so that it can be done, and gone on with, at any time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ravenml.common.io import resolve_inside, sweep_temporaries, write_json
from ravenml.common.schema import Each, Fields, read_object
from ravenml.config.config import load_config
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.events import CheckpointEvent, effective, read_events
from ravenml.runs.lock import RunLock
from ravenml.runs.record import read_record
from ravenml.store.base import Store
from ravenml.store.factory import models_store
from ravenml.store.local_store import FolderStore
from ravenml.store.publish_folder import publish
from ravenml.store.results import metadata_key, store_result

_METADATA = Fields({"architecture": str, "models": Each(str)})
_TRACKERS = ("readers", "tensorboard", "clearml")  # folders of what is made of the events
_PRIVATE = (layout.LOCK, layout.CONTROL, layout.NOTES, layout.RUN_JSON, layout.METADATA)


@dataclass(frozen=True)
class StoreResult:
    """Where a run's result lies now.

    Attributes:
        where: the user's folder, or the metadata's place in the store.
        summary: what went over the line, in words; empty where nothing did.
        remote: whether it lies in a bucket, and not on this machine.
    """

    where: str
    summary: str = ""
    remote: bool = False


def store_run(
    folder: Path, local: Path | None = None, checkpoints: str | None = None, store: Store | None = None
) -> StoreResult:
    """Store the result of the completed run in ``folder``, and note in ``run.json`` where.

    What an interrupted call has stored is not sent again.

    Args:
        folder: the run's folder; its ``metadata.json`` describes the result.
        local: a folder of the user's instead of the store; laid out like the run's.
        checkpoints: ``all``, ``best`` or ``none`` of the checkpoints; without it, what the run's own config
            or the user's says.
        store: without it, the configured one.

    Raises:
        InputError: the run has no result that could be stored.
        RavenError: it cannot be stored, or another process is writing the run; nothing is lost.
    """
    record = read_record(folder)
    result = record.get("result") or {}
    if result.get("status") != "completed" or not (folder / layout.METADATA).exists():
        raise InputError(
            f"{folder.name} has no result to store: it is {result.get('status') or 'not finished'}; "
            f"`--resume {folder.name}` resumes it."
        )
    lock = RunLock(folder)
    try:
        sweep_temporaries(folder)
        metadata = read_object(folder / layout.METADATA, _METADATA)
        chosen = checkpoints or (record.get("config") or {}).get("upload_checkpoints")
        files = run_files(folder, chosen or load_config().upload_checkpoints)
        models = {suffix: folder / name for suffix, name in (result.get("models") or {}).items()}
        for suffix, path in models.items():
            if resolve_inside(folder, result["models"][suffix]) is None:
                raise RavenError(f"{path} is gone, or not in the run's folder: {folder.name} has no model.")
        if local is not None:
            inside = {suffix: path.relative_to(folder).as_posix() for suffix, path in models.items()}
            write_json(folder / layout.METADATA, {**metadata, "models": inside})
            publish({**files, layout.METADATA: folder / layout.METADATA}, local, record["id"])
            stored = StoreResult(str(local))
        else:
            store = store if store is not None else models_store()
            beside = {name: path for name, path in files.items() if path not in models.values()}
            architecture = str(metadata.get("architecture") or "model")
            done = store_result(
                store, record["id"], architecture, models, beside, metadata, folder / layout.METADATA
            )
            remote = not isinstance(store, FolderStore)
            summary = f"{done.sent} files, {done.kept} were there; {done.summary}" if remote else ""
            stored = StoreResult(f"{store.name}/{metadata_key(record['id'])}", summary, remote)
        record["result"] = {**result, "stored": stored.where}
        write_json(folder / layout.RUN_JSON, record)
    finally:
        lock.release()
    return stored


def run_files(folder: Path, checkpoints: str = "all") -> dict[str, Path]:
    """What of a run's folder is stored, by its name within.

    All but what belongs to the run's work (``run.json``, locks, the states for resuming, hidden files) and
    the checkpoints that were not chosen; everything that the plugin put into ``artifacts/``.
    """
    left_out = _unwanted_checkpoints(folder, checkpoints)
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    files = (path for path in files if path.parent.name not in _TRACKERS)
    named = {path.relative_to(folder).as_posix(): path for path in files if path not in left_out}
    return {
        name: path for name, path in named.items() if f"{layout.ARTIFACTS}/" in name or not _is_private(path)
    }


def _is_private(path: Path) -> bool:
    state = path.name.startswith("state_") and path.parent.name == layout.CHECKPOINTS
    return state or path.name in _PRIVATE or path.name.startswith(".")


def _unwanted_checkpoints(folder: Path, checkpoints: str) -> set[Path]:
    """The checkpoints, of this run and its folds, that stay here."""
    if checkpoints == "all":
        return set()
    unchosen: set[Path] = set()
    for place in folder.rglob(layout.CHECKPOINTS):
        if not place.is_dir():
            continue
        weights = {path for path in place.rglob("*") if path.is_file() and path.suffix != ".json"}
        unchosen |= weights - (_best_checkpoint(place) if checkpoints == "best" else set())
    return unchosen


def _best_checkpoint(place: Path) -> set[Path]:
    """The files of the best checkpoint; where none was called so, of the last."""
    events = effective(read_events(place.parent / layout.EVENTS, "CHECKPOINT", "RESUMED"))
    written = [event for event in events if isinstance(event, CheckpointEvent)]
    best = [event for event in written if event.best_now] or written
    named = {place / name for name in best[-1].files} if best else set()
    found = {path for path in named if path.is_file()}
    return found or set(place.glob("*best*"))
