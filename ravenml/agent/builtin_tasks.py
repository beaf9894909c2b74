"""ravenML's own plugins through the contract: what their ``src/train.py`` and its like call.

A plugin trains as it does under ``raven train``; its events are printed, and its checkpoints are laid out as
the contract wants them, while it does.
"""

from __future__ import annotations

import os
import runpy
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ravenml.agent.safe_copy import copy_folder
from ravenml.common.io import JsonObject, read_json, write_json
from ravenml.common.permissions import make_folder
from ravenml.config.home import runs_dir
from ravenml.data.progress import ImageProgress
from ravenml.errors import InputError
from ravenml.runs import layout
from ravenml.runs.events import CheckpointEvent, EventReader, MetricsEvent
from ravenml.runs.record import read_record
from ravenml.sly.fs import dir_empty, get_directory_size
from ravenml.sly.paths import TaskPaths
from ravenml.sly.project import find_single_project
from ravenml.sly.reporting import Progress, logger, report_inference_finished, report_metrics_validation
from ravenml.sly.trainer import TrainCheckpoints
from ravenml.store.model_state import CONFIG, pack_folder, unpack_model

if TYPE_CHECKING:
    from ravenml.serve.loaded_model import ServedModel

Describe = Callable[[JsonObject, list[dict[str, str]]], JsonObject]
_OWN_FIELDS = ("v", "seq", "attempt", "message", "level", "timestamp", "event_type")
_PASSED_ON = ("PROGRESS", "METRICS", "TEXT")


def train_task(plugin: str, describe: Describe | None = None) -> None:
    """Train with a plugin of ours on the task under ``/sly_task_data``; does not return.

    Args:
        plugin: its name, as ``raven train`` knows it.
        describe: makes a checkpoint's ``config.json`` from the effective settings and the classes in index
            order; without it, settings and classes as they are.

    The last checkpoint that is announced is the finished model, as ``raven train`` would store it.
    """
    home = Path(os.environ.setdefault("RAVENML_STORAGE_PATH", str(Path.home() / ".ravenML")))
    settings = read_json(Path(TaskPaths.TASK_CONFIG_PATH))
    if not dir_empty(TaskPaths.MODEL_DIR):
        pack_folder(Path(TaskPaths.MODEL_DIR), home / "start.tar")
        settings["weights"] = str(home / "start.tar")
    config = home / "task.yaml"
    make_folder(config.parent)
    project = find_single_project(TaskPaths.DATA_DIR)
    config.write_text(yaml.safe_dump({"dataset": str(project), "plugin": settings}))
    relay = _Relay(describe)
    relay.start()
    # In this process, which SIGTERM reaches, and through the command line, as `python -m ravenml` does.
    sys.argv[1:] = ["train", "-c", str(config), plugin, "train", "--upload-checkpoints", "none"]
    try:
        runpy.run_module("ravenml", run_name="__main__")
    finally:
        relay.finish()


def infer_task() -> None:
    """Predict with the task's model, on the task's project, by the task's ``model`` and ``mode``; does not
    return.
    """
    from ravenml.infer.inputs import open_inputs
    from ravenml.infer.job import InferenceJob, run_job
    from ravenml.infer.model_resolver import find_source
    from ravenml.infer.output import Output
    from ravenml.infer.predictor import find_maker
    from ravenml.infer.settings import read_request

    project = find_single_project(TaskPaths.DATA_DIR)
    source = find_source(TaskPaths.MODEL_DIR)
    request = read_request(Path(TaskPaths.TASK_CONFIG_PATH), None, {}, find_maker(source.paths[0]))
    output = Output(Path(TaskPaths.RESULTS_DIR) / project.name, [], False)
    done = run_job(InferenceJob(source, open_inputs(str(project)), output, request), _ReportedMeter)
    if done.broken:
        raise InputError(f"{len(done.broken)} images could not be used: {done.broken[0]}")
    report_inference_finished()


