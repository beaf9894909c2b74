"""Runs as people and scripts read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ravenml.common.formatting import local_time
from ravenml.common.io import JsonObject, read_json
from ravenml.runs import layout
from ravenml.runs.events import effective_metrics, newest_metrics
from ravenml.runs.filters import lookup
from ravenml.runs.index import list_rows
from ravenml.runs.notes import read_notes
from ravenml.runs.progress import RunProgress
from ravenml.runs.record import heartbeat, read_record, status
from ravenml.runs.tables import fold_table, score_table
from ravenml.runs.views import epoch_line

_COLUMNS = ("id", "status", "plugin", "dataset", "folds", "tags")
_HEADLINES = ("val/miou", "val/mdice", "val/pixel_accuracy", "val/loss", "train/loss")


def overview(limit: int | None = None) -> list[JsonObject]:
    """One flat record per run, newest first; a run whose record is broken says so."""
    return list_rows(layout.run_ids()[-limit:] if limit else None)


def rows(found: list[JsonObject], more: Sequence[str] = ()) -> list[list[str]]:
    """The overview as a table of text with a header.

    Args:
        found: what :func:`overview` returned, or a part of it.
        more: names of metrics, settings or fields that get a column of their own.
    """
    more = [name for name in dict.fromkeys(more) if name not in _COLUMNS]
    table = [["RUN", "STATUS", "PLUGIN", "DATASET", "FOLDS", "STARTED", "SCORE", *more, "TAGS"]]
    for one in found:
        name, value = headline(one["metrics"])
        table.append(
            [
                one["id"],
                one["status"],
                str(one.get("plugin") or one.get("name") or one.get("kind") or "-"),
                *(str(one.get(column) or "-") for column in ("dataset", "folds")),
                local_time(one.get("created")),
                f"{name} {value:.4f}" if name else "-",
                *(_cell(lookup(one, column)) for column in more),
                " ".join(one["tags"]) or "-",
            ]
        )
    return table


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)


def headline(metrics: JsonObject) -> tuple[str, float]:
    """The one score that a line has room for: a well-known one, else the first (a program has its own)."""
    for name in (*_HEADLINES, *metrics):
        if isinstance(metrics.get(name), int | float):
            return name, float(metrics[name])
    return "", 0.0


def full_record(folder: Path) -> JsonObject:
    """``run.json`` with the derived status, people's notes, and ``summary.json`` where there is one."""
    record = read_record(folder)
    record["status"] = status(folder, record)
    record["notes"] = {name: value for name, value in read_notes(folder).items() if name != "v"}
    if (folder / layout.SUMMARY).exists():
        record["summary"] = read_json(folder / layout.SUMMARY)
    return record


def details(folder: Path, width: int | None = None) -> list[str]:
    """A run as lines of text: what, how it went, where things lie, its scores in ``width`` columns."""
    record = read_record(folder)
    now = status(folder, record)
    result = record.get("result") or {}
    dataset = record.get("dataset") or {}
    notes = read_notes(folder)
    resume = record.get("resume") if now in ("interrupted", "failed", "lost") else None
    facts = [
        ("Run", record["id"]),
        ("Status", now),
        ("Now", _progress(folder) if now == "running" else None),
        ("Waits for", heartbeat(folder).get("waits_for") if now == "waiting" else None),
        ("Why", result.get("error") or result.get("reason")),
        ("Name", " / ".join(str(record[key]) for key in ("project", "name") if record.get(key))),
        ("Plugin", f"{record.get('plugin') or ''} {record.get('plugin_version') or ''}".strip()),
        ("Dataset", "{name} ({images} images, {path})".format(**dataset) if dataset else None),
        ("Split", _split(record)),
        ("Started", local_time(record.get("created"))),
        ("Ended", local_time(result.get("finished")) if result.get("finished") else None),
        ("Attempts", str(len(record["attempts"])) if len(record["attempts"]) > 1 else None),
        ("Clone of", _origin(record)),
        ("Command", " ".join(record.get("command") or [])),
        ("Commit", _commit(record)),
        ("Tags", " ".join(notes.get("tags") or ())),
        ("Note", notes.get("note")),
        ("Folder", str(folder)),
        *(("Model", str(folder / name)) for name in (result.get("models") or {}).values()),
        ("Previews", next((str(path.parent) for path in folder.glob("previews/*")), None)),
        ("Stored", result.get("stored") or "no"),
        ("Resume with", resume),
    ]
    lines = [f"{name + ':':12s} {value}" for name, value in facts if value]
    metrics = result.get("metrics") or newest_metrics(effective_metrics(folder / layout.EVENTS))
    if (folder / layout.SUMMARY).exists():
        lines += ["", *fold_table(read_json(folder / layout.SUMMARY), width)]
    elif metrics:
        lines += ["", *score_table(metrics)]
    return lines


def _progress(folder: Path) -> str | None:
    """The last line that a progress display would show of a run that is under way."""
    places = sorted((folder / layout.FOLDS).glob("*")) or [folder]
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
    return f"{origin['clone_of']}{f', with {changed}' if changed else ''}" if origin else None


def _commit(record: JsonObject) -> str | None:
    code = (record.get("provenance") or {}).get("code", {})
    for name in ("working folder", "core"):
        state = code.get(name) or {}
        if state.get("commit"):
            return f"{state['commit'][:12]} of the {name}{', with changes' if state.get('diff') else ''}"
    return None


def _split(record: JsonObject) -> str | None:
    if record.get("kfold"):
        return f"{record['kfold']['folds']} folds of {record['kfold']['images']} images"
    split = record.get("split")
    fold = f"fold {record['fold']}: " if record.get("fold") is not None else ""
    return f"{fold}{split['train']} train, {split['val']} val" if split else None
