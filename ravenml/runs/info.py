"""Runs as Python reads them: one, or those that a condition selects."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravenml.common.io import JsonObject
from ravenml.config.home import runs_dir
from ravenml.runs import layout
from ravenml.runs.curves import Curve, curves
from ravenml.runs.filters import filter_runs, parse_since, parse_where
from ravenml.runs.index import list_rows
from ravenml.runs.notes import ARCHIVED
from ravenml.runs.record import read_record


@dataclass(frozen=True)
class RunInfo:
    """A run, as of when it was read.

    Attributes:
        id: its ID.
        path: its folder.
        status: running, waiting, completed, failed, interrupted, lost or broken.
        plugin: the plugin that trained it; None for a program that ``raven run`` recorded.
        dataset: the dataset's name.
        name, project: its name, and the project that it belongs to.
        created, finished: UTC, in ISO 8601.
        folds: the number of folds of a k-fold run.
        metrics: the final scores by name (``val/miou``); for a k-fold run, out of fold.
        settings: its settings, flat (``lr``, ``input_size.width``, ``kfold.folds``).
        tags, note: the tags and the note that users gave it.
        stored: where its result was stored.
        error: why it is broken.
    """

    id: str
    path: Path
    status: str
    plugin: str | None
    dataset: str | None
    name: str | None
    project: str | None
    created: str
    finished: str | None
    folds: int | None
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any]
    tags: Sequence[str]
    note: str | None
    stored: str | None
    error: str | None = None

    @property
    def models(self) -> list[Path]:
        """Its trained models, each a ``model-state.tar``; a k-fold run has one per fold."""
        folders = (self.path, *layout.fold_folders(self.path))
        return [path for one in folders if (path := one / layout.MODEL_STATE).is_file()]

    def curves(self) -> dict[str, Curve]:
        """Each metric's curve: ``run.curves()["val/loss"].y``; for a k-fold run, the mean of its folds."""
        return curves(self.path)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"RunInfo({self.id!r}, status={self.status!r}, plugin={self.plugin!r})"


def load_run(run: str | None = None) -> RunInfo:
    """Read one run.

    Args:
        run: any unique prefix of its ID; without it, the newest run.

    Raises:
        InputError: no run, or more than one, has this prefix.
        RavenError: its record cannot be read.
    """
    folder = layout.find_run(run)
    read_record(folder)
    return _info(list_rows([folder.name])[0])


def list_runs(
    where: str | Sequence[str] = (),
    *,
    plugin: str | None = None,
    status: str | Collection[str] = (),
    tags: str | Collection[str] = (),
    since: str | None = None,
    limit: int | None = None,
    archived: bool | None = False,
) -> list[RunInfo]:
    """List the runs that match all conditions, newest first.

    Args:
        where: comparisons of metrics, settings and fields, such as ``val/miou>0.5 and lr<=0.01``;
            ``or`` joins alternatives.
        plugin: only runs of this plugin.
        status: only runs with this status, or with one of these.
        tags: only runs with this tag, or with all of these.
        since: only runs started in the last ``30min``, ``12h``, ``2d`` or ``3w``, or since a date.
        limit: only this many, the newest.
        archived: only runs that are archived, or (default) that are not; None for both.

    Raises:
        InputError: a condition cannot be read, or names something that no run has.
    """
    conditions = [one for text in _several(where) for one in parse_where(text)]
    begun = parse_since(since) if since else None
    rows = filter_runs(
        list_rows(),
        conditions,
        plugin=plugin,
        statuses=_several(status),
        tags=_several(tags),
        since=begun,
        archived=None if ARCHIVED in _several(tags) else archived,
    )
    return [_info(row) for row in rows[:limit]]


def _several(given: str | Collection[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _info(row: JsonObject) -> RunInfo:
    return RunInfo(
        id=row["id"],
        path=runs_dir() / row["id"],
        status=row["status"],
        plugin=row.get("plugin"),
        dataset=row.get("dataset"),
        name=row.get("name"),
        project=row.get("project"),
        created=row.get("created") or "",
        finished=row.get("finished"),
        folds=row.get("folds"),
        metrics=row.get("metrics") or {},
        settings=row.get("settings") or {},
        tags=tuple(row.get("tags") or ()),
        note=row.get("note"),
        stored=row.get("stored"),
        error=row.get("error"),
    )
