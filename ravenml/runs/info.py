"""Runs as Python reads them: one, or those that a condition selects."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravenml.config.home import runs_dir
from ravenml.runs import layout
from ravenml.runs.curves import Curve, curves
from ravenml.runs.filters import filter_runs, parse_since, parse_where
from ravenml.runs.index import list_rows
from ravenml.runs.record import read_record


@dataclass(frozen=True)
class RunInfo:
    """A run as it was when it was read.

    Attributes:
        id: its name.
        path: its folder.
        status: running, waiting, completed, failed, interrupted, lost or broken.
        plugin: what trained; None for a program that ``raven run`` recorded.
        dataset: the dataset's name.
        name, project: what people call it, and what it belongs to.
        created, finished: UTC, in ISO 8601.
        folds: how many, of a k-fold run.
        metrics: the final scores by address (``val/miou``); a k-fold run's are out of fold.
        settings: what it was told to do, flat (``lr``, ``input_size.width``, ``kfold.folds``).
        tags, note: what people said about it.
        stored: where its result was stored.
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

    @property
    def models(self) -> list[Path]:
        """Its trained models, each a ``model-state.tar``; a k-fold run has one per fold."""
        folds = sorted((self.path / layout.FOLDS).glob("[0-9]*"), key=lambda fold: int(fold.name))
        return [path for one in (self.path, *folds) if (path := one / layout.MODEL_STATE).is_file()]

    def curves(self) -> dict[str, Curve]:
        """How each metric went: ``run.curves()["val/loss"].y``; a k-fold run's are the means of its folds."""
        return curves(self.path)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"RunInfo({self.id!r}, status={self.status!r}, plugin={self.plugin!r})"


def load_run(run: str | None = None) -> RunInfo:
    """Read one run.

    Args:
        run: any unique beginning of its id; without it, the newest.

    Raises:
        InputError: no run, or more than one, begins like that.
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
) -> list[RunInfo]:
    """The runs of which all of this is true, newest first.

    Args:
        where: comparisons of metrics, settings and fields, such as ``val/miou>0.5 and lr<=0.01``.
        plugin: only this plugin's.
        status: only those with this status, or one of these.
        tags: only those with this tag, or with all of these.
        since: only those begun since ``30min``, ``12h``, ``2d`` or ``3w`` ago, or since a date.
        limit: only the newest of them.

    Raises:
        InputError: a condition cannot be read, or names something that no run has.
    """
    conditions = [one for text in _several(where) for one in parse_where(text)]
    begun = parse_since(since) if since else None
    rows = filter_runs(
        list_rows(), conditions, plugin=plugin, statuses=_several(status), tags=_several(tags), since=begun
    )
    return [_info(row) for row in rows[:limit]]


def _several(given: str | Collection[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _info(row: Mapping[str, Any]) -> RunInfo:
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
    )
