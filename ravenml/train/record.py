"""What a training's folder says of where it came from, written before anything is trained."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ravenml.common.io import JsonObject, write_json
from ravenml.common.secrets import redact, redact_arguments
from ravenml.config.machine import usable_cores
from ravenml.data.cache import default_cache
from ravenml.data.problems import DataProblem
from ravenml.data.split import write_split
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.notes import change_note
from ravenml.runs.provenance import provenance
from ravenml.runs.record import read_record
from ravenml.runs.run import Run
from ravenml.train.config import PLUGIN_NAME

if TYPE_CHECKING:
    from ravenml.data.project import Project
    from ravenml.train.interfaces import TrainInput
    from ravenml.train.request import Request


def describe_origin(request: Request) -> JsonObject:
    """What ``run.json`` says from its first moment on."""
    fields: JsonObject = {
        "plugin": request.plugin_name,
        "plugin_distribution": request.plugin.distribution if request.plugin else None,
        "plugin_version": request.plugin.version if request.plugin else None,
        "command": ["raven", *redact_arguments(request.arguments, request.secret_options)],
        "folder": os.getcwd(),
        "config": redact(request.config.model_dump(mode="json")),
    }
    if request.config.name is not None:
        is_fold = request.parent is not None
        fields["name"] = f"{request.config.name}, fold {request.fold}" if is_fold else request.config.name
    best_metric = getattr(request.settings, "best_metric", None)
    if isinstance(best_metric, str):
        fields["best_metric"] = best_metric
    if request.config_file is not None:
        fields["config_file"] = request.config_file
    if request.fold is not None:
        fields["fold"] = request.fold
    if request.parent is not None:
        fields["parent"] = request.parent.name
    return fields


def record_inputs(request: Request, run: Run, train: TrainInput) -> None:
    """Write the effective settings, the dataset, the split and the provenance."""
    effective = redact(request.config.model_dump(mode="json"))
    write_json(run.path / layout.TRAIN_ARGS, effective)
    write_json(run.path / layout.INFO / "ui_state.json", {PLUGIN_NAME: request.plugin_name, **effective})
    known: JsonObject = {"config": effective}
    if request.config.dataset is not None:
        known["dataset"] = _describe_dataset(request, run, train.dataset)
        if not request.wants_folds:
            write_split(train.split, run.path / layout.INFO)
            known["split"] = {part: len(its) for part, its in train.split.parts().items() if its}
    if request.parent is None:
        if effective["metadata"]["comments"] and not (run.path / layout.NOTES).exists():
            change_note(run.path, effective["metadata"]["comments"])
        known["provenance"] = provenance(_checkouts(request), run.path / "provenance")
    run.update(**known)


def _describe_dataset(request: Request, run: Run, project: Project) -> JsonObject:
    """The dataset as the run began with it; how it is now is added, and told, where it has changed since."""
    now: JsonObject = {"name": project.name, "path": str(project.root), "images": len(project.items)}
    if request.parent is None and project.items:
        with suppress(DataProblem):  # a file that cannot be read is told when it is needed
            now["sha256"] = default_cache().digest(project, usable_cores())
    begun_with: JsonObject = run.record.get("dataset") or {}
    if request.resumed is None or not begun_with.get("sha256"):
        return now
    changed = {name: now.get(name) for name in ("images", "sha256")}
    kept = now | {name: begun_with.get(name) for name in changed}
    if begun_with.get("resumed_with"):  # an earlier resume's stays where the dataset is as it was
        kept["resumed_with"] = begun_with["resumed_with"]
    if changed["sha256"] in (None, begun_with["sha256"]):
        return kept
    what = "folds" if request.wants_folds else "split"
    request.notice(
        f"the dataset has changed since this run began ({begun_with.get('images')} images then, "
        f"{changed['images']} now); the run keeps its {what}, without images that are new."
    )
    return {**kept, "resumed_with": changed}


def keep_fold_choices(run: Run) -> None:
    """Note in a k-fold run's record what its first fold kept, for the folds that come after it."""
    for fold in range(run.record["kfold"]["folds"]):
        if run.record["kfold"].get("choices"):
            return
        with suppress(RavenError):  # it has not begun, or is broken
            choices = read_record(run.path / layout.FOLDS / str(fold)).get("choices")
            run.update(kfold={**run.record["kfold"], "choices": choices}) if choices else None


def read_fold_choices(parent: Path) -> JsonObject:
    """What :func:`keep_fold_choices` noted of a k-fold run, whose folder is given."""
    with suppress(RavenError):
        return dict((read_record(parent).get("kfold") or {}).get("choices") or {})
    return {}


def _checkouts(request: Request) -> dict[str, Path]:
    places = {"core": Path(__file__).parent, "working folder": Path.cwd()}
    package = request.plugin.entry_point.module.partition(".")[0] if request.plugin else ""
    file = getattr(sys.modules.get(package), "__file__", None)
    return places | ({"plugin": Path(file).parent} if file else {})
