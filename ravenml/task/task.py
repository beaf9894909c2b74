"""``Task``: what a script says of itself, under ClearML's names, so that one changed import ports it."""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ravenml.capture.models import watch_models
from ravenml.common.io import JsonObject
from ravenml.errors import InputError, RavenError
from ravenml.remote import WORKER
from ravenml.runs import layout
from ravenml.runs.process.kept_models import MODELS, KeptModels
from ravenml.task import parameters
from ravenml.task.artifacts import save_artifact
from ravenml.task.backend import RunBackend, find_backend
from ravenml.task.exit_hooks import ExitHooks
from ravenml.task.logger import Logger
from ravenml.task.recorded import ARGUMENTS, find_runs, list_parameters
from ravenml.task.task_view import TaskView
from ravenml.task.tensorboard_writers import flush_writers
from ravenml.task.uploader import Uploader, key_part

if TYPE_CHECKING:
    from ravenml.remote.client.execute_remotely import Container
    from ravenml.task.draft import Draft


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


class Task(TaskView):
    """The run of this script.  ``Task.init`` makes it; there is one per process at a time.

    What is read of it, see :class:`TaskView`, other runs have, too: ``Task.get_task`` finds them.
    """

    TaskTypes = TaskTypes
    _requirements: ClassVar[list[str]] = []

    def __init__(
        self, backend: RunBackend, project: str | None, name: str | None, output_uri: str | None
    ) -> None:
        super().__init__(backend.folder)
        self._name, self._project = name, project
        self._backend = backend
        self._logger = Logger(backend)
        self._container: Container | None = None
        self._kept_models = KeptModels(backend.folder / layout.ARTIFACTS / MODELS)
        self._registered: dict[str, tuple[object, Mapping[str, object] | None]] = {}
        self._labels: Mapping[str, int] | None = None
        self._uploader: Uploader | None = None
        self._output_uri: str | None = None
        self._ended = False
        self._pid = os.getpid()
        self.output_uri = output_uri

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
        current = cls.current_task()
        if current is not None and not current._ended and current._pid == os.getpid():
            return current
        uri = output_uri if isinstance(output_uri, str) else None
        backend = find_backend(project_name, task_name)
        task = cls(backend, project_name, task_name, uri)
        ExitHooks(task._end)
        described = {"task_type": str(task_type), "tags": list(tags or ()), "output_uri": uri}
        described |= {"requirements": cls._requirements}
        backend.describe(**{name: value for name, value in described.items() if value})
        TaskView._current = task
        Logger._current = task._logger
        parameters.listen(task._describe_parameters)
        if hooks := sys.modules.get("_ravenml_capture"):  # of `raven run`, which would report the same
            hooks.leave()
        watch_models(task._keep_model)
        return task

    @classmethod
    def current_task(cls) -> Task | None:
        """The task of this process; None before ``Task.init``."""
        current: Task | None = cls._current
        return current

    # Other runs.

    @classmethod
    def get_task(
        cls,
        task_id: str | None = None,
        project_name: str | None = None,
        task_name: str | None = None,
        tags: Sequence[str] | None = None,
        allow_archived: bool = True,
        task_filter: Mapping[str, Any] | None = None,
    ) -> TaskView | None:
        """A run of this home: by its ID, or the newest that has this project, name and tags.

        Args:
            task_id: any unique prefix of the ID.
            tags: words that it must all have.
            task_filter: of ClearML's conditions, ``status``.

        Returns:
            The run; None where none matches.

        Raises:
            InputError: no run, or more than one, has the ID.
        """
        if task_id:
            from ravenml.task.draft import Draft

            current = cls.current_task()
            if current is not None and current.id == task_id:
                return current
            return Draft.find(task_id) or TaskView(layout.find_run(task_id))
        statuses = (task_filter or {}).get("status") or ()
        wanted = [*(tags or ()), *(["archived"] if allow_archived and "archived" in (tags or ()) else ())]
        found = find_runs(project_name, task_name, wanted, statuses)
        current = cls.current_task()
        others = [folder for folder in found if current is None or folder.name != current.id]
        return TaskView(others[0]) if others else current if found else None

    @classmethod
    def get_tasks(
        cls,
        task_ids: Sequence[str] | None = None,
        project_name: str | None = None,
        task_name: str | None = None,
        tags: Sequence[str] | None = None,
        allow_archived: bool = True,
        task_filter: Mapping[str, Any] | None = None,
    ) -> list[TaskView]:
        """The runs of this home that match, newest first.

        Args:
            task_ids: these alone.
            task_name: a regular expression that is found in the name.
            tags: words that a run must all have; a word after ``-`` it must not have.
            task_filter: of ClearML's conditions, ``status``, and ``_all_`` and ``_any_`` with ``fields`` and
                ``pattern``.
        """
        if task_ids:
            return [TaskView(layout.find_run(one)) for one in task_ids]
        conditions = dict(task_filter or {})
        found = find_runs(project_name, task_name, tags, conditions.get("status") or (), exact=False)
        return [one for one in map(TaskView, found) if one._fits(conditions)]

    @classmethod
    def query_tasks(
        cls,
        project_name: str | None = None,
        task_name: str | None = None,
        tags: Sequence[str] | None = None,
        additional_return_fields: Sequence[str] | None = None,
        task_filter: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """The IDs of the runs that match, newest first; see :meth:`get_tasks`.

        Args:
            additional_return_fields: return mappings of ``id`` and these fields: ``name``, ``project``,
                ``status``, ``script.version_num``, ``script.branch``, ``script.repository``, ``script.diff``.
        """
        found = cls.get_tasks(None, project_name, task_name, tags, task_filter=task_filter)
        if additional_return_fields is None:
            return [one.id for one in found]
        return [{name: one[name] for name in ("id", *additional_return_fields)} for one in found]

    @classmethod
    def clone(
        cls,
        source_task: TaskView | str | None = None,
        name: str | None = None,
        comment: str | None = None,
        parent: str | None = None,
        project: str | None = None,
    ) -> Draft:
        """A run like another, which ``Task.enqueue`` starts; until then, its parameters can be changed.

        Args:
            source_task: the run or its ID; by default, the current one.
        """
        from ravenml.task.draft import Draft

        source = source_task or cls._current
        if source is None:
            raise InputError("Task.clone needs source_task=: there is no current task.")
        return Draft.of_run(source if isinstance(source, str) else source.id, name, project)

    @classmethod
    def create(
        cls,
        project_name: str | None = None,
        task_name: str | None = None,
        task_type: str | None = None,
        repo: str | None = None,
        branch: str | None = None,
        commit: str | None = None,
        script: str | None = None,
        working_directory: str | None = None,
        argparse_args: Sequence[tuple[str, object]] | None = None,
        **_: object,
    ) -> Draft:
        """A run of a script of this machine, which ``Task.enqueue`` starts.

        Args:
            script: its file.
            working_directory: where it runs.
            argparse_args: pairs of names and values, as on the command line.

        Raises:
            InputError: no script is named, or it is one of another repository.
        """
        from ravenml.task.draft import Draft

        return Draft.of_script(script, working_directory, argparse_args or (), task_name, project_name, repo)

    @classmethod
    def enqueue(
        cls, task: Draft | str, queue_name: str | None = None, queue_id: str | None = None, **_: object
    ) -> None:
        """Start a run that ``Task.clone`` or ``Task.create`` has made.

        Args:
            queue_name: a queue of the configuration; a name that is none of them means this machine.

        Raises:
            InputError: there is no such run to be started, or a value of it is a secret.
        """
        from ravenml.task.draft import Draft

        draft = Draft.find(task) if isinstance(task, str) else task
        if not isinstance(draft, Draft):
            raise InputError(f"Task.enqueue: {task} is none that Task.clone or Task.create made here.")
        draft.start(queue_name)

    @classmethod
    def add_requirements(
        cls, package_name: str | os.PathLike[str], package_version: str | None = None
    ) -> None:
        """Record that the script needs a package, or those of a requirements file; before ``Task.init``.

        Args:
            package_version: such as ``2.1`` or ``>=2.1``.
        """
        if Path(package_name).is_file():
            lines = (line.partition("#")[0].strip() for line in Path(package_name).read_text().splitlines())
            cls._requirements.extend(line for line in lines if line)
        else:
            version = package_version or ""
            sign = "" if not version or version[0] in "<>=!~" else "=="
            cls._requirements.append(f"{os.fspath(package_name)}{sign}{version}")
        if cls._current is not None:
            cls._current._backend.describe(requirements=cls._requirements)

    def set_packages(self, packages: Sequence[str] | str | os.PathLike[str]) -> None:
        """Record which packages the script needs: a list, or a requirements file."""
        for one in [packages] if isinstance(packages, str | os.PathLike) else packages:
            self.add_requirements(one)

    # Itself.

    @property
    def name(self) -> str | None:
        """What people call it."""
        return self._name

    @property
    def project(self) -> str | None:
        """What it belongs to."""
        return self._project

    @property
    def logger(self) -> Logger:
        """What numbers, pictures, tables and texts are reported with."""
        return self._logger

    @property
    def output_uri(self) -> str | None:
        """Where artifacts and models go as well; to be set at any time.

        Raises:
            InputError: it is neither ``s3://host:port/bucket/…`` nor a folder.
        """
        return self._output_uri

    @output_uri.setter
    def output_uri(self, uri: str | bool | None) -> None:
        self._output_uri = uri if isinstance(uri, str) and uri else None
        if self._uploader is not None:
            self._uploader.finish()
        self._uploader = self._open_uploader(self._output_uri) if self._output_uri else None
        if self._output_uri:
            self._backend.describe(output_uri=self._output_uri)

    def _open_uploader(self, uri: str) -> Uploader:
        prefix = f"{key_part(self.project or 'programs')}/{key_part(self.name or 'program')}.{self.id}"
        return Uploader(uri, prefix, self._backend.folder, self._record_upload)

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
            ``mutable``; of a dictionary, one with the same content that records what is set in it later.
        """
        from ravenml.task.connected import ConnectedDict
        from ravenml.task.models import InputModel

        if isinstance(mutable, InputModel):
            mutable.connect(self, name)
            return mutable
        mapping = isinstance(mutable, Mapping)
        values = dict(mutable) if mapping else _attributes(mutable)
        changed = {} if ignore_remote_overrides else parameters.find_overridden(values, name)
        for key, value in changed.items():
            if mapping:
                mutable[key] = value
            else:
                setattr(mutable, key, value)
        parameters.record({**values, **changed}, name)
        return ConnectedDict(mutable, name, not ignore_remote_overrides) if type(mutable) is dict else mutable

    def connect_configuration(
        self, configuration: Any, name: str | None = None, description: str | None = None, **_: object
    ) -> Any:
        """Keep a configuration: a mapping is recorded like ``connect``'s, a file is kept as an artifact."""
        if isinstance(configuration, str | os.PathLike):
            self.upload_artifact(name or Path(configuration).stem, Path(configuration))
            return configuration
        return self.connect(configuration, name)

    def get_parameters(self, backwards_compatibility: bool = True, cast: bool = False) -> JsonObject:
        """All parameters by section and name (``Args/lr``, ``General/epochs``), as texts unless ``cast``."""
        return list_parameters(parameters.known, parameters.sections, cast)

    def set_parameters(self, *mappings: Mapping[str, object], **values: object) -> None:
        """Record parameters by section and name (``General/lr``), or by name."""
        for name, value in {**{n: v for one in mappings for n, v in one.items()}, **values}.items():
            self.set_parameter(name, value)

    def set_parameter(self, name: str, value: object, *_: object, **__: object) -> None:
        """Record a parameter by section and name (``General/lr``), or by name."""
        section, _slash, inner = name.rpartition("/") if "/" in name else ("", "", name)
        if section == ARGUMENTS:
            parameters.record({inner: value}, arguments=section)
        else:
            parameters.record({inner: value}, section or None)

    def update_parameters(self, *mappings: Mapping[str, object], **values: object) -> None:
        """Record parameters; see :meth:`set_parameters`."""
        self.set_parameters(*mappings, **values)

    def set_user_properties(self, *properties: Mapping[str, object], **values: object) -> bool:
        """Record what people want to see of the run: names and values."""
        for one in properties:
            values[str(one["name"])] = one.get("value")
        parameters.record(values, "properties")
        return True

    def connect_label_enumeration(
        self, enumeration: Mapping[str, int], ignore_remote_overrides: bool = False
    ) -> Mapping[str, int]:
        """Record the classes that the models of this run know, by name, each with its number."""
        self._labels = dict(enumeration)
        self._backend.describe(labels=dict(enumeration))
        return enumeration

    def set_model_label_enumeration(self, enumeration: Mapping[str, int] | None = None) -> None:
        """See :meth:`connect_label_enumeration`."""
        self.connect_label_enumeration(enumeration or {})

    def get_labels_enumeration(self) -> Mapping[str, int]:
        """The classes that were recorded."""
        return dict(self._labels or {})

    def set_configuration_object(
        self,
        name: str,
        config_text: str | None = None,
        description: str | None = None,
        config_type: str | None = None,
        config_dict: Mapping[str, object] | None = None,
    ) -> None:
        """Keep a configuration among the artifacts: a text, or a mapping."""
        self.upload_artifact(name, config_text if config_text is not None else dict(config_dict or {}))

    def _describe_parameters(self, known: JsonObject, sections: Mapping[str, str]) -> None:
        if not self._ended:
            more: JsonObject = {"sections": dict(sections)} if sections else {}
            more |= {"captured": parameters.captured[0]} if parameters.captured else {}
            self._backend.describe(parameters=known, **more)

    # What it leaves.

    def upload_artifact(
        self,
        name: str,
        artifact_object: object,
        metadata: Mapping[str, object] | None = None,
        delete_after_upload: bool = False,
        serialization_function: Callable[[Any], bytes] | None = None,
        **_: object,
    ) -> bool:
        """Keep an object or file among the run's artifacts, and send it to ``output_uri``.

        Args:
            artifact_object: a path, a pattern of paths (``data/*.jpg``), or any object.
            serialization_function: makes the file's bytes of the object.

        Returns:
            Whether it is kept; a full disk does not end the script.

        Raises:
            InputError: the path does not exist, or the object can be kept in no form.
        """
        file_name, path, kind = _file_name(name), None, ""
        folder = self._backend.folder / layout.ARTIFACTS
        with self._backend.best_effort():
            path, kind = save_artifact(folder, file_name, artifact_object, serialization_function)
        if path is None:
            return False
        file = path.relative_to(self._backend.folder).as_posix()
        fields: JsonObject = {"name": name, "type": kind, "file": file, "sizeb": path.stat().st_size}
        if metadata:
            fields["metadata"] = dict(metadata)
        self._backend.event("ARTIFACT", "artifact", **fields)
        self._send(f"artifacts/{name}/{path.name}", path)
        if delete_after_upload and isinstance(artifact_object, str | os.PathLike):
            Path(artifact_object).unlink(missing_ok=True)
        return True

    def register_artifact(
        self, name: str, artifact: object, metadata: Mapping[str, object] | None = None, **_: object
    ) -> None:
        """Keep an object as it is when the run ends."""
        self._registered[_file_name(name)] = (artifact, metadata)

    def unregister_artifact(self, name: str) -> None:
        """Keep it no more."""
        self._registered.pop(name, None)

    def get_registered_artifacts(self) -> Mapping[str, Any]:
        """The objects that ``register_artifact`` was given, by name."""
        return {name: artifact for name, (artifact, _) in self._registered.items()}

    def add_tags(self, tags: Sequence[str] | str) -> None:
        """Add words by which people find the run."""
        self._backend.describe(tags=[tags] if isinstance(tags, str) else list(tags))

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
        self,
        queue_name: str | None = None,
        clone: bool = False,
        exit_process: bool = True,
        outputs: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        """Send this script to a queue and end here; on the worker nothing happens.

        Args:
            queue_name: a queue of the configuration; ``local`` needs none.
            clone: go on here as well.
            exit_process: end this process, before the imports below are reached.
            outputs: folders, relative to this one, whose new files all come back; of the working folder's
                other new files, 2 GiB do.

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
                outputs=[os.fspath(one) for one in outputs],
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

    def mark_stopped(self, *_: object, status_reason: str | None = None, **__: object) -> None:
        """End the run as interrupted."""
        self._end("interrupted", reason=status_reason or "the script said so")

    def mark_failed(self, *_: object, status_reason: str | None = None, **__: object) -> None:
        """End the run as failed."""
        self._end("failed", error=status_reason or "the script said so")

    def flush(self, wait_for_uploads: bool = False) -> bool:
        """Everything is on disk already."""
        return True

    def _end(self, status: str, **result: object) -> None:
        if self._ended or self._pid != os.getpid():
            return
        for name, (artifact, metadata) in self._registered.items():
            with suppress(RavenError):
                self.upload_artifact(name, artifact, metadata)
        parameters.flush()
        self._ended = True
        flush_writers()
        if self._uploader is not None:
            self._uploader.finish()
        self._backend.end(status, **result)

    def _record_upload(self, name: str, address: str, size: int) -> None:
        self._backend.event("ARTIFACT", "artifact", name=name, uri=address, sizeb=size)

    def _send(self, name: str, path: Path, uri: str | None = None) -> None:
        """Send a file to ``output_uri``, or to another address for this once."""
        if uri is not None:
            uploader = self._open_uploader(uri)
            uploader.send(name, path)
            uploader.finish()
        elif self._uploader is not None:
            self._uploader.send(name, path)

    def _keep_model(self, path: Path) -> None:
        """Keep a model that the script has just saved, a file or a folder, and send it to ``output_uri``."""
        if self._ended or self._pid != os.getpid() or path.is_relative_to(self._backend.folder):
            return
        for name, source in self._keep(path):
            labels = {"metadata": {"labels": self._labels}} if self._labels else {}
            place = f"{layout.ARTIFACTS}/{MODELS}/{name}"
            fields: JsonObject = {"name": name, "file": place, "sizeb": source.stat().st_size, **labels}
            self._backend.event("ARTIFACT", "artifact", kind="model", **fields)
            self._send(f"{MODELS}/{name}", source)

    def _keep(self, path: Path) -> Iterator[tuple[str, Path]]:
        """Keep a model's file, or all files of its folder; each one's name, and where the script wrote it."""
        with self._backend.best_effort():
            yield from self._kept_models.keep(path)


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
