"""Runs as people and scripts read them."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from ravenml.common.formatting import format_duration, format_number, format_size, local_time, terminal_safe
from ravenml.common.io import JsonObject
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.contents import Content, is_missing, list_contents
from ravenml.runs.events import EventReader, effective_metrics, newest_metrics
from ravenml.runs.filters import lookup
from ravenml.runs.index import list_rows
from ravenml.runs.lock import is_locked
from ravenml.runs.notes import apply_notes, notes_or_reason
from ravenml.runs.progress import RunProgress
from ravenml.runs.record import heartbeat, read_record, read_summary, status
from ravenml.runs.run_row import flat_settings
from ravenml.runs.tables import fold_table, score_table
from ravenml.runs.views import epoch_line

_CELL = 60  # characters of a setting and its value
_MOST_ARTIFACTS = 20  # that are listed
_COLUMNS = ("id", "name", "status", "plugin", "dataset", "folds", "tags")
_LOOKED_AT = 32 << 20  # bytes of events that are checked for a person who waits
_HEADLINES = ("val/miou", "val/mdice", "val/pixel_accuracy", "val/loss", "train/loss")


def overview() -> list[JsonObject]:
    """One flat record per run, newest first; a run whose record is broken says so."""
    return list_rows()


def rows(found: list[JsonObject], more: Sequence[str] = (), short: bool = False) -> list[list[str]]:
    """The overview as a table of text with a header.

    Args:
        found: what :func:`overview` returned, or a part of it.
        more: names of metrics, settings or fields that get a column of their own.
        short: leave out the current year.
    """
    more = [name for name in dict.fromkeys(more) if name not in _COLUMNS]
    table = [["RUN", "STATUS", "WHAT", "DATASET", "FOLDS", "STARTED", "SCORE", "NAME", *more, "TAGS"]]
    for one in found:
        name, value = headline(one["metrics"], one.get("best_metric"))
        table.append(
            [
                one["id"],
                one["status"],
                str(one.get("plugin") or one.get("kind") or "-"),
                *(str(one.get(column) or "-") for column in ("dataset", "folds")),
                local_time(one.get("created"), short=short),
                f"{name} {format_number(value)}" if name else "-",
                full_name(one) or "-",
                *(_cell(lookup(one, column)) for column in more),
                " ".join(one["tags"]) or "-",
            ]
        )
    return table


def full_name(record: JsonObject) -> str:
    """What people call a run: ``project / name``, or one of the two; empty where it has neither."""
    return " / ".join(str(record[part]) for part in ("project", "name") if record.get(part))


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)


def headline(metrics: JsonObject, best_metric: str | None = None) -> tuple[str, float]:
    """The one score that a line has room for: the one by which the plugin chooses its best checkpoint, else a
    well-known one, else the first (a program has its own).

    It is NaN where that score is not defined: another one, such as the pixel accuracy of empty images, would
    look as if all were well.
    """
    for name in (*([best_metric] if best_metric else []), *_HEADLINES, *metrics):
        if metrics.get(name) == "NaN" or isinstance(metrics.get(name), int | float):
            return name, float(metrics[name])
    return "", 0.0


def full_record(folder: Path) -> JsonObject:
    """``run.json`` with the derived status, people's notes, and ``summary.json`` where there is one; of a
    broken run its ``id``, its ``status`` and its ``error``.
    """
    try:
        record = read_record(folder)
        record["status"] = status(folder, record)
        EventReader(folder / layout.EVENTS).check()
    except RavenError as error:
        return {"id": folder.name, "status": "broken", "error": str(error)}
    record["contents"] = [one.as_json() for one in list_contents(folder, record)]
    notes = notes_or_reason(folder)
    record["notes"] = {name: value for name, value in notes.items() if name != "v"}
    record = apply_notes(record, notes)
    if (summary := read_summary(folder)) is not None:
        record["summary"] = summary
    return record


def details(folder: Path, width: int | None = None) -> list[str]:
    """A run as lines of text: what, how it went, where things lie, its scores in ``width`` columns; of a
    broken run why it is.
    """
    try:
        record = read_record(folder)
        now = status(folder, record)
        facts = _facts(folder, record, now, width)
        scores = _scores(folder, record, width)
    except RavenError as error:
        facts, scores = [("Run", folder.name), ("Status", "broken"), ("Why", str(error))], []
        facts.append(("Folder", str(folder)))
    return [f"{name + ':':12s} {_indent(value)}" for name, value in facts if value] + scores


def last_heard(folder: Path) -> str:
    """How a run stood when its store and its cluster last answered, and why they do not now."""
    beat = heartbeat(folder)
    at = beat.get("at")
    when = f", {format_duration(max(0.0, time.time() - at))} ago" if at else ""
    return f"{beat.get('last') or 'never'}{when}; {beat.get('why') or ''}"


def _indent(value: str) -> str:
    """A value as a terminal may show it; no line of it looks like a fact of its own."""
    return terminal_safe(value, newlines=True).replace("\n", f"\n{'':13s}")


def _facts(folder: Path, record: JsonObject, now: str, width: int | None) -> list[tuple[str, str | None]]:
    result = record.get("result") or {}
    notes = notes_or_reason(folder)
    attempts = len(record["attempts"])
    contents = list_contents(folder, record)
    return [
        ("Run", record["id"]),
        ("Status", now),
        ("Now", _progress(folder) if now == "running" else None),
        ("Waits for", heartbeat(folder).get("waits_for") if now == "waiting" else None),
        ("Last heard", last_heard(folder) if now == "unreachable" else None),
        ("Why", result.get("error") or result.get("reason")),
        ("Stack", "\n".join(result.get("stack") or ())),
        ("Name", full_name(apply_notes(record, notes))),
        ("Plugin", f"{record.get('plugin') or ''} {record.get('plugin_version') or ''}".strip()),
        ("Dataset", _dataset(record)),
        ("Split", _split(record)),
        ("Started", local_time(record.get("created"))),
        ("Ended", local_time(result.get("finished")) if result.get("finished") else None),
        ("Attempts", str(attempts) if attempts > 1 else None),
        ("Clone of", _origin(record)),
        ("Command", shlex.join(record.get("command") or [])),
        ("Commit", _commit(record)),
        ("Tags", " ".join(dict.fromkeys([*(record.get("tags") or ()), *(notes.get("tags") or ())]))),
        ("Note", notes.get("note")),
        ("Bad events", _bad_events(folder)),
        ("Folder", str(folder)),
        ("Parameters", _parameters(record, width)),
        *(("Model", _content(one)) for one in contents if one.kind == "model"),
        ("Artifacts", _artifacts([one for one in contents if one.kind == "artifact"])),
        ("Previews", next((str(path.parent) for path in folder.glob("previews/*")), None)),
        ("Stored", _stored(record, contents)),
        ("Store with", _storing(folder, record, now)),
        ("Resume with", record.get("resume") if now in ("interrupted", "failed", "lost") else None),
    ]


def _parameters(record: JsonObject, width: int | None) -> str:
    """The settings that have a value, as many to a line as fit."""
    settings = {name: value for name, value in flat_settings(record).items() if value is not None}
    lines: list[str] = []
    for name, value in settings.items():
        cell = f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        cell = cell if len(cell) <= _CELL else f"{cell[: _CELL - 1]}…"
        if lines and len(lines[-1]) + len(cell) + 2 <= (width or 100) - 13:
            lines[-1] += f"  {cell}"
        else:
            lines.append(cell)
    return "\n".join(lines)


def _content(one: Content) -> str:
    """A model or artifact: where it lies here, its size, and where it was stored."""
    size = f" ({format_size(one.size)})" if one.size is not None else ""
    here = str(one.path or one.name) if one.kind == "model" else one.name.removeprefix(f"{layout.ARTIFACTS}/")
    missing = ", not on this machine" if one.path is None else ""
    return f"{here}{size}{missing}" + (f"\n{one.address}" if one.address else "")


def _artifacts(found: Sequence[Content]) -> str:
    more = [f"{len(found) - _MOST_ARTIFACTS} more"] if len(found) > _MOST_ARTIFACTS else []
    return "\n".join([*map(_content, found[:_MOST_ARTIFACTS]), *more])


def _stored(record: JsonObject, contents: Sequence[Content]) -> str:
    """Where else its results lie than in its folder."""
    result = record.get("result") or {}
    if is_missing(record):
        return f"no longer: {result['stored']} is gone"
    if result.get("stored"):
        return str(result["stored"])
    sent = [one for one in contents if one.address]
    if not sent:
        return "no"
    columns = zip(*(str(one.address).split("/")[:-1] for one in sent), strict=False)
    where = "/".join(same[0] for same in takewhile(lambda parts: len(set(parts)) == 1, columns))
    return f"{where} ({len(sent)} of {len(contents)} files)"


def _storing(folder: Path, record: JsonObject, now: str) -> str | None:
    """The command that stores a training's result, where a kill or a fault came before its end."""
    result = record.get("result") or {}
    if now != "completed" or result.get("stored") or not (folder / layout.METADATA).exists():
        return None
    if is_locked(folder):  # it is just being stored
        return None
    local = (record.get("config") or {}).get("artifact_path")
    return shlex.join(["raven", "runs", "upload", folder.name, *(["--local", local] if local else [])])


