"""Writing the end of a run that could not write it itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ravenml.common.io import write_json
from ravenml.remote.job import Job
from ravenml.remote.layout import RemoteRun
from ravenml.runs import layout
from ravenml.runs.events import timestamp


def is_sealed(folder: Path) -> bool:
    """Whether the run in this folder has a result."""
    return bool(_read(folder / layout.RUN_JSON).get("result"))


def seal_folder(folder: Path, job: Job, status: str, error: str) -> None:
    """Give an unsealed run in this folder its result."""
    record = _read(folder / layout.RUN_JSON) or job.first_record()
    write_json(folder / layout.RUN_JSON, _with_result(record, status, error))


def seal_mirror(run: RemoteRun, job: Job, status: str, error: str) -> None:
    """Give an unsealed run its result in the mirror; one that has a result keeps it."""
    record = run.read(f"files/{layout.RUN_JSON}") or job.first_record()
    if not record.get("result"):
        run.write(f"files/{layout.RUN_JSON}", _with_result(record, status, error))


def _with_result(record: dict[str, Any], status: str, error: str) -> dict[str, Any]:
    ended = timestamp()
    result = {"status": status, "finished": ended, "error" if status == "failed" else "reason": error}
    attempts = [*record.get("attempts", ())]
    if attempts:
        attempts[-1] = {**attempts[-1], "ended": ended, "status": status}
    return {**record, "attempts": attempts, "result": result}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
