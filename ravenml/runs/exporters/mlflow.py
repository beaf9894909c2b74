"""MLflow: a run of its own in any tracking server, database or folder."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ravenml.common.io import JsonObject
from ravenml.runs.contents import list_contents
from ravenml.runs.events import ImageEvent, read_event
from ravenml.runs.exporters.base import (
    Exporter,
    Unreached,
    picture_path,
    project_of,
    scalars,
    seconds_of,
    source_of,
    tags_of,
    title_of,
)
from ravenml.runs.layout import RUN_JSON
from ravenml.runs.notes import notes_or_reason
from ravenml.runs.record import read_record
from ravenml.runs.run_row import flat_settings

_UNSAFE = re.compile(r"[^\w\-. /]+")  # MLflow refuses other letters in names
_METRICS, _PARAMETERS = 1000, 100  # as many as MLflow takes at once
_LENGTH = 500
MODELS = "model"  # the folder of a training's models among the artifacts
_STATUS = {"completed": "FINISHED", "interrupted": "KILLED"}


class MLflow(Exporter):
    """``mlflow_tracking_uri`` of the configuration names the place, or else MLflow's own variables do.

    A fold's run is nested in that of its parent.  Going back means a new MLflow run: numbers that are there
    cannot be taken back one by one; the old run is deleted (MLflow keeps deleted ones until its ``gc``).
    """

    _running = False

    def take(self, events: Sequence[JsonObject]) -> None:
        from mlflow.entities import Metric

        created = seconds_of({"timestamp": self.record.get("created")})
        try:
            run_id = self._run()
            self._client().get_run(run_id)
        except Exception as error:  # a server that is away has taken nothing
            raise Unreached from error
        parsed = list(map(read_event, events))
        metrics = [
            Metric(_safe(address), value, int((event.seconds or 0.0) * 1000), step)
            for event in parsed
            for address, value, step in scalars(event, created)
        ]
        for begin in range(0, len(metrics), _METRICS):
            self._client().log_batch(run_id, metrics=metrics[begin : begin + _METRICS])
        for event in parsed:
            if isinstance(event, ImageEvent) and (path := picture_path(event, self.folder)) is not None:
                place = path.parent.relative_to(self.folder.resolve()).as_posix()
                self._client().log_artifact(run_id, str(path), place)

    def start_over(self) -> None:
        for run_id in self._find_runs():
            self._client().delete_run(run_id)
        self.state.pop("run_id", None)

    def _find_runs(self) -> set[str]:
        """The MLflow runs of this run, also one whose maker was killed before it could note it."""
        from mlflow.entities import LifecycleStage

        client, ours = self._client(), set()
        found = client.get_experiment_by_name(project_of(self.record))
        if found is not None:
            told = f"tags.`ravenml.run` = '{self.record['id']}'"
            ours = {one.info.run_id for one in client.search_runs([found.experiment_id], told)}
        if "run_id" in self.state:
            known = client.get_run(self.state["run_id"]).info
            ours |= {known.run_id} if known.lifecycle_stage == LifecycleStage.ACTIVE else set()
        return ours

    def close(self, status: str, record: JsonObject) -> None:
        self._describe(record)
        for one in list_contents(self.folder, record):
            if one.path is not None:
                place = one.path.parent.relative_to(self.folder.resolve()).as_posix()
                place = MODELS if one.kind == "model" and place == "." else place
                self._client().log_artifact(self._run(), str(one.path), place)
        self._client().set_terminated(self._run(), _STATUS.get(status, "FAILED"))

    def where(self) -> str:
        return f"{self._uri()} run {self.state.get('run_id')}"

    def _uri(self) -> str:
        import mlflow

        return str(self.config.mlflow_tracking_uri or mlflow.get_tracking_uri())

    def _client(self) -> Any:
        from mlflow.tracking import MlflowClient

        if not hasattr(self, "_made"):
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # a folder was named on purpose
            self._made = MlflowClient(self._uri())
        return self._made

    def _run(self) -> str:
        """The id of the MLflow run, which is made when it is first needed."""
        if "run_id" not in self.state:
            client, name = self._client(), project_of(self.record)
            found = client.get_experiment_by_name(name)
            experiment = found.experiment_id if found is not None else client.create_experiment(name)
            tags = {"mlflow.runName": title_of(self.record), "ravenml.run": str(self.record["id"])}
            with suppress(Exception):
                tags["mlflow.user"] = getpass.getuser()
            tags |= self._parent(client, experiment)
            began = int(seconds_of({"timestamp": self.record.get("created")}) * 1000)
            self._running = True
            run = client.create_run(experiment, start_time=began, tags=tags)
            self.state["run_id"] = run.info.run_id
            self._describe(self.record)
        elif not self._running:  # the run goes on
            self._client().update_run(self.state["run_id"], status="RUNNING")
            self._running = True
        return str(self.state["run_id"])

    def _parent(self, client: Any, experiment: str) -> dict[str, str]:
        """For a fold: the tag that nests it."""
        above = self.folder.parent.parent
        if self.record.get("parent") is None or not (above / RUN_JSON).exists():
            return {}
        parent = read_record(above)["id"].replace("'", "")  # it goes into a query
        told = f"tags.`ravenml.run` = '{parent}'"
        found = client.search_runs([experiment], told, max_results=1)
        return {"mlflow.parentRunId": found[0].info.run_id} if found else {}

    def _describe(self, record: JsonObject) -> None:
        """Its settings, and the words by which people find it."""
        from mlflow.entities import Param, RunTag

        client, run_id = self._client(), self._run()
        known = set(client.get_run(run_id).data.params)  # MLflow refuses another value for one that is there
        parameters = [
            Param(_safe(name), str(value)[:_LENGTH])
            for name, value in flat_settings(record).items()
            if _safe(name) not in known
        ]
        for begin in range(0, len(parameters), _PARAMETERS):
            client.log_batch(run_id, params=parameters[begin : begin + _PARAMETERS])
        source, words = source_of(self.folder, record), tags_of(self.folder, record)
        facts = {
            "ravenml.command": " ".join(record.get("command") or ()),
            "ravenml.plugin": record.get("plugin"),
            "ravenml.tags": ",".join(words),
            "mlflow.note.content": notes_or_reason(self.folder).get("note"),
            "mlflow.source.name": source.script,
            "mlflow.source.git.commit": source.commit,
            "mlflow.source.git.branch": source.branch,
            "mlflow.source.git.repoURL": source.repository,
            **{_safe(word): "true" for word in words},
        }
        tags = [RunTag(name, str(value)[:_LENGTH]) for name, value in facts.items() if value]
        tags.append(RunTag("mlflow.runName", title_of(record)))  # a program may say its name later
        client.log_batch(run_id, tags=tags)


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name)[:250]
