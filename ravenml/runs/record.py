"""``run.json``, ``heartbeat.json`` and ``summary.json``: reading them, and deriving a run's status."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.common.schema import Each, Fields, OneOf, Schema, read_object
from ravenml.common.secrets import redact
from ravenml.errors import RavenError
from ravenml.runs.layout import EVENTS, HEARTBEAT, RUN_JSON, SUMMARY
from ravenml.runs.lock import is_locked

SCHEMA = 1
STALE = 60.0  # seconds without a heartbeat after which a run on a cluster counts as lost
# Statuses of runs that have not ended, or of which nobody who answers knows whether they have.
UNDER_WAY = ("running", "waiting", "unreachable")
SILENCE = 300.0  # seconds without an event after which a run on another machine counts as lost
_ID = re.compile(r"\w[\w.-]{0,127}")
ENDED = ("completed", "failed", "interrupted", "lost")
STATUSES = (*UNDER_WAY, *ENDED, "broken")

_CHECKOUT = dict.fromkeys(("root", "remote", "commit", "branch", "diff", "same_as", "place"), str)
_MACHINE = {"host": str, "system": str, "cpu": str, "cores": int, "memory_bytes": float, "gpus": list}
# What code relies on; everything else in a record is shown at most.
RECORD_FIELDS: dict[str, Schema] = {
    "v": int,
    "id": str,
    "created": str,
    "plugin": str,
    "plugin_version": str,
    "plugin_distribution": str,
    "kind": str,
    "project": str,
    "name": str,
    "best_metric": str,
    "task_type": str,
    "captured": str,
    "tags": [str],
    "command": [str],
    "folder": str,
    "config_file": str,
    "config": Fields(
        {
            "plugin": OneOf((dict, list)),
            "upload_checkpoints": ("all", "best", "none"),
            "artifact_path": str,
        }
    ),
    "parameters": dict,
    "sections": Each(str),
    "labels": dict,
    "requirements": [str],
    "dataset": Fields(
        {
            "name": str,
            "path": str,
            "images": int,
            "sha256": str,
            "resumed_with": Fields({"images": int, "sha256": str}),
        }
    ),
    "split": Fields({"train": int, "val": int, "test": int}),
    "kfold": Fields({"folds": int, "images": int, "choices": dict}),
    "choices": dict,
    "fold": int,
    "parent": str,
    "resume": str,
    "polls": bool,
    "origin": Fields({"clone_of": str, "set": dict}),
    "process": Fields({"host": str, "pid": int}),
    "remote": Fields({"queue": str, "from": str}),
    "attempts": [Fields({"started": str, "ended": str, "status": str})],
    "result": Fields(
        {
            "status": ENDED,
            "finished": str,
            "error": str,
            "reason": str,
            "stack": [str],
            "metrics": dict,
            "models": Each(str),
            "model": str,
            "metadata": dict,
            "stored": str,
        },
        required=("status",),
    ),
    "provenance": Fields(
        {"code": Each(Fields(_CHECKOUT)), "machine": Fields(_MACHINE), "python": str, "packages": Each(str)}
    ),
}
_RECORD = Fields(RECORD_FIELDS, required=("id", "attempts", "process"))
_HEARTBEAT = Fields(
    {
        "state": ("waiting", "running", "ended", "sealed", "lost", "unreachable"),
        "at": float,
        "waits_for": str,
        "host": str,
        "last": str,
        "why": str,
    },
    required=("state",),
)
_SUMMARY = Fields(
    {
        "folds": [Fields({"fold": int, "status": str, "metrics": dict}, required=("fold",))],
        "mean": dict,
        "std": dict,
        "out_of_fold": dict,
        "out_of_fold_images": int,
        "out_of_fold_missing": str,
    },
    required=("folds", "mean", "std"),
)


def read_record(folder: Path) -> JsonObject:
    """The content of ``run.json``; every field that code relies on has its type, or is missing or null.

    Raises:
        RavenError: missing, broken, or written by a newer ravenML.
    """
    path = folder / RUN_JSON
    mend = f"correct it, or remove the run: raven runs rm {folder.name}"
    record = read_object(path, _RECORD, mend)
    if not _ID.fullmatch(record["id"]):
        raise RavenError(f"{path}: `id` is {record['id']!r:.60}, not the ID of a run; {mend}.")
    if (record.get("v") or SCHEMA) > SCHEMA:
        raise RavenError(
            f"{path} was written by a newer ravenML (schema {record['v']}, known here up to {SCHEMA}); "
            "upgrade ravenML to open it."
        )
    return record


def status(folder: Path, record: JsonObject) -> str:
    """``running``, ``completed``, ``failed``, ``interrupted``, ``lost`` (its process is gone, unsealed),
    ``waiting`` (on a cluster, for what it asks for), or ``unreachable`` (its store or cluster does not
    answer, and nobody here knows how it stands).

    Derived, not trusted: a run that says nothing of its end runs only while its lock is held on this
    machine, or, on another machine, while its events are younger than five minutes; on a cluster, while its
    heartbeat is younger than a minute.

    Raises:
        RavenError: its heartbeat is broken.
    """
    result = record.get("result")
    if result:
        return str(result["status"])
    if (folder / HEARTBEAT).exists():
        beat = heartbeat(folder)
        if beat["state"] == "unreachable":
            return "unreachable"
        return str(beat["state"]) if time.time() - (beat.get("at") or 0) < STALE else "lost"
    if record["process"].get("host", "") == socket.gethostname():
        return "running" if is_locked(folder) else "lost"
    try:
        silence = time.time() - (folder / EVENTS).stat().st_mtime
    except OSError:
        return "lost"
    return "running" if silence < SILENCE else "lost"


def read_summary(folder: Path) -> JsonObject | None:
    """A k-fold run's ``summary.json``; None where there is none.

    Raises:
        RavenError: it is broken.
    """
    path = folder / SUMMARY
    return read_object(path, _SUMMARY) if path.exists() else None


def heartbeat(folder: Path) -> JsonObject:
    """What was last heard of a run on a cluster: ``state``, ``at`` (seconds since 1970), ``waits_for``; of
    one that is unreachable also ``last`` (its state when it was heard) and ``why``.

    Raises:
        RavenError: it is broken.
    """
    return read_object(folder / HEARTBEAT, _HEARTBEAT)


def redact_record(fields: Mapping[str, object]) -> JsonObject:
    """What ``run.json`` may hold of these fields.  The names of packages are nobody's secret."""
    found: JsonObject = redact(dict(fields))
    given, packages = fields.get("provenance"), None
    if isinstance(given, Mapping):
        packages = given.get("packages")
    if packages is not None:
        found["provenance"] = {**found["provenance"], "packages": packages}
    return found