def _scores(folder: Path, record: JsonObject, width: int | None) -> list[str]:
    if (summary := read_summary(folder)) is not None:
        return ["", *fold_table(summary, width)]
    metrics = (record.get("result") or {}).get("metrics") or newest_metrics(
        effective_metrics(folder / layout.EVENTS)
    )
    return ["", *score_table(metrics)] if metrics else []


def _bad_events(folder: Path) -> str | None:
    """How many lines of ``events.jsonl`` hold no event, or one with a field of the wrong type."""
    reader = EventReader(folder / layout.EVENTS)
    count, example = 0, ""
    for event in reader.read_new():
        if event.bad:
            count, example = count + 1, f", such as `{event.bad[0]}` of a {event.type or 'message'}"
        if reader.offset > _LOOKED_AT:
            break
    count += reader.unreadable
    least = "at least " if reader.offset > _LOOKED_AT else ""
    return f"{least}{count} in {layout.EVENTS}{example}" if count else None


def _progress(folder: Path) -> str | None:
    """The last line that a progress display would show of a run that is under way."""
    places = layout.fold_folders(folder) or [folder]
    lines = []
    for place in places:
        watched = RunProgress(f"fold {place.name}" if place != folder else "", place, from_start=True)
        events = list(watched.read())
        if events and not watched.ended:
            lines.append(epoch_line(watched))
    return "; ".join(line for line in lines if line) or None


