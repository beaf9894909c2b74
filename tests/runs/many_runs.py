"""Runs for tests about many of them: real folders, written in a moment and without a training."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_run(
    home: Path,
    name: str,
    *,
    plugin: str = "learner",
    settings: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    status: str | None = "completed",
    more: Mapping[str, Any] | None = None,
) -> Path:
    """A run as its training would have left it; ``status`` None leaves it without a result."""
    folder = home / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    created = f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}:{name[13:15]}.000Z"
    record: dict[str, Any] = {
        **{"v": 1, "id": name, "created": created, "attempts": [{"started": created}], "plugin": plugin},
        "command": ["raven", "train", "--dataset", "meadow", plugin, "train"],
        "config": {"v": 1, "dataset": "meadow", "jobs": 1, "kfold": None, "plugin": dict(settings or {})},
        "dataset": {"name": "meadow", "path": "/nowhere/meadow", "images": 12},
        "process": {"host": socket.gethostname(), "pid": 1},
        "result": {"status": status, "metrics": dict(metrics or {})} if status else None,
        **(more or {}),
    }
    write_new(folder / "run.json", json.dumps(record))
    (folder / "events.jsonl").touch()
    return folder


def write_new(path: Path, text: str) -> None:
    """Replace a file as ravenML does: written beside, and renamed."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    os.replace(beside, path)


def events_of(folder: Path, series: Mapping[str, list[float]], step: int = 10) -> None:
    """Append an event per metric and epoch, counted from 1."""
    lines = []
    for address, values in series.items():
        kind, _, name = address.partition("/")
        for epoch, value in enumerate(values, 1):
            event = {"event_type": "EventType.METRICS", "type": kind, "epoch": epoch, "step": epoch * step}
            lines.append(json.dumps({**event, "metrics": {name: value}, "attempt": 1}))
    with (folder / "events.jsonl").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))
