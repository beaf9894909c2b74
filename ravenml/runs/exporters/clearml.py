"""ClearML: a task on its server, or an offline session that is imported later."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ravenml.common.io import JsonObject
from ravenml.runs.contents import list_contents
from ravenml.runs.events import ImageEvent, read_event
from ravenml.runs.exporters.base import (
    Exporter,
    picture_path,
    project_of,
    scalars,
    seconds_of,
    series_of,
    source_of,
    step_of,
    tags_of,
    title_of,
)
from ravenml.runs.layout import ARTIFACTS
from ravenml.runs.run_row import flat_settings

_DETECTION = 60.0  # seconds that ClearML may look at its own process's repository


class ClearML(Exporter):
    """``clearml: offline`` of the configuration makes a session in ``<run>/clearml``, a zip in the end, which
    ``clearml.Task.import_offline_session`` brings to a server.

    ClearML knows one task per process, and cannot continue an offline session: each process begins a new
    task, and removes the one before it.
    """

    resumable = False
    alone = True
    _task: Any = None

    def take(self, events: Sequence[JsonObject]) -> None:
        created = seconds_of({"timestamp": self.record.get("created")})
        logger = self._open().get_logger()
        for event in map(read_event, events):
            for address, value, step in scalars(event, created):
                title, _, series = address.partition("/")
                logger.report_scalar(title, series, value, step)
            if isinstance(event, ImageEvent) and (path := picture_path(event, self.folder)) is not None:
                title, _, series = series_of(event).partition("/")
                logger.report_image(title, series or title, step_of(event), local_path=str(path))
            if event.type == "TEXT":
                logger.report_text(event.message, print_console=False)
        if not self._offline():  # a session is whole once it is closed
            self._task.flush(wait_for_uploads=True)

    def start_over(self) -> None:
        self.leave()
        task_id = self.state.pop("task_id", None)
        if self._offline():
            import shutil

            for path in (self.folder / "clearml").glob("*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif task_id is not None:
            from clearml import Task

            Task.get_task(task_id).delete(raise_on_error=False)

    def close(self, status: str, record: JsonObject) -> None:
        task = self._open()
        task.set_parameters({f"General/{name}": value for name, value in flat_settings(record).items()})
        task.set_name(title_of(record))  # a program may say its name later
        self._describe(task, record)
        for one in list_contents(self.folder, record):
            if one.path is not None:
                name = one.name.removeprefix(f"{ARTIFACTS}/")
                task.upload_artifact(name, artifact_object=str(one.path), wait_on_upload=True)
        if status != "completed" and not self._offline():
            task.mark_failed(status_reason=status, force=True)
        self.leave()

    def _describe(self, task: Any, record: JsonObject) -> None:
        """Its tags, and the code that it ran: ClearML has looked at ours, which sends all this."""
        if tags := tags_of(self.folder, record):
            task.add_tags(tags)
        source = source_of(self.folder, record)
        task._wait_for_repo_detection(timeout=_DETECTION)
        task.set_script(
            repository=source.repository,
            branch=source.branch,
            commit=source.commit,
            diff=source.diff,
            working_dir=source.folder,
            entry_point=source.script,
        )
        task.set_packages(source.packages or "")

    def leave(self) -> None:
        if self._task is not None:  # its own handler at the process's exit may wait for ever
            self._task.close()
            self._task = None

    def where(self) -> str:
        if self._offline():
            return str(next((self.folder / "clearml").rglob("*.zip"), self.folder / "clearml"))
        return str(self.state.get("page", ""))

    def _offline(self) -> bool:
        return self.config.clearml == "offline"

    def _open(self) -> Any:
        if self._task is None:
            if self._offline():  # sessions are kept in its cache, whose place it reads when it is imported
                os.environ["CLEARML_CACHE_DIR"] = str(self.folder / "clearml")
            from clearml import Task

            if self._offline():
                Task.set_offline(True)
            # The process that ClearML forks for its reports may wait for ever; we are one of our own already.
            setattr(Task, "_report_subprocess_enabled", False)  # noqa: B010
            self._task = Task.init(
                project_name=project_of(self.record),
                task_name=title_of(self.record),
                reuse_last_task_id=False,
                auto_connect_arg_parser=False,
                auto_connect_frameworks=False,
                auto_resource_monitoring=False,
                auto_connect_streams=False,
            )
            self.state["task_id"] = self._task.id
            if not self._offline():
                self.state["page"] = self._task.get_output_log_web_page()
        return self._task
