"""MLflow: a folder ``mlruns`` (its file store), or its SQLite database; read without MLflow."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ravenml.common.parsing import read_yaml
from ravenml.errors import InputError
from ravenml.runs.importers.base import ImportedRun, Measured, files_below

_STATUS = {"FINISHED": "completed", "FAILED": "failed", "KILLED": "interrupted"}
_NUMBERS = {3: "FINISHED", 4: "FAILED", 5: "KILLED"}  # how the file store writes them
_OWN = "mlflow."  # begins the tags that MLflow sets itself


def read_runs(path: Path) -> Iterator[ImportedRun]:
    """The runs of all experiments; deleted ones are left out."""
    if path.is_file():
        yield from _read_database(path)
        return
    place = path / "mlruns" if (path / "mlruns").is_dir() else path
    for meta in sorted(place.rglob("meta.yaml")):
        folder = meta.parent
        if (folder / "metrics").is_dir() or (folder / "params").is_dir() or (folder / "tags").is_dir():
            described = read_yaml(meta)
            above = folder.parent / "meta.yaml"
            experiment = read_yaml(above).get("name") if above.is_file() else None
            if "run_id" in described and described.get("lifecycle_stage", "active") == "active":
                yield _read_folder(folder, described, experiment)


def _read_folder(folder: Path, meta: dict[str, Any], experiment: object) -> ImportedRun:
    lines = [
        (name, *line.split()[:3])
        for name, path in files_below(folder / "metrics").items()
        for line in path.read_text(errors="replace").splitlines()
    ]
    metrics = [(line[0], line[2], line[3], line[1]) for line in lines if len(line) == 4]
    params = {name: path.read_text(errors="replace") for name, path in files_below(folder / "params").items()}
    tags = {name: path.read_text(errors="replace") for name, path in files_below(folder / "tags").items()}
    status = meta.get("status")
    return _run(
        key=str(meta["run_id"]),
        name=meta.get("run_name") or tags.get("mlflow.runName"),
        experiment=experiment,
        status=_NUMBERS.get(status) if isinstance(status, int) else status,
        begun=meta.get("start_time"),
        finished=meta.get("end_time"),
        params=params,
        tags=tags,
        metrics=metrics,
        artifacts=folder / "artifacts",
    )


def _read_database(path: Path) -> Iterator[ImportedRun]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            experiments = dict(database.execute("SELECT experiment_id, name FROM experiments"))
            rows = database.execute(
                "SELECT run_uuid, name, experiment_id, status, start_time, end_time, artifact_uri FROM runs "
                "WHERE lifecycle_stage = 'active' ORDER BY start_time"
            ).fetchall()
            for run_id, name, experiment, status, begun, finished, uri in rows:
                params = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", [run_id]))
                tags = dict(database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", [run_id]))
                metrics = database.execute(
                    "SELECT key, CASE WHEN is_nan THEN 'nan' ELSE value END, step, timestamp FROM metrics "
                    "WHERE run_uuid = ?",
                    [run_id],
                ).fetchall()
                yield _run(
                    key=str(run_id),
                    name=name or tags.get("mlflow.runName"),
                    experiment=experiments.get(experiment),
                    status=status,
                    begun=begun,
                    finished=finished,
                    params=params,
                    tags=tags,
                    metrics=metrics,
                    artifacts=_local(uri),
                )
    except sqlite3.Error as error:
        raise InputError(f"{path} is not a database of MLflow: {error}.") from None


def _local(uri: object) -> Path | None:
    """The folder that an artifact's address names on this machine."""
    parts = urlsplit(str(uri or ""))
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") and parts.path.startswith("/") else None


def _run(
    *,
    key: str,
    name: object,
    experiment: object,
    status: object,
    begun: object,
    finished: object,
    params: dict[str, str],
    tags: dict[str, str],
    metrics: list[tuple[Any, ...]],
    artifacts: Path | None,
) -> ImportedRun:
    measured = []
    for address, value, step, time in metrics:
        try:
            measured.append(Measured(str(address), float(value), int(step), int(time) / 1000))
        except ValueError:
            continue  # a line that is cut off
    times = [one.seconds for one in measured]
    started = begun / 1000 if isinstance(begun, int | float) else min(times, default=0.0)
    source = tags.get("mlflow.source.name")
    return ImportedRun(
        key=key,
        begun=started,
        finished=finished / 1000 if isinstance(finished, int | float) else max(times, default=started),
        name=str(name) if name else None,
        project=str(experiment) if experiment and experiment != "Default" else None,
        status=_STATUS.get(str(status), "interrupted"),
        parameters=params,
        tags=[f"{tag}={value}" if value else tag for tag, value in tags.items() if not tag.startswith(_OWN)],
        note=tags.get("mlflow.note.content"),
        command=shlex.split(source) if source and "'" not in source and '"' not in source else [],
        commit=tags.get("mlflow.source.git.commit"),
        measured=measured,
        artifacts=files_below(artifacts) if artifacts is not None else {},
    )
