"""Weights & Biases: a run's folder (``run-*`` or ``offline-run-*``), or the folder ``wandb`` of all of them.

``run-<id>.wandb`` holds all that a run has said, as a log of LevelDB: blocks of 32 KiB with records,
each a protocol buffer (``wandb_internal.proto``); it is read without wandb.  Of a run without it, as one is
downloaded, the settings, the last values and the files are read.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ravenml.common.formatting import parse_timestamp
from ravenml.common.io import JsonObject
from ravenml.common.parsing import read_yaml
from ravenml.runs.importers.base import ImportedRun, Measured, files_below, flat_numbers, parse_object
from ravenml.runs.process.tfevents import fields

_FOLDER = re.compile(r"(?:offline-)?run-(\d{8}_\d{6})-(\w+)")
_DESCRIBED = ("config.yaml", "wandb-summary.json", "wandb-metadata.json")
_OWN = ("wandb_version", "_wandb")
_MAGIC = b":W&B"
_HEAD, _BLOCK = 7, 32768  # bytes: of the file's head, and of that of a record; of a block
# Numbers of fields in wandb_internal.proto.
_HISTORY, _CONFIG, _RUN, _EXIT, _ENVIRONMENT = 2, 5, 17, 18, 26


@dataclass
class _Told:
    """What the run's own file says."""

    rows: list[tuple[int, JsonObject]] = field(default_factory=list)  # step and values
    config: JsonObject = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    exit_code: int | None = None


def read_runs(path: Path) -> Iterator[ImportedRun]:
    """The runs of which a folder is there."""
    place = path.parent if path.is_file() else path
    folders = [place] if _FOLDER.fullmatch(place.name) else sorted(place.glob("**/*run-*"))
    found = {match[2]: (folder, match) for folder in folders if (match := _FOLDER.fullmatch(folder.name))}
    for folder, match in found.values():
        yield _read(folder, match[2], match[1])


def _read(folder: Path, run_id: str, begun: str) -> ImportedRun:
    files = folder / "files"
    summary, metadata = _json(files / "wandb-summary.json"), _json(files / "wandb-metadata.json")
    config = read_yaml(files / "config.yaml") if (files / "config.yaml").is_file() else {}
    told = _read_log(folder / f"run-{run_id}.wandb")
    started = _started(told, metadata, begun)
    measured = [
        Measured(name, value, step, _seconds(row, started))
        for step, row in told.rows
        for name, value in flat_numbers(row, internal="_")
    ]
    ended = max((one.seconds for one in measured), default=_seconds(summary, started))
    if not measured:
        step = summary.get("_step")
        last = step if isinstance(step, int) else 0
        measured = [Measured(name, value, last, ended) for name, value in flat_numbers(summary, internal="_")]
    settings = {name: _value(one) for name, one in config.items()} | told.config
    program = [metadata.get("program"), *(metadata.get("args") or ())]
    return ImportedRun(
        key=run_id,
        begun=started,
        finished=ended,
        name=told.about.get("display_name") or run_id,
        project=told.about.get("project"),
        status="failed" if told.exit_code else "completed",
        parameters={name: one for name, one in settings.items() if name not in _OWN},
        tags=told.tags,
        note=told.about.get("notes"),
        command=told.command or [str(one) for one in program if one],
        commit=told.about.get("commit") or _commit(metadata),
        measured=measured,
        artifacts={name: one for name, one in files_below(files).items() if name not in _DESCRIBED},
    )


def _read_log(file: Path) -> _Told:
    """What a run's own file says; one that is cut off, up to there."""
    told = _Told()
    for content in _records(file):
        with suppress(ValueError, IndexError, struct.error):  # a broken record
            for number, value in fields(content):
                if isinstance(value, bytes):
                    _take(told, number, value)
    return told


