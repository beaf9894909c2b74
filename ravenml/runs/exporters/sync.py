"""Bringing to a tracker what it has not got: the sidecar's work, once, in the foreground."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ravenml.common.locks import LockHeld
from ravenml.common.secrets import redact_text
from ravenml.config.config import Config
from ravenml.config.home import home
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.exporters.cursor import ExportCursor
from ravenml.runs.exporters.registry import load_exporter
from ravenml.runs.record import read_record, status


def sync_run(folder: Path, names: Sequence[str], config: Config) -> Iterator[str]:
    """Bring all that is there of a run, and of its folds, to every reader; a line for each.

    Raises:
        InputError: there is no such reader.
        RavenError: one of them failed; the others were served.
    """
    makers = {name: load_exporter(name) for name in names}
    folds = [fold for fold in layout.fold_folders(folder) if (fold / layout.RUN_JSON).exists()]
    places = [folder, *folds]
    failed: list[str] = []
    for name, made_by in makers.items():
        for place in places:
            label = name if place == folder else f"{name}, fold {place.name}"
            if place != folder and getattr(made_by, "alone", False):
                failed += _sync_in_process(place, name, label)
                continue
            try:
                cursor = ExportCursor(name, made_by, place, config)
            except LockHeld as held:
                yield f"{label}: process {held.holder} is bringing it."
                continue
            except RavenError as error:
                failed.append(f"{label}: {error}")
                continue
            try:
                yield f"{label}: {_bring(cursor, place)}"
            except Exception as error:
                cursor.fail(error)
                kind = "" if isinstance(error, RavenError) else f"{type(error).__name__}: "
                failed.append(f"{label}: {kind}{error}")
            finally:
                cursor.release()
    if failed:
        raise RavenError("\n".join(["Not everything could be brought.", *failed]))


def _bring(cursor: ExportCursor, place: Path) -> str:
    was_behind = cursor.behind()
    while cursor.bring():
        pass
    state = status(place, read_record(place))
    if state != "running":
        cursor.close(state)
    where = redact_text(cursor.exporter.where())  # MLflow's address may hold a password
    return ("all is there" if was_behind else "all was there") + (f" ({where})" if where else "")


def _sync_in_process(place: Path, name: str, label: str) -> list[str]:
    """A process has room for one of this reader's kind only."""
    code = (
        "import sys; from pathlib import Path; from ravenml.config.config import load_config; "
        "from ravenml.runs.exporters.sync import sync_run; "
        "[print(line) for line in sync_run(Path(sys.argv[1]), [sys.argv[2]], load_config())]"
    )
    environment = {**os.environ, "RAVENML_STORAGE_PATH": str(home())}
    done = subprocess.run([sys.executable, "-P", "-c", code, str(place), name], env=environment)
    return [] if done.returncode == 0 else [f"{label}: its process ended with {done.returncode}"]
