"""``Task``: what a script says of itself, under ClearML's names, so that one changed import ports it."""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravenml.capture.models import watch_models
from ravenml.common.io import JsonObject
from ravenml.errors import InputError
from ravenml.remote import WORKER
from ravenml.runs import layout
from ravenml.runs.process.kept_models import MODELS, KeptModels
from ravenml.task import parameters
from ravenml.task.artifacts import save_artifact
from ravenml.task.backend import RunBackend, find_backend
from ravenml.task.exit_hooks import ExitHooks
from ravenml.task.logger import Logger
from ravenml.task.tensorboard_writers import flush_writers
from ravenml.task.uploader import Uploader, key_part

if TYPE_CHECKING:
    from ravenml.remote.client.execute_remotely import Container


class TaskTypes(enum.StrEnum):
    """What a task is for; only a word in its record."""

    training = "training"
    testing = "testing"
    inference = "inference"
    data_processing = "data_processing"
    application = "application"
    monitor = "monitor"
    controller = "controller"
    optimizer = "optimizer"
    service = "service"
    qc = "qc"
    custom = "custom"


class Task:
    """The run of this script.  ``Task.init`` makes it; there is one per process.

    Attributes:
        id: the run's.
        name, project: what people call it, and what it belongs to.
        artifacts: the files that ``upload_artifact`` has written, by name.
    """

    TaskTypes = TaskTypes
    _current: Task | None = None

    def __init__(
        self, backend: RunBackend, project: str | None, name: str | None, output_uri: str | None
    ) -> None:
        self.id = backend.id
        self.name, self.project = name, project
        self.artifacts: dict[str, Path] = {}
        self._backend = backend
        self._logger = Logger(backend)
        self._container: Container | None = None
        self._models = KeptModels(backend.folder / layout.ARTIFACTS / MODELS)
        self._uploader: Uploader | None = None
        self._ended = False
        self._pid = os.getpid()
        if output_uri:
            prefix = f"{key_part(project or 'programs')}/{key_part(name or 'program')}.{self.id}"
            self._uploader = Uploader(output_uri, prefix, backend.folder, self._record_upload)

    @classmethod
    def init(
        cls,
        project_name: str | None = None,
        task_name: str | None = None,
        task_type: str = TaskTypes.training,
        tags: Sequence[str] | None = None,
        reuse_last_task_id: bool | str = True,
        continue_last_task: bool | str | int = False,
        output_uri: str | bool | None = None,
        **_: object,
    ) -> Task:
        """Begin this script's run, or speak to the ``raven run`` that started it.

        Args:
            project_name: what the run belongs to.
            task_name: what it is called.
            task_type: a word for what it is for.
            tags: people's words for it.
            output_uri: where saved models and artifacts go as well: ``s3://host:port/bucket/…``
                or a folder.  They need no credentials in the address; boto3's own chain has them.

        What else ClearML knows here is accepted and has no effect: there always is a new run.

        Raises:
            InputError: ``output_uri`` is neither.
        """
        if cls._current is not None and not cls._current._ended and cls._current._pid == os.getpid():
            return cls._current
        uri = output_uri if isinstance(output_uri, str) else None
        backend = find_backend(project_name, task_name)
        task = cls(backend, project_name, task_name, uri)
        ExitHooks(task._end)
        described = {"task_type": str(task_type), "tags": list(tags or ()), "output_uri": uri}
        backend.describe(**{name: value for name, value in described.items() if value})
        cls._current = task
        Logger._current = task._logger
        parameters.listen(lambda known: None if task._ended else backend.describe(parameters=known))
        if hooks := sys.modules.get("_ravenml_capture"):  # of `raven run`, which would report the same
            hooks.leave()
        watch_models(task._keep_model)
        return task

    @classmethod
    def current_task(cls) -> Task | None:
        """The task of this process; None before ``Task.init``."""
        return cls._current

    @staticmethod
    def running_locally() -> bool:
        """False on a worker to which ``execute_remotely`` has sent the script."""
        return not os.environ.get(WORKER)

    def get_logger(self) -> Logger:
        """What numbers, pictures, tables and texts are reported with."""
        return self._logger

    # Parameters.

    def connect(self, mutable: Any, name: str | None = None, ignore_remote_overrides: bool = False) -> Any:
        """Record parameters, and set those that ``raven runs clone --set`` overrides.

        Args:
            mutable: a mapping, or an object (or class) with attributes; it is changed in place.
            name: a section, which comes before the names (``Optimizer.lr``).

        Returns:
            ``mutable``.
        """
        mapping = isinstance(mutable, Mapping)
        values = dict(mutable) if mapping else _attributes(mutable)
        changed = {} if ignore_remote_overrides else parameters.find_overridden(values, name)
        for key, value in changed.items():
            if mapping:
                mutable[key] = value
            else:
                setattr(mutable, key, value)
        parameters.record({**values, **changed}, name)
        return mutable

    def connect_configuration(
        self, configuration: Any, name: str | None = None, description: str | None = None, **_: object
    ) -> Any:
        """Keep a configuration: a mapping is recorded like ``connect``'s, a file is kept as an artifact."""
        if isinstance(configuration, str | os.PathLike):
            self.upload_artifact(name or Path(configuration).stem, Path(configuration))
            return configuration
        return self.connect(configuration, name)

    def get_parameters(self, backwards_compatibility: bool = True, cast: bool = False) -> JsonObject:
        """All parameters, flat; a section's are ``Section/name``."""
        flat: JsonObject = {}
        for name, value in parameters.known.items():
            inner = value if isinstance(value, dict) else {None: value}
            flat |= {name if key is None else f"{name}/{key}": one for key, one in inner.items()}
        return flat if cast else {name: str(value) for name, value in flat.items()}

    def get_parameter(self, name: str, default: Any = None, cast: bool = False) -> Any:
        """One parameter."""
        return self.get_parameters(cast=cast).get(name, default)

    def set_parameters(self, *mappings: Mapping[str, object], **values: object) -> None:
        """Record parameters."""
        for one in (*mappings, values):
            parameters.record(one)

    def set_parameter(self, name: str, value: object, *_: object, **__: object) -> None:
        """Record a parameter."""
        parameters.record({name: value})

    # What it leaves.

    def upload_artifact(
        self,
        name: str,
        artifact_object: object,
        metadata: Mapping[str, object] | None = None,
        delete_after_upload: bool = False,
        **_: object,
    ) -> bool:
        """Keep an object or file among the run's artifacts, and send it to ``output_uri``.

        Returns:
            Whether it is kept; a full disk does not end the script.

        Raises:
            InputError: the path does not exist, or the object can be kept in no form.
        """
        file_name, path = _file_name(name), None
        with self._backend.best_effort():
            path = save_artifact(self._backend.folder / layout.ARTIFACTS, file_name, artifact_object)
        if path is None:
            return False
        file = path.relative_to(self._backend.folder).as_posix()
        fields: JsonObject = {"name": name, "file": file, "sizeb": path.stat().st_size}
        if metadata:
            fields["metadata"] = dict(metadata)
        self._backend.event("ARTIFACT", "artifact", **fields)
        self.artifacts[name] = path
        if self._uploader is not None:
            self._uploader.send(f"artifacts/{name}/{path.name}", path)
        if delete_after_upload and isinstance(artifact_object, str | os.PathLike):
            Path(artifact_object).unlink(missing_ok=True)
        return True

    def add_tags(self, tags: Sequence[str] | str) -> None:
        """Add words by which people find the run."""
        self._backend.describe(tags=[tags] if isinstance(tags, str) else list(tags))

    def get_output_log_web_page(self) -> str:
        """Where to look: the run's folder."""
        return str(self._backend.folder)

    # Elsewhere.

    def set_base_docker(
        self,
        docker_cmd: str | None = None,
        docker_image: str | None = None,
        docker_arguments: Sequence[str] | str | None = None,
        docker_setup_bash_script: Sequence[str] | str | None = None,
    ) -> None:
        """Say in which container a worker runs the script: ``"IMAGE --env NAME=VALUE …"``.

        Of ``--env`` only the names are recorded.
        """
        from ravenml.remote.client.execute_remotely import parse_container

        self._container = parse_container(
            docker_cmd, docker_image, docker_arguments, docker_setup_bash_script
        )
        if self._container is not None:
            self._backend.describe(container=self._container.record())

    def execute_remotely(
        self, queue_name: str | None = None, clone: bool = False, exit_process: bool = True
    ) -> None:
        """Send this script to a queue and end here; on the worker nothing happens.

        Args:
            queue_name: a queue of the configuration; ``local`` needs none.
            clone: go on here as well.
            exit_process: end this process, before the imports below are reached.

        Raises:
            RavenError: it cannot be sent.
        """
        if not self.running_locally():
            return
        from ravenml.remote.client.execute_remotely import Submission, submit

        self._backend.hold()
        where = submit(
            Submission(
                command=(sys.executable, *_script_arguments()),
                folder=Path.cwd(),
                queue=queue_name or "local",
                project=self.project,
                name=self.name,
                container=self._container,
                overrides=parameters.overrides(),
            )
        )
        print(where, flush=True)
        if exit_process and not clone:
            self._ended = True
            self._backend.discard()
            sys.exit(0)
        self._backend.hold(False)

    # Its end.

    def close(self) -> None:
        """End the run as completed; a script need not call it."""
        self._end("completed")

    def mark_completed(self, *_: object, **__: object) -> None:
        """End the run as completed."""
        self._end("completed")

    def mark_failed(self, *_: object, status_reason: str | None = None, **__: object) -> None:
        """End the run as failed."""
        self._end("failed", error=status_reason or "the script said so")

    def flush(self, wait_for_uploads: bool = False) -> bool:
        """Everything is on disk already."""
        return True

    def _end(self, status: str, **result: object) -> None:
        if self._ended or self._pid != os.getpid():
            return
        self._ended = True
        flush_writers()
        if self._uploader is not None:
            self._uploader.finish()
        self._backend.end(status, **result)

    def _record_upload(self, name: str, address: str, size: int) -> None:
        if not self._ended or isinstance(self._uploader, Uploader):
            self._backend.event("ARTIFACT", "artifact", name=name, uri=address, sizeb=size)

    def _keep_model(self, path: Path) -> None:
        """Keep a model that the script has just saved, a file or a folder, and send it to ``output_uri``."""
        if self._ended or self._pid != os.getpid() or path.is_relative_to(self._backend.folder):
            return
        with self._backend.best_effort():
            for name, source in self._models.keep(path):
                place = f"{layout.ARTIFACTS}/{MODELS}/{name}"
                size = source.stat().st_size
                self._backend.event("ARTIFACT", "artifact", kind="model", name=name, file=place, sizeb=size)
                if self._uploader is not None:
                    self._uploader.send(f"{MODELS}/{name}", source)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"ravenML's Task has no `{name}`; docs/tracking.md lists what it takes over from ClearML's."
        )


def _attributes(source: Any) -> JsonObject:
    """An object's or class's own public attributes that are no functions."""
    found = {**vars(type(source)), **vars(source)} if not isinstance(source, type) else dict(vars(source))
    skipped = (classmethod, staticmethod, property)
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("_") and not callable(value) and not isinstance(value, skipped)
    }


def _file_name(name: str) -> str:
    if not name or name.startswith((".", "/")) or ".." in Path(name).parts:
        raise InputError(f"upload_artifact: {name!r} cannot be an artifact's name.")
    return name


def _script_arguments() -> Sequence[str]:
    """How Python was called, without the interpreter: ``-m package.train`` survives as such."""
    module = getattr(sys.modules.get("__main__"), "__spec__", None)
    if module is not None and module.name:
        return ["-m", module.name.removesuffix(".__main__"), *sys.argv[1:]]
    return sys.argv


parameters.watch()