def _records(file: Path) -> Iterator[bytes]:
    """The records of a log; a record may be split over several blocks (1: whole, 2: first, 3, 4: last)."""
    content = file.read_bytes() if file.is_file() else b""
    if not content.startswith(_MAGIC):
        return
    at, pieces = _HEAD, b""
    while at + _HEAD <= len(content):
        if _BLOCK - at % _BLOCK < _HEAD:
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        piece = content[at + _HEAD : at + _HEAD + length]
        if not kind or len(piece) < length:
            return
        at += _HEAD + length
        pieces = piece if kind in (1, 2) else pieces + piece
        if kind in (1, 4):
            yield pieces


def _take(told: _Told, number: int, record: bytes) -> None:
    if number == _HISTORY:
        row = dict(_items(record, 1))
        steps = [dict(fields(value)).get(1, 0) for inner, value in fields(record) if inner == 2]
        step = row.get("_step", *steps[:1])
        told.rows.append((step if isinstance(step, int) else len(told.rows), row))
    elif number == _CONFIG:
        told.config |= dict(_items(record, 1))
    elif number == _RUN:
        for inner, value in fields(record):
            if inner == 10 and isinstance(value, bytes):
                told.tags.append(value.decode(errors="replace"))
            elif inner == 4 and isinstance(value, bytes):
                told.config |= dict(_items(value, 1))
            elif inner == 17:
                told.about["start"] = str(dict(fields(value)).get(1, ""))
            elif inner == 21:
                told.about["commit"] = _text(value, 2)
        names = ((3, "project"), (8, "display_name"), (9, "notes"))
        told.about |= {name: _text(record, inner) for inner, name in names}
    elif number == _EXIT:
        code = dict(fields(record)).get(1, 0)
        told.exit_code = code if isinstance(code, int) else None
    elif number == _ENVIRONMENT:
        words = [value for inner, value in fields(record) if inner == 5 and isinstance(value, bytes)]
        told.command = [one for one in (_text(record, 6), *(word.decode() for word in words)) if one]
        for inner, value in fields(record):
            if inner == 9:
                told.about.setdefault("commit", _text(value, 2))


def _items(record: bytes, number: int) -> Iterator[tuple[str, object]]:
    """Names and values of a record's items, whose values are JSON."""
    for inner, item in fields(record):
        if inner != number:
            continue
        parts = list(fields(item))
        names = [value.decode() for n, value in parts if n in (1, 2) and isinstance(value, bytes) and value]
        known = dict(parts)
        if isinstance(found := known.get(16), bytes):
            yield "/".join(names), json.loads(found)
        elif isinstance(number_bytes := known.get(6), bytes):
            yield "/".join(names), struct.unpack("<d", number_bytes)[0]
        elif isinstance(whole := known.get(5), int):
            yield "/".join(names), whole


def _text(record: int | bytes, number: int) -> str:
    value = dict(fields(record)).get(number, b"")
    return value.decode(errors="replace") if isinstance(value, bytes) else ""


def _value(one: object) -> object:
    """A setting in ``config.yaml``, which has its value under a name."""
    return one["value"] if isinstance(one, dict) and "value" in one else one


def _commit(metadata: JsonObject) -> str | None:
    git = metadata.get("git")
    return str(git["commit"]) if isinstance(git, dict) and git.get("commit") else None


def _json(file: Path) -> JsonObject:
    with suppress(OSError, ValueError):
        return parse_object(file.read_text())
    return {}


def _seconds(row: JsonObject, otherwise: float) -> float:
    stamp = row.get("_timestamp")
    return float(stamp) if isinstance(stamp, int | float) else otherwise


def _started(told: _Told, metadata: JsonObject, begun: str) -> float:
    if told.about.get("start", "").isdigit():
        return float(told.about["start"])
    with suppress(ValueError):
        return parse_timestamp(metadata.get("startedAt"))
    return datetime.strptime(begun, "%Y%m%d_%H%M%S").replace(tzinfo=UTC).timestamp()