def _origin(record: JsonObject) -> str | None:
    origin = record.get("origin") or {}
    changed = ", ".join(f"{name}={value}" for name, value in (origin.get("set") or {}).items())
    return f"{origin.get('clone_of')}{f', with {changed}' if changed else ''}" if origin else None


def _commit(record: JsonObject) -> str | None:
    code = (record.get("provenance") or {}).get("code") or {}
    for name in ("working folder", "core"):
        state = code.get(name) or {}
        if state.get("commit"):
            return f"{state['commit'][:12]} of the {name}{', with changes' if state.get('diff') else ''}"
    return None


def _dataset(record: JsonObject) -> str | None:
    dataset = record.get("dataset")
    if not dataset:
        return None
    images = f"{dataset['images']} images" if dataset.get("images") is not None else None
    details = ", ".join(filter(None, [images, dataset.get("path")]))
    return f"{dataset.get('name') or 'unnamed'}{f' ({details})' if details else ''}"


def _split(record: JsonObject) -> str | None:
    if kfold := record.get("kfold"):
        return f"{kfold.get('folds')} folds of {kfold.get('images')} images"
    split = record.get("split")
    fold = f"fold {record['fold']}: " if record.get("fold") is not None else ""
    return f"{fold}{split.get('train')} train, {split.get('val')} val" if split else None
