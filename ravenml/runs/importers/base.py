"""A run of another tool, and writing it as one of ours."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import JsonObject, to_jsonable, to_user_error, write_bytes, write_json
from ravenml.common.permissions import make_folder
from ravenml.config.home import runs_dir
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.events import EventWriter, as_number, effective_metrics, newest_metrics
from ravenml.runs.record import SCHEMA, read_record, redact_record
from ravenml.runs.removal import IMPORTING, sweep

KIND = "imported"
_SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"GIF": ".gif"}
_ENDS = {"completed": "TASK_FINISHED", "interrupted": "TASK_STOPPED"}


@dataclass(frozen=True)
class Measured:
    """A number: its name (``val/loss``), value, step, and time in seconds since 1970."""

    name: str
    value: float
    step: int
    seconds: float


@dataclass(frozen=True)
class Image:
    """An encoded picture (PNG, JPEG or GIF), with its step and time in seconds since 1970."""

    name: str
    content: bytes
    step: int
    seconds: float


@dataclass
class ImportedRun:
    """What another tool knows of a run.

    Attributes:
        key: what it is called there, once and for all: it makes the run's ID here.
        begun: seconds since 1970.
        finished: likewise; None where nobody noted it.
        status: ``completed``, ``failed`` or ``interrupted``.
        artifacts: files by their names with ``/``; they are copied.
    """

    key: str
    begun: float
    finished: float | None = None
    name: str | None = None
    project: str | None = None
    status: str = "completed"
    parameters: Mapping[str, object] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    note: str | None = None
    command: list[str] = field(default_factory=list)
    commit: str | None = None
    measured: list[Measured] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    artifacts: Mapping[str, Path] = field(default_factory=dict)

    def size(self) -> int:
        """How much there is of it: of one that goes on, more next time."""
        return len(self.measured) + len(self.images) + len(self.artifacts)


def run_id_of(source: str, run: ImportedRun) -> str:
    """The ID that this run has here, whenever it is imported: its beginning and a digest of its key."""
    digest = hashlib.sha256(f"{source}\n{run.key}".encode()).digest()
    letters = base64.b32encode(digest).decode().lower()[:6]
    return f"{datetime.fromtimestamp(run.begun, UTC):%Y%m%d-%H%M%S}-{letters}"


def write_imported(source: str, run: ImportedRun) -> tuple[Path, bool]:
    """Write the run into this home, whole or not at all; one that has grown replaces what is here of it.

    Returns:
        Its folder, and whether anything was written.

    Raises:
        RavenError: the home cannot be written, or another run has this ID.
    """
    target = runs_dir() / run_id_of(source, run)
    told = {"from": source, "id": run.key, "size": run.size(), "finished": run.finished}
    if target.exists():
        known = read_record(target).get("imported")
        if known == told:
            return target, False
        if not isinstance(known, dict) or known.get("id") != run.key:
            raise RavenError(f"{target} is another run; it is not replaced by one of {source}.")
    sweep()
    make_folder(runs_dir())
    place = Path(tempfile.mkdtemp(prefix=IMPORTING, dir=runs_dir()))
    try:
        _write(place, target.name, run, told)
        if target.exists():
            if (target / layout.NOTES).exists():
                shutil.copy2(target / layout.NOTES, place / layout.NOTES)
            os.rename(target, place / "replaced")
        os.rename(place if not (place / "replaced").exists() else _without(place), target)
    except OSError as error:
        raise to_user_error(error, place) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return target, True


def _without(place: Path) -> Path:
    """The folder without the run that it replaces."""
    shutil.rmtree(place / "replaced")
    return place


def _write(place: Path, run_id: str, run: ImportedRun, told: JsonObject) -> None:
    begun, ended = utc_timestamp(run.begun), utc_timestamp(run.finished or run.begun)
    _write_events(place, run_id, run, begun, ended)
    for name, path in run.artifacts.items():
        copied = place / layout.ARTIFACTS / _plain(name)
        make_folder(copied.parent)
        shutil.copyfile(path, copied)
    fields: JsonObject = {
        "kind": KIND,
        "plugin": None,
        "name": run.name,
        "project": run.project,
        "parameters": to_jsonable(dict(run.parameters), "parameters"),
        "tags": run.tags,
        "command": run.command,
        "imported": told,
        "provenance": {"code": {"working folder": {"commit": run.commit}}} if run.commit else None,
        "result": {
            "status": run.status,
            "finished": ended,
            "metrics": newest_metrics(effective_metrics(place / layout.EVENTS)),
        },
    }
    record = {
        **{"v": SCHEMA, "id": run_id, "created": begun, "process": {"host": "", "pid": 0}},
        "attempts": [{"started": begun, "ended": ended, "status": run.status}],
        **redact_record({name: value for name, value in fields.items() if value is not None}),
    }
    write_json(place / layout.RUN_JSON, record)
    if run.note:
        write_json(place / layout.NOTES, {"v": 1, "tags": [], "note": run.note})


def _write_events(place: Path, run_id: str, run: ImportedRun, begun: str, ended: str) -> None:
    events = EventWriter(place / layout.EVENTS)
    try:
        first = {"message": "started", "event_type": "EventType.TASK_STARTED", "run": run_id}
        events.relay({**first, "timestamp": begun})
        for one in sorted(run.measured, key=lambda one: (one.seconds, one.step)):
            kind, _, name = metric_address(one.name).partition("/")
            event = {"type": kind, "metrics": to_jsonable({name: one.value}, "metrics"), "step": one.step}
            events.relay(_timed("METRICS", one.seconds, event))
        for image in run.images:
            suffix = _SUFFIXES.get(image.content[:3], ".png")
            file = PurePosixPath(layout.PREVIEWS, _plain(f"{image.name}_{image.step:06d}{suffix}"))
            write_bytes(place / file, image.content)
            event = {"name": image.name, "file": str(file), "step": image.step}
            events.relay(_timed("IMAGE", image.seconds, event))
        for name, path in run.artifacts.items():
            file = PurePosixPath(layout.ARTIFACTS, _plain(name))
            event = {"name": name, "file": str(file), "sizeb": path.stat().st_size}
            events.relay(_timed("ARTIFACT", run.finished or run.begun, event))
        last = {"message": run.status, "event_type": f"EventType.{_ENDS.get(run.status, 'TASK_CRASHED')}"}
        events.relay({**last, "status": run.status, "timestamp": ended})
    finally:
        events.close()


def _timed(kind: str, seconds: float, fields: JsonObject) -> JsonObject:
    return {
        "message": kind.lower(),
        "event_type": f"EventType.{kind}",
        "timestamp": utc_timestamp(seconds),
        **fields,
    }


def metric_address(name: str) -> str:
    """``<type>/<name>``; a name without a type is a training's, or a validation's if it says so."""
    name = name.strip("/")
    if "/" in name:
        return name
    for prefix, kind in (("val_", "val"), ("eval_", "val"), ("test_", "test"), ("train_", "train")):
        if name.startswith(prefix) and name != prefix:
            return f"{kind}/{name.removeprefix(prefix)}"
    return f"train/{name}"


def _plain(name: str) -> str:
    """A name whose parts lead to no other folder and begin with no dot."""
    parts = [part.lstrip(".") or "_" for part in name.replace("\0", "_").split("/") if part]
    return "/".join(parts) or "_"


def flat_numbers(values: JsonObject, internal: str = "", above: str = "") -> Iterator[tuple[str, float]]:
    """The numbers among logged values, those within mappings under ``outer/inner``.

    Args:
        internal: begins the names that the tool uses itself, which are left out; empty: there are none.
    """
    for name, value in values.items():
        if internal and name.startswith(internal):
            continue
        if isinstance(value, dict):
            if "_type" not in value:  # a table or a picture
                yield from flat_numbers(value, internal, f"{above}{name}/")
        elif (number := as_number(value)) is not None:
            yield f"{above}{name}", number


def parse_object(text: object) -> JsonObject:
    """A mapping in JSON; an empty one where the text is something else."""
    try:
        found = json.loads(str(text))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def files_below(folder: Path) -> dict[str, Path]:
    """The files of a folder by their names with ``/``; links are left out."""
    found: Iterable[Path] = sorted(folder.rglob("*")) if folder.is_dir() else ()
    return {
        path.relative_to(folder).as_posix(): path
        for path in found
        if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(folder.resolve())
    }
