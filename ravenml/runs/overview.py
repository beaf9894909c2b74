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
from ravenml.runs.views import short

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


def details(folder: Path) -> list[str]:
    """A run as lines of text: what, how it went, its scores, where things lie."""
    record = read_record(folder)
    result = record.get("result") or {}
    dataset, code = record.get("dataset") or {}, (record.get("provenance") or {}).get("code", {})
    core = code.get("working folder") or code.get("core") or {}
    facts = [
        ("Run", record["id"]),
        ("Status", status(folder, record)),
        ("Why", result.get("error") or result.get("reason")),
        ("Plugin", f"{record.get('plugin')} {record.get('plugin_version') or ''}".strip()),
        (
            "Dataset",
            f"{dataset['name']} ({dataset['images']} images, {dataset['path']})" if dataset else None,
        ),
        ("Split", _split(record)),
        ("Begun", _local_time(record.get("created"))),
        ("Ended", _local_time(result.get("finished")) if result.get("finished") else None),
        ("Attempts", str(len(record["attempts"])) if len(record["attempts"]) > 1 else None),
        ("Command", " ".join(record.get("command") or [])),
        (
            "Commit",
            f"{core['commit'][:12]}{' with changes' if core.get('diff') else ''}"
            if core.get("commit")
            else None,
        ),
        ("Folder", str(folder)),
        ("Stored", result.get("stored") or "no"),
        (
            "Resume",
            f"--resume {record['id']}"
            if status(folder, record) in ("interrupted", "failed", "lost")
            else None,
        ),
    ]
    lines = [f"{name + ':':10s} {value}" for name, value in facts if value]
    metrics = result.get("metrics") or newest_metrics(folder / layout.EVENTS)
    if (folder / layout.SUMMARY).exists():
        lines += ["", *_fold_lines(read_json(folder / layout.SUMMARY))]
    elif metrics:
        lines += ["", *(f"{name:32s} {short(value)}" for name, value in metrics.items())]
    return lines


def _fold_lines(summary: dict[str, Any]) -> list[str]:
    out = summary.get("out_of_fold") or {}
    lines = [f"{'metric':32s} {'mean':>8s} {'std':>8s} {'out of fold':>12s}"]
    for name, mean in summary["mean"].items():
        std, score = summary["std"].get(name), out.get(name.removeprefix("val/"))
        lines.append(f"{name:32s} {short(mean):>8s} {short(std):>8s} {short(score):>12s}")
    for one in summary["folds"]:
        if one["status"] != "completed":
            lines.append(f"fold {one['fold']}: {one['status']}: {one.get('error', '')}")
    return lines


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
