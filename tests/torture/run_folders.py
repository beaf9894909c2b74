"""Run folders with any content in any of their files: every command and function that reads a run.

A trial makes a run's folder, mutates what one or more of its files hold, and reads it in some of many ways.
The run may be broken, which is then said with the reason; nothing may end in an internal error, and the good
run beside it must be listed each time.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import ravenml
from ravenml.cli import raven
from ravenml.config.home import runs_dir
from ravenml.errors import RavenError
from ravenml.runs.index import Index
from torture.mutate import mutate_document

TRIALS = 10_000

# An error that nobody foresaw, by its kind; what a run's own files hold cannot look like that here.
INTERNAL = re.compile(r"\b(Attribute|Index|Key|Lookup|Overflow|Recursion|Type|Unicode\w*|Value)Error\b")
GOOD, TRIED = "20260101-000000-aaaaaa", "20260102-000000-bbbbbb"
STARTED = "2026-01-01T00:00:00.000Z"
RECORD: dict[str, Any] = {
    "v": 1, "id": TRIED, "plugin": "net", "plugin_version": "1", "kind": "train", "name": "n", "project": "p",
    "created": STARTED, "attempts": [{"started": STARTED, "ended": STARTED, "status": "failed"}],
    "process": {"host": "elsewhere", "pid": 1}, "folder": "/tmp", "command": ["raven", "train", "net"],
    "dataset": {"name": "meadows", "path": "/data", "images": 3, "sha256": "ab"},
    "split": {"train": 2, "val": 1}, "kfold": {"folds": 2, "images": 3}, "fold": 0, "tags": ["good"],
    "resume": "raven train net --resume x",
    "config": {"jobs": 1, "dataset": "/data", "plugin": {"lr": 0.1, "size": {"width": 8}}},
    "parameters": {"a": {"b": 1}}, "origin": {"clone_of": GOOD, "set": {"lr": "1"}}, "polls": True,
    "provenance": {
        "code": {"core": {"root": "/r", "commit": "0123456789abcdef", "branch": "main", "diff": "p/a"}},
        "machine": {"host": "h", "cpu": "c", "cores": 2, "memory_bytes": 1, "gpus": ["g"]},
        "python": "3", "packages": {"x": "1"},
    },
    "result": {
        "status": "completed", "finished": STARTED, "metrics": {"val/miou": 0.5}, "stored": "s3://b/x",
        "models": {"": "model-state.tar"}, "error": "e", "reason": "r",
    },
}  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {"event_type": "EventType.TASK_STARTED", "message": "started", "timestamp": STARTED, "v": 1, "seq": 1},
    {"event_type": "EventType.METRICS", "type": "val", "epoch": 1, "metrics": {"miou": 0.2}, "step": 3},
    {"event_type": "EventType.RESUMED", "step": 2, "attempt": 2, "epoch": 1, "timestamp": STARTED},
    {"event_type": "EventType.PROGRESS", "subtask": "Epoch", "current": 1, "total": 2, "images": 3},
    {"event_type": "EventType.PROGRESS", "subtask": "Iteration", "current": 1, "total": 2, "images": 3},
    {"event_type": "EventType.CHECKPOINT", "files": ["model_001_best.pth"], "best_now": True, "step": 1},
    {"event_type": "EventType.IMAGE", "name": "a", "file": "previews/a.png", "step": 1, "epoch": 1},
    {"event_type": "EventType.RESOURCES", "resources": {"cpu_percent": 3.0}, "timestamp": STARTED},
    {"event_type": "EventType.ARTIFACT", "file": "artifacts/a", "sizeb": 3},
    {"event_type": "EventType.TEXT", "message": "hello", "level": "info"},
    {"event_type": "EventType.METRICS", "type": "val", "epoch": 2, "metrics": {"miou": 0.4}, "step": 6},
]
FILES: dict[str, Any] = {
    "run.json": RECORD,
    "events.jsonl": EVENTS,
    "notes.json": {"v": 1, "tags": ["seen"], "note": "fine"},
    "heartbeat.json": {"state": "running", "at": 1.0, "waits_for": "a GPU", "begun": True},
    "summary.json": {
        "v": 1, "folds": [{"fold": 0, "status": "completed", "metrics": {"val/miou": 1.0}, "model": "m"}],
        "mean": {"val/miou": 1.0}, "std": {"val/miou": 0.0}, "out_of_fold": {"miou": 1.0},
        "out_of_fold_images": 3, "out_of_fold_source": "scores", "out_of_fold_missing": None,
    },
    "evaluation.json": {
        "v": 1, "classes": ["a", "b"],
        "original_size": {
            "scores": {"miou": 0.5}, "confusion": [[1, 2], [3, 4]],
            "per_class": {"a": {"iou": 0.5, "dice": 0.1}}, "per_image": [{"item": "a", "miou": 0.5}],
        },
    },
    "metadata.json": {"architecture": "Net", "plugin": "net"},
    "control.json": {"request": "stop"},
    "remote.json": {"queue": "q", "store": "folder", "id": TRIED, "state": "ended"},
    "info/folds.json": {"v": 1, "folds": [{"train": ["a"], "val": ["b"]}]},
    "info/train_set.json": [{"dataset": "d", "image": "a"}],
    "checkpoints/train_args.json": {"dataset": "/data", "plugin": {"lr": 0.1}, "kfold": {"folds": 2}},
    "readers/tensorboard.json": {"v": 1, "offset": 3, "furthest": 2, "closed": 1, "state": {}},
}  # fmt: skip
COMMANDS = [
    ["runs", "list"],
    ["runs", "list", "--json"],
    ["runs", "list", "--where", "lr<1", "--since", "2020-01-01"],
    ["runs", "show", TRIED],
    ["runs", "show", TRIED, "--json"],
    ["runs", "tag", TRIED],
    ["runs", "tag", TRIED, "better"],
    ["runs", "note", TRIED],
    ["runs", "note", TRIED, "a note"],
    ["runs", "logs", TRIED],
    ["runs", "logs", TRIED, "-n", "2"],
    ["runs", "compare", TRIED, GOOD],
    ["runs", "compare", TRIED, GOOD, "--json"],
    ["runs", "clone", TRIED, "--dry-run", "--set", "lr=2"],
    ["runs", "stop", TRIED, "--grace", "0"],
    ["runs", "upload", TRIED, "--local", "stored"],
    ["runs", "export", TRIED, "run.tar"],
    ["runs", "sync", TRIED, "--to", "tensorboard"],
    ["runs", "rm", TRIED, "--yes"],
]


@contextmanager
def campaign(folder: Path) -> Iterator[Callable[[random.Random], str]]:
    """A home with one good run; each trial adds one that it mutates."""
    os.chdir(folder)
    write_run(GOOD, {"run.json": RECORD | {"id": GOOD, "kfold": None, "fold": None}})
    yield trial


def trial(rng: random.Random) -> str:
    """Mutate a run, read it in some ways, and say how its list calls it."""
    try:
        write_run(TRIED, damaged_files(rng))
        status = list_status()
        read_in_python()
        for command in rng.sample(COMMANDS, 6):
            call(command)
        return status
    finally:
        shutil.rmtree(runs_dir() / TRIED, ignore_errors=True)
        for left in ("run.tar", "stored"):
            shutil.rmtree(left, ignore_errors=True)
            Path(left).unlink(missing_ok=True)


def damaged_files(rng: random.Random) -> dict[str, Any]:
    """The files of a run, of which one or more are wrong."""
    files = {name: FILES[name] for name in FILES if name == "run.json" or rng.random() < 0.5}
    if rng.random() < 0.5:
        files["run.json"] = {name: value for name, value in RECORD.items() if name != "result"}
    if rng.random() < 0.3:
        files |= {f"folds/{fold}/{name}": files[name] for fold in (0, 1) for name in FILES if name in files}
    damaged = rng.sample(sorted(files), min(len(files), rng.choice((1, 1, 2, 4))))
    return files | {name: damage(rng, files[name]) for name in damaged}


def damage(rng: random.Random, content: Any) -> Any:
    """The content with something wrong in it; now and then a folder (None) in its place."""
    if rng.random() < 0.03:
        return None
    if not isinstance(content, list):
        return mutate_document(rng, content)
    lines = [mutate_document(rng, line) if rng.random() < 0.3 else _encode(line) for line in content]
    return b"\n".join(lines) + rng.choice([b"\n", b""])


def write_run(name: str, files: dict[str, Any]) -> None:
    """A run's folder with these files."""
    for file, content in files.items():
        path = runs_dir() / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(_encode(content))
    (runs_dir() / name / "console.log").write_bytes(b"line\n\x1b]0;title\x07line\r\xffbar 3%\r")


