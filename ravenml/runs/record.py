"""``run.json``: reading it, and deriving a run's status from it."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path

from ravenml.common.io import JsonObject, read_json
from ravenml.common.secrets import redact
from ravenml.errors import RavenError
from ravenml.runs.layout import EVENTS, HEARTBEAT, RUN_JSON
from ravenml.runs.lock import is_locked

SCHEMA = 1
STALE = 60.0  # seconds without a heartbeat after which a run on a cluster counts as lost
UNDER_WAY = ("running", "waiting")  # statuses of runs that have not ended
SILENCE = 300.0  # seconds without an event after which a run on another machine counts as lost


def read_record(folder: Path) -> JsonObject:
    """The content of ``run.json``.

    Raises:
        RavenError: missing, broken, or written by a newer ravenML.
    """
    record = read_json(folder / RUN_JSON)
    shape = {"id": str, "attempts": list, "process": dict}
    if not isinstance(record, dict) or any(not isinstance(record.get(k), t) for k, t in shape.items()):
        raise RavenError(f"{folder / RUN_JSON} is not a record of a run.")
    if int(record.get("v", SCHEMA)) > SCHEMA:
        raise RavenError(
            f"{folder / RUN_JSON} was written by a newer ravenML (schema {record['v']}, known here up to "
            f"{SCHEMA}); upgrade ravenML to open it."
        )
    return record


def status(folder: Path, record: JsonObject) -> str:
    """``running``, ``completed``, ``failed``, ``interrupted``, ``lost`` (its process is gone, unsealed), or
    ``waiting`` (on a cluster, for what it asks for).

    Derived, not trusted: a run that says nothing of its end runs only while its lock is held on this
    machine, or, on another machine, while its events are younger than five minutes; on a cluster, while its
    heartbeat is younger than a minute.
    """
    result = record.get("result")
    if result:
        return str(result["status"])
    if (folder / HEARTBEAT).exists():
        beat = heartbeat(folder)
        return str(beat.get("state")) if time.time() - float(beat.get("at") or 0) < STALE else "lost"
    if record.get("process", {}).get("host", "") == socket.gethostname():
        return "running" if is_locked(folder) else "lost"
    try:
        silence = time.time() - (folder / EVENTS).stat().st_mtime
    except OSError:
        return "lost"
    return "running" if silence < SILENCE else "lost"


def heartbeat(folder: Path) -> JsonObject:
    """What was last heard of a run on a cluster: ``state``, ``at`` (seconds since 1970), ``waits_for``."""
    try:
        beat = read_json(folder / HEARTBEAT)
    except RavenError:
        return {}
    return beat if isinstance(beat, dict) else {}


def redact_record(fields: Mapping[str, object]) -> JsonObject:
    """What ``run.json`` may hold of these fields.  The names of packages are nobody's secret."""
    found: JsonObject = redact(dict(fields))
    given, packages = fields.get("provenance"), None
    if isinstance(given, Mapping):
        packages = given.get("packages")
    if packages is not None:
        found["provenance"] = {**found["provenance"], "packages": packages}
    return found
