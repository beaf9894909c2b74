"""What is left of a task when its program has ended well: the model or the project, in the run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ravenml.agent.safe_copy import copy_file, copy_folder, remove_links
from ravenml.agent.task import AgentTask
from ravenml.agent.task_folder import RESULTS
from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import JsonObject, to_user_error, write_json
from ravenml.common.permissions import make_folder
from ravenml.common.secrets import redact
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.events import CheckpointEvent, read_events
from ravenml.runs.run import Run
from ravenml.store.model_state import pack_folder
from ravenml.train.finish import TrainResult, read_architecture


def keep_result(run: Run, task: AgentTask) -> TrainResult:
    """Bring the result into the run's folder, and describe it in ``metadata.json``.

    A training's model is its best checkpoint, or the last where none was called best.  Whatever else lies
    in ``results/`` is kept under ``artifacts/``.  Done a second time, it comes to the same.

    Raises:
        RavenError: it cannot be kept.
    """
    kept = list_kept_checkpoints(run)
    results = task.task_dir / RESULTS
    if results.is_symlink():
        raise RavenError(f"{results} has become a link; what it points to was left where it is.")
    for entry in find_leftovers(results, {results / name for name in kept}):
        _bring(entry, run.path / layout.ARTIFACTS / entry.relative_to(results), copy=task.named)
    models: dict[str, str] = {}
    ranked = [name for name, best in kept.items() if best] or list(kept)
    if task.mode == "train" and ranked:
        try:
            pack_folder(run.path / layout.CHECKPOINTS / ranked[-1], run.path / layout.MODEL_STATE)
            models[""] = layout.MODEL_STATE
        except RavenError as error:
            run.text(f"There is no {layout.MODEL_STATE}: {error}", "warning")
    outcome = TrainResult(run.last_metrics(), models)
    _describe(run, outcome)
    return outcome


def find_leftovers(folder: Path, kept: set[Path]) -> Iterator[Path]:
    """What lies in ``folder`` beside the kept folders, which may lie deeper; no links."""
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.is_symlink() or entry in kept:
            continue
        if any(entry in one.parents for one in kept):
            yield from find_leftovers(entry, kept)
        else:
            yield entry


def list_kept_checkpoints(run: Run) -> dict[str, bool]:
    """The checkpoints' folders within ``checkpoints/``, the newest last; each with whether it was called the
    best when it appeared.
    """
    found: dict[str, bool] = {}
    for event in read_events(run.path / layout.EVENTS, "CHECKPOINT"):
        if isinstance(event, CheckpointEvent) and event.kept is not None:
            found.pop(event.kept, None)
            found[event.kept] = event.best_now
    return found


def _bring(source: Path, target: Path, copy: bool) -> None:
    """Move a result, or copy it where the task folder is the user's own; links in it are left out."""
    try:
        if not source.is_dir():
            make_folder(target.parent)
            copy_file(source, target)
            return
        if not any(source.iterdir()):
            return
        make_folder(target.parent)
        if copy or target.exists() or source.stat().st_dev != target.parent.stat().st_dev:
            copy_folder(source, target)
        else:
            source.rename(target)
            remove_links(target)
    except OSError as error:
        raise to_user_error(error, target) from error


def _describe(run: Run, outcome: TrainResult) -> None:
    record = run.record
    names = ("plugin", "plugin_version", "mode", "dataset", "config")
    description: JsonObject = {
        "v": 1,
        "id": run.id,
        "created": record["created"],
        "finished": utc_timestamp(),
        **{name: record.get(name) for name in names},
        "architecture": read_architecture(
            {suffix: run.path / name for suffix, name in outcome.models.items()}, outcome.metadata
        ),
        "metrics": outcome.metrics,
        "code": record.get("provenance", {}).get("code", {}),
    }
    write_json(run.path / layout.METADATA, redact(description))
