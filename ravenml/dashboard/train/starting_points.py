"""Models of this machine that a training can begin with: those of runs, and those in the local store."""

from __future__ import annotations

from dataclasses import dataclass

from ravenml.config.home import runs_dir, store_dir
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.record import read_record

_MOST = 200


@dataclass(frozen=True)
class StartingModel:
    """A ``model-state.tar``: where it lies, what it is called, and what is known of it."""

    path: str
    name: str
    text: str


def find_starting_models() -> list[StartingModel]:
    """The newest first; reads run records, so call it in a thread."""
    found = []
    for run_id in reversed(layout.run_ids()):
        path = runs_dir() / run_id / layout.MODEL_STATE
        if not path.exists():
            continue
        try:
            record = read_record(path.parent)
        except RavenError:
            continue
        dataset = (record.get("dataset") or {}).get("name")
        text = " · ".join(str(part) for part in (record.get("plugin"), dataset) if part)
        found.append(StartingModel(str(path), f"run {run_id}", text))
        if len(found) >= _MOST:
            break
    models = store_dir() / "models"
    files = sorted(models.glob("*.tar"), key=lambda file: -file.stat().st_mtime) if models.is_dir() else []
    return [*found, *(StartingModel(str(file), file.stem, "stored here") for file in files[:_MOST])]
