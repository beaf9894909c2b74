"""Writing the end of a run that could not write it itself."""

from __future__ import annotations

from pathlib import Path

from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import JsonObject, write_json
from ravenml.errors import RavenError
from ravenml.remote.job import Job
from ravenml.remote.layout import RemoteRun
from ravenml.runs import layout
from ravenml.runs.record import read_record


def read_result(folder: Path) -> JsonObject:
    """The result of the run in this folder; empty where it has none."""
    return _read_record(folder).get("result") or {}


def is_sealed(folder: Path) -> bool:
    """Whether the run in this folder has a result."""
    return bool(read_result(folder))


def seal_folder(folder: Path, job: Job, status: str, error: str) -> None:
    """Give an unsealed run in this folder its result."""
    record = _read_record(folder) or job.first_record()
    write_json(folder / layout.RUN_JSON, _with_result(record, status, error))


def seal_mirror(run: RemoteRun, job: Job, status: str, error: str, corrects: bool = False) -> None:
    """Give an unsealed run its result in the mirror; one that has a result keeps it.

    Args:
        corrects: whether a run that has failed gets this reason instead of its own.
    """
    record = run.read(f"files/{layout.RUN_JSON}") or job.first_record()
    result = record.get("result") or {}
    if not result or (corrects and result.get("status") == "failed"):
        run.write(f"files/{layout.RUN_JSON}", _with_result(record, status, error))


def _with_result(record: JsonObject, status: str, error: str) -> JsonObject:
    ended = utc_timestamp()
    why = {"error" if status == "failed" else "reason": error}
    result = {**(record.get("result") or {}), "status": status, "finished": ended, **why}
    attempts = [*record.get("attempts", ())]
    if attempts:
        attempts[-1] = {**attempts[-1], "ended": ended, "status": status}
    return {**record, "attempts": attempts, "result": result}


def _read_record(folder: Path) -> JsonObject:
    """The run's record; an empty one where it is missing or broken, since its sender knows it too."""
    try:
        return read_record(folder)
    except RavenError:
        return {}
