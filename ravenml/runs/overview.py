"""Runs as people and scripts read them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from ravenml.config.home import runs_dir
from ravenml.errors import RavenError
from ravenml.files import read_json
from ravenml.runs import layout
from ravenml.runs.events import newest_metrics
from ravenml.runs.record import read_record, status
from ravenml.runs.tables import fold_table, score_table
from ravenml.runs.views import epoch_line
from ravenml.runs.watch import Watched

_SHOWN = ("val/miou", "val/mdice", "val/pixel_accuracy", "val/loss", "train/loss")


def overview(limit: int | None = None) -> list[dict[str, Any]]:
    """One flat record per run, newest first; a run whose record is broken says so."""
    found: list[dict[str, Any]] = []
    for name in layout.run_ids()[::-1][:limit]:
        folder = runs_dir() / name
        try:
            record = read_record(folder)
        except RavenError as error:
            found.append({"id": name, "status": "broken", "error": str(error)})
            continue
        result = record.get("result") or {}
        found.append(
            {
                "id": name,
                "status": status(folder, record),
                "plugin": record.get("plugin"),
                "dataset": (record.get("dataset") or {}).get("name"),
                "folds": (record.get("kfold") or {}).get("folds"),
                "fold": record.get("fold"),
                "created": record.get("created"),
                "metrics": result.get("metrics") or {},
                "stored": result.get("stored"),
            }
        )
    return found


def rows(found: list[dict[str, Any]]) -> list[list[str]]:
    """The overview as a table of text with a header."""
    table = [["RUN", "STATUS", "PLUGIN", "DATASET", "FOLDS", "BEGUN", "SCORE"]]
    for one in found:
        name, value = headline(one.get("metrics") or {})
        table.append(
            [
                one["id"],
                one["status"],
                one.get("plugin") or "-",
                one.get("dataset") or "-",
                str(one.get("folds") or "-"),
                _local_time(one.get("created")),
                f"{name} {value:.4f}" if name else "-",
            ]
        )
    return table


def headline(metrics: dict[str, Any]) -> tuple[str, float]:
    """The one score that a line has room for."""
    for name in _SHOWN:
        if isinstance(metrics.get(name), int | float):
            return name, float(metrics[name])
    return "", 0.0


def full_record(folder: Path) -> dict[str, Any]:
    """``run.json`` with the derived status, and ``summary.json`` where there is one."""
    record = read_record(folder)
    record["status"] = status(folder, record)
    if (folder / layout.SUMMARY).exists():
        record["summary"] = read_json(folder / layout.SUMMARY)
    return record


def details(folder: Path, width: int | None = None) -> list[str]:
    """A run as lines of text: what, how it went, where things lie, its scores in ``width`` columns."""
    record = read_record(folder)
    now = status(folder, record)
    result = record.get("result") or {}
    dataset = record.get("dataset") or {}
    resume = record.get("resume") if now in ("interrupted", "failed", "lost") else None
    facts = [
        ("Run", record["id"]),
        ("Status", now),
        ("Now", _progress(folder) if now == "running" else None),
        ("Why", result.get("error") or result.get("reason")),
        ("Plugin", f"{record.get('plugin')} {record.get('plugin_version') or ''}".strip()),
        ("Dataset", "{name} ({images} images, {path})".format(**dataset) if dataset else None),
        ("Split", _split(record)),
        ("Begun", _local_time(record.get("created"))),
        ("Ended", _local_time(result.get("finished")) if result.get("finished") else None),
        ("Attempts", str(len(record["attempts"])) if len(record["attempts"]) > 1 else None),
        ("Command", " ".join(record.get("command") or [])),
        ("Commit", _commit(record)),
        ("Folder", str(folder)),
        *(("Model", str(folder / name)) for name in (result.get("models") or {}).values()),
        ("Previews", next((str(path.parent) for path in folder.glob("previews/*")), None)),
        ("Stored", result.get("stored") or "no"),
        ("Go on with", resume),
    ]
    lines = [f"{name + ':':11s} {value}" for name, value in facts if value]
    metrics = result.get("metrics") or newest_metrics(folder / layout.EVENTS)
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
        watched = Watched(f"fold {place.name}" if place != folder else "", place, from_start=True)
        events = list(watched.read())
        if events and not watched.ended:
            lines.append(epoch_line(watched))
    return "; ".join(line for line in lines if line) or None


def _commit(record: dict[str, Any]) -> str | None:
    code = (record.get("provenance") or {}).get("code", {})
    for name in ("working folder", "core"):
        state = code.get(name) or {}
        if state.get("commit"):
            return f"{state['commit'][:12]} of the {name}{', with changes' if state.get('diff') else ''}"
    return None


def _split(record: dict[str, Any]) -> str | None:
    if record.get("kfold"):
        return f"{record['kfold']['folds']} folds of {record['kfold']['images']} images"
    split = record.get("split")
    fold = f"fold {record['fold']}: " if record.get("fold") is not None else ""
    return f"{fold}{split['train']} train, {split['val']} val" if split else None


def _local_time(timestamp: str | None) -> str:
    if not timestamp:
        return "-"
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).astimezone().strftime("%Y-%m-%d %H:%M")
