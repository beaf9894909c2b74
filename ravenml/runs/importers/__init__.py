"""Imports the runs of other tools: ``raven runs import --from SOURCE PATH``; one file per source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ravenml.errors import InputError
from ravenml.runs.importers.base import ImportedRun, write_imported

SOURCES = ("tensorboard", "mlflow", "wandb", "trackio")


def import_from(source: str, path: Path) -> Iterator[tuple[Path, bool]]:
    """Bring every run below ``path`` here.  What is here already, unchanged, is left as it is.

    Args:
        source: one of :data:`SOURCES`.
        path: a folder, or a file, as the source keeps its runs.

    Yields:
        Each run's folder, and whether it is new here or has grown.

    Raises:
        InputError: there is nothing of this source at ``path``, or it is broken.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; name what {source} has written.")
    found = False
    for run in _reader(source)(path):
        found = True
        yield write_imported(source, run)
    if not found:
        raise InputError(f"{path} holds no runs of {source}.")


def _reader(source: str) -> Callable[[Path], Iterator[ImportedRun]]:
    from ravenml.runs.importers import mlflow, tensorboard, trackio, wandb

    known: dict[str, Callable[[Path], Iterator[ImportedRun]]] = {
        "mlflow": mlflow.read_runs,
        "tensorboard": tensorboard.read_runs,
        "trackio": trackio.read_runs,
        "wandb": wandb.read_runs,
    }
    if source not in known:
        raise InputError(f"{source!r} is not a source of runs; there are {', '.join(SOURCES)}.")
    return known[source]