def _encode(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    if isinstance(content, list):
        return b"".join(json.dumps(line).encode() + b"\n" for line in content)
    return json.dumps(content).encode()


def list_status() -> str:
    """The tried run's status; both runs must be listed, the broken one with its reason."""
    if not (runs_dir() / TRIED / "run.json").is_file():
        return "no run"
    index = Index()
    for _ in range(2):
        tried, good = index.rows()
        assert good["id"] == GOOD and good["status"] == "completed", good
        assert tried["id"] == TRIED and (tried["status"] != "broken" or tried["error"]), tried
        assert not INTERNAL.search(tried.get("error") or ""), tried["error"]
    return str(tried["status"])


def read_in_python() -> None:
    """What a script can ask."""
    ravenml.list_runs(status="completed")
    ravenml.list_runs("lr<1", tags="seen")
    try:
        run = ravenml.load_run(TRIED)
        run.curves()
        _ = run.models
    except RavenError:
        pass


def call(command: list[str]) -> None:
    """Run a command in this process; it may fail, with a sentence."""
    done = CliRunner().invoke(raven, command)
    text = f"raven {' '.join(command)}: {done.output[-500:]}"
    if done.exception is not None and not isinstance(done.exception, SystemExit | RavenError):
        raise done.exception
    assert done.exit_code in (0, 1, 2), text
    assert not INTERNAL.search(done.output), text
    assert "Traceback" not in done.output and "internal error" not in done.output.lower(), text
    assert "\x1b" not in done.output, text