def deploy_task() -> None:
    """Serve the task's model as ``raven serve`` does, until SIGTERM; ``mode`` of the task is what requests
    begin with.  Does not return before.
    """
    from ravenml.sly.deploy import serve_task

    def load() -> ServedModel:
        from ravenml.serve.loaded_model import ServedModel

        return ServedModel.load(TaskPaths.MODEL_DIR, config=Path(TaskPaths.TASK_CONFIG_PATH))

    serve_task(load)


class _ReportedMeter(ImageProgress):
    """Reports the images that are done as events."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self._progress = Progress("Model applying: ", total)

    def advance(self) -> None:
        """One more image is done."""
        super().advance()
        self._progress.iter_done_report()


class _Relay(threading.Thread):
    """Prints a run's events while it trains, and lays its checkpoints out."""

    def __init__(self, describe: Describe | None) -> None:
        super().__init__(name="relay", daemon=True)
        self._describe = describe
        self._before = set(layout.run_ids())
        self._over = threading.Event()
        self._reader: EventReader | None = None
        self._checkpoints = TrainCheckpoints(TaskPaths.RESULTS_DIR)
        self._epoch = 0.0

    def run(self) -> None:
        """Read until it is over."""
        while not self._over.wait(0.2):
            self._round()

    def finish(self) -> None:
        """Print the rest, and announce the finished model."""
        self._over.set()
        self.join()
        self._round()
        folder = self._folder()
        if folder is None:
            return
        result = read_record(folder).get("result") or {}
        model = folder / layout.MODEL_STATE
        if result.get("status") == "completed" and model.exists():
            metrics = {
                k.removeprefix("val/"): v for k, v in result["metrics"].items() if k.startswith("val/")
            }
            report_metrics_validation(self._epoch, metrics)
            if (folder / layout.PREVIEWS).is_dir():
                copy_folder(folder / layout.PREVIEWS, Path(TaskPaths.RESULTS_DIR) / layout.PREVIEWS)
            target = Path(self._checkpoints.get_dir_to_write())
            unpack_model(model, target)
            self._checkpoints.saved(True, get_directory_size(str(target)), {"final": True})

    def _folder(self) -> Path | None:
        return next((runs_dir() / name for name in layout.run_ids() if name not in self._before), None)

    def _round(self) -> None:
        folder = self._folder()
        if folder is None:
            return
        if self._reader is None:
            self._reader = EventReader(folder / layout.EVENTS)
        for event in self._reader.read_new():
            if isinstance(event, MetricsEvent):
                self._epoch = max(self._epoch, event.epoch or 0.0)
            if isinstance(event, CheckpointEvent):
                self._checkpoint(folder, event)
            elif event.type in _PASSED_ON:
                fields = {name: value for name, value in event.fields.items() if name not in _OWN_FIELDS}
                logger.info(event.message, extra={**fields, "event_type": f"EventType.{event.type}"})

    def _checkpoint(self, folder: Path, event: CheckpointEvent) -> None:
        """A folder with ``config.json`` and the weights, in which ``settings.weights`` names them."""
        weights = [folder / layout.CHECKPOINTS / name for name in event.files]
        weights = [path for path in weights if not path.name.startswith("state_") and path.exists()]
        if not weights:  # it was replaced by a later one in the meantime
            return
        target = Path(self._checkpoints.get_dir_to_write())
        shutil.copy2(weights[0], target / weights[0].name)
        write_json(target / CONFIG, self._config(folder, weights[0].name))
        optional = {"epoch": event.fields.get("epoch")}
        self._checkpoints.saved(event.best_now, get_directory_size(str(target)), optional)

    def _config(self, folder: Path, weights: str) -> JsonObject:
        settings = read_json(folder / layout.TRAIN_ARGS)["plugin"]
        listed = folder / layout.INFO / "model_classes.json"
        classes = read_json(listed) if listed.exists() else []
        config = self._describe(settings, classes) if self._describe else {"settings": settings}
        known = {
            "out_classes": classes,
            "class_title_to_idx": {one["title"]: index for index, one in enumerate(classes)},
        }
        return {**known, **config, "settings": {**config["settings"], "weights": weights}}
