"""Models that runs have saved or were given, under ClearML's names.

A model is an artifact of a run.  Its ID is the run's ID, a slash, and the artifact's name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ravenml.common.io import JsonObject
from ravenml.config.home import runs_dir
from ravenml.errors import InputError
from ravenml.runs import layout
from ravenml.runs.record import read_record
from ravenml.task.artifacts import Artifact
from ravenml.task.names import ClearMLName
from ravenml.task.recorded import MODEL_KINDS, find_runs, is_model, read_artifacts
from ravenml.task.storage import StorageManager


class Model(ClearMLName):
    """A model that a run saved or registered.

    Args:
        model_id: its ID, or an address or path of weights.

    Raises:
        InputError: there is no such model.
    """

    def __init__(self, model_id: str) -> None:
        self._run, self._artifact = _find(model_id)
        self._about: JsonObject = dict(self._artifact.metadata)

    @classmethod
    def _of(cls, run: str, artifact: Artifact) -> Model:
        model = Model.__new__(Model)
        model._run, model._artifact, model._about = run, artifact, dict(artifact.metadata)
        return model

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    @property
    def id(self) -> str:
        """The run's ID and the artifact's name; of weights that no run registered, their address."""
        return f"{self._run}/{self._artifact.name}" if self._run else self._artifact.url

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self._about.get("name") or self._artifact.name)

    @property
    def task(self) -> str:
        """The ID of the run that saved it."""
        return self._run

    @property
    def original_task(self) -> str:
        """The ID of the run that saved it."""
        return self._run

    @property
    def project(self) -> str | None:
        """The project of that run."""
        return read_record(runs_dir() / self._run).get("project") if self._run else None

    @property
    def url(self) -> str:
        """Where its weights are: in ``output_uri``, where it was registered, or in the run's folder."""
        return self._artifact.url

    @property
    def labels(self) -> Mapping[str, int]:
        """The classes by name, each with its number."""
        return dict(self._about.get("labels") or {})

    @property
    def config_dict(self) -> JsonObject:
        """Its design, as ``update_design`` was given it."""
        return dict(self._about.get("config_dict") or {})

    @property
    def config_text(self) -> str:
        """Its design in words."""
        return str(self._about.get("config_text") or "")

    @property
    def framework(self) -> str | None:
        """The library that it is for."""
        return self._about.get("framework")

    @property
    def comment(self) -> str:
        """What people say of it."""
        return str(self._about.get("comment") or "")

    @property
    def tags(self) -> list[str]:
        """The words by which people find it."""
        return list(self._about.get("tags") or ())

    @property
    def published(self) -> bool:
        """Always False: there is nobody to publish it to."""
        return False

    def get_all_metadata(self) -> JsonObject:
        """What ``set_metadata`` recorded: by key, ``{"key": …, "value": …, "type": …}``."""
        return dict(self._about.get("metadata") or {})

    def get_metadata(self, key: str) -> str | None:
        """A value that ``set_metadata`` recorded."""
        found: str | None = self.get_all_metadata().get(key, {}).get("value")
        return found

    def get_local_copy(
        self, extract_archive: bool | None = None, raise_on_error: bool = False, force_download: bool = False
    ) -> str:
        """The path of its weights on this machine: a file, or the folder of a package.

        Raises:
            InputError, RavenError: they are gone, or cannot be fetched.
        """
        one = self._artifact
        extracts = extract_archive is not False
        if one.path is None:
            return str(StorageManager.get_local_copy(one.url, extract_archive=bool(extract_archive)))
        return one.get_local_copy(extract_archive=extracts)

    def get_weights(
        self, raise_on_error: bool = False, force_download: bool = False, extract_archive: bool = False
    ) -> str:
        """The path of its weights, as one file; see :meth:`get_local_copy`."""
        return self.get_local_copy(extract_archive=extract_archive)

    def get_weights_package(
        self,
        return_path: bool = False,
        raise_on_error: bool = False,
        force_download: bool = False,
        extract_archive: bool = True,
    ) -> str | list[Path]:
        """The files of a package; with ``return_path``, their folder."""
        folder = Path(self.get_local_copy(extract_archive=extract_archive))
        return str(folder) if return_path else sorted(path for path in folder.rglob("*") if path.is_file())

    @classmethod
    def query_models(
        cls,
        project_name: str | None = None,
        model_name: str | None = None,
        tags: Sequence[str] | None = None,
        only_published: bool = False,
        include_archived: bool = False,
        max_results: int | None = None,
        **_: object,
    ) -> list[Model]:
        """The models of all runs that match, newest first.

        Args:
            model_name: a regular expression that is found in its name.
            tags: words that it must all have.
        """
        found = [
            model
            for folder in find_runs(project=project_name)
            for model in reversed(read_models(folder)["output"])
            if (not model_name or re.search(model_name, model.name)) and {*model.tags}.issuperset(tags or ())
        ]
        return found[:max_results]


class InputModel(Model):
    """A model that a script starts from.

    Args:
        model_id: its ID, or an address or path of weights.
        name, project, tags: without an ID, the newest model that matches.
    """

    def __init__(
        self,
        model_id: str | None = None,
        name: str | None = None,
        project: str | None = None,
        tags: Sequence[str] | None = None,
        only_published: bool = False,
    ) -> None:
        if model_id is None:
            pattern = f"^{re.escape(name)}$" if name else None
            found = self.query_models(project, pattern, tags, max_results=1)
            if not found:
                raise InputError(f"There is no model {name or ''!r} in {project or 'any project'}.")
            model_id = found[0].id
        super().__init__(model_id)

    @classmethod
    def import_model(
        cls,
        weights_url: str,
        config_text: str | None = None,
        config_dict: Mapping[str, object] | None = None,
        label_enumeration: Mapping[str, int] | None = None,
        name: str | None = None,
        project: str | None = None,
        tags: Sequence[str] | None = None,
        comment: str | None = None,
        is_package: bool = False,
        create_as_published: bool = False,
        framework: str | None = None,
    ) -> InputModel:
        """A model whose weights lie at an address; ``connect`` records it with a run."""
        model = cls(weights_url)
        model._about |= described(
            name=name, config_text=config_text, config_dict=config_dict, labels=label_enumeration, tags=tags,
            comment=comment, framework=framework,
        )  # fmt: skip
        return model

    def connect(self, task: Any, name: str | None = None, ignore_remote_overrides: bool = False) -> None:
        """Record with a run that it was given this model."""
        task._backend.event(
            "ARTIFACT",
            "artifact",
            kind=MODEL_KINDS[1],
            name=name or self.name,
            uri=self.url,
            metadata=self._about,
        )


def read_models(folder: Path) -> Mapping[str, Sequence[Model]]:
    """The models of a run, oldest first: ``output`` and ``input``."""
    found: dict[str, list[Model]] = {"input": [], "output": []}
    for one in read_artifacts(folder):
        if is_model(one, folder):
            found["output"].append(Model._of(folder.name, one))
        elif one.kind == MODEL_KINDS[1]:
            found["input"].append(Model._of("", one))
    return found


def _find(model_id: str) -> tuple[str, Artifact]:
    """The run and the artifact of a model's ID; weights at an address or path belong to no run."""
    run, _, name = model_id.partition("/")
    folder = runs_dir() / run
    if name and not run.startswith(".") and (folder / layout.RUN_JSON).is_file():
        for one in read_artifacts(folder):
            if one.name == name:
                return run, one
        raise InputError(f"The run {run} has no model {name!r}; `raven runs show {run}` lists what it has.")
    if "://" in model_id or os.path.exists(model_id):
        return "", Artifact(Path(model_id).name, None, url=model_id)
    raise InputError(f"{model_id!r} is no model's ID (RUN/NAME), address or path.")


def described(**fields: object) -> JsonObject:
    """The fields that are given."""
    return {
        name: dict(one) if isinstance(one, Mapping) else one
        for name, one in fields.items()
        if one is not None
    }
