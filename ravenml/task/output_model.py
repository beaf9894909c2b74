"""``OutputModel``: a model that a script registers with its run, under ClearML's names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partialmethod
from pathlib import Path
from typing import Any

from ravenml.common.io import JsonObject
from ravenml.errors import InputError
from ravenml.runs import layout
from ravenml.runs.process.kept_models import MODELS
from ravenml.task.artifacts import ARCHIVES, Artifact, zip_files
from ravenml.task.models import Model, described
from ravenml.task.task import Task
from ravenml.task.uploader import key_part


class OutputModel(Model):
    """A model of this script's run.

    Args:
        task: by default, the current one.
        label_enumeration: the classes by name, each with its number.

    Raises:
        InputError: there is no task.
    """

    def __init__(
        self,
        task: Task | None = None,
        config_text: str | None = None,
        config_dict: Mapping[str, object] | None = None,
        label_enumeration: Mapping[str, int] | None = None,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        comment: str | None = None,
        framework: str | None = None,
        base_model_id: str | None = None,
        model_id: str | None = None,
    ) -> None:
        owner = task or Task.current_task()
        if owner is None:
            raise InputError("OutputModel needs a run: call Task.init first, or give task=.")
        self._owner: Task = owner
        self._run = owner.id
        self._artifact = Artifact(name or owner.name or "model", None)
        self._about = described(
            name=name, config_text=config_text, config_dict=config_dict, tags=tags, comment=comment,
            labels=label_enumeration if label_enumeration is not None else owner._labels, framework=framework,
        )  # fmt: skip

    def connect(self, task: Task, name: str | None = None, **_: object) -> None:
        """Make it a model of another task of this process, under another name."""
        self._owner, self._run = task, task.id
        self._about |= described(name=name)

    def update_weights(
        self,
        weights_filename: str | os.PathLike[str] | None = None,
        upload_uri: str | None = None,
        target_filename: str | None = None,
        auto_delete_file: bool = True,
        register_uri: str | None = None,
        iteration: int | None = None,
        **_: object,
    ) -> str:
        """Keep a file of weights with the run, or record the address at which they are.

        The file stays where it is, whatever ``auto_delete_file`` says.

        Args:
            weights_filename: the file; or
            register_uri: the address.
            upload_uri: where it goes as well, instead of the task's ``output_uri``.

        Returns:
            Where it is.

        Raises:
            InputError: there is no such file, or neither is given.
        """
        if iteration is not None:
            self._about["iteration"] = iteration
        if register_uri:
            self._artifact = Artifact(str(self._about.get("name") or register_uri.rpartition("/")[2]), None)
            self._artifact.url = register_uri
            self._announce()
            return register_uri
        if not weights_filename or not Path(weights_filename).is_file():
            raise InputError(f"update_weights: there is no file {weights_filename or '(none was named)'}.")
        path = Path(weights_filename).absolute()
        for name, _source in self._owner._keep(path):
            self._kept(name, upload_uri, target_filename)
        return self.url

    def update_weights_package(
        self,
        weights_filenames: Sequence[str] | None = None,
        weights_path: str | os.PathLike[str] | None = None,
        upload_uri: str | None = None,
        target_filename: str | None = None,
        auto_delete_file: bool = True,
        iteration: int | None = None,
        **_: object,
    ) -> str:
        """Keep a folder, or several files, as one zip; they stay where they are.

        Raises:
            InputError: there is no such folder or file.
        """
        files = [Path(one) for one in weights_filenames or ()]
        above = (
            Path(weights_path)
            if weights_path is not None
            else Path(os.path.commonpath([*map(str, files)] or ["."]))
        )
        if weights_path is not None:
            files = sorted(p for p in above.rglob("*") if p.is_file()) if above.is_dir() else [above]
        if not files or not all(one.is_file() for one in files):
            raise InputError(f"update_weights_package: there is nothing to keep in {weights_path or files}.")
        if iteration is not None:
            self._about["iteration"] = iteration
        folder = self._owner._folder / layout.ARTIFACTS / MODELS
        name = Path(target_filename or f"{key_part(self.name)}.zip").with_suffix("").name
        zip_files(folder, name, above if above.is_dir() else above.parent, files)
        self._kept(f"{name}.zip", upload_uri, None)
        return self.url

    def update_labels(self, labels: Mapping[str, int]) -> None:
        """Record the classes by name, each with its number."""
        self._describe(labels=dict(labels))

    def update_design(
        self, config_text: str | None = None, config_dict: Mapping[str, object] | None = None
    ) -> bool:
        """Record its design."""
        self._describe(config_text=config_text, config_dict=config_dict)
        return True

    def set_metadata(self, key: str, value: str, v_type: str | None = None) -> bool:
        """Record a value under a key."""
        entry = {"key": key, "value": str(value), "type": v_type or type(value).__name__}
        self._describe(metadata={**self.get_all_metadata(), key: entry})
        return True

    def set_all_metadata(self, metadata: Mapping[str, Mapping[str, str]], replace: bool = True) -> bool:
        """Record many of them at once: by key, ``{"value": …, "type": …}``."""
        self._describe(metadata={**({} if replace else self.get_all_metadata()), **metadata})
        return True

    def set_upload_destination(self, uri: str) -> None:
        """Send the task's models there from now on."""
        self._owner.output_uri = uri

    def publish(self) -> None:
        """There is nobody to publish it to; it is kept with the run."""

    def wait_for_uploads(self, *_: object, **__: object) -> None:
        """The task's end waits for them."""

    @classmethod
    def set_default_upload_uri(cls, output_uri: str | None) -> None:
        """Send the current task's models there from now on."""
        if output_uri and (task := Task.current_task()) is not None:
            task.output_uri = output_uri

    def _report(self, kind: str, *args: Any, **kwargs: Any) -> None:
        getattr(self._owner.get_logger(), kind)(*args, **kwargs)

    report_scalar = partialmethod(_report, "report_scalar")
    report_single_value = partialmethod(_report, "report_single_value")
    report_histogram = partialmethod(_report, "report_histogram")
    report_vector = partialmethod(_report, "report_vector")
    report_table = partialmethod(_report, "report_table")
    report_line_plot = partialmethod(_report, "report_line_plot")
    report_scatter2d = partialmethod(_report, "report_scatter2d")
    report_scatter3d = partialmethod(_report, "report_scatter3d")
    report_confusion_matrix = partialmethod(_report, "report_confusion_matrix")
    report_matrix = partialmethod(_report, "report_matrix")
    report_surface = partialmethod(_report, "report_surface")

    def _kept(self, name: str, upload_uri: str | None, target: str | None) -> None:
        path = self._owner._folder / layout.ARTIFACTS / MODELS / name
        self._artifact = Artifact(name, path, "archive" if path.suffix == ".zip" else "model", str(path))
        self._artifact.size = path.stat().st_size
        self._announce()
        self._owner._send(f"{MODELS}/{target or name}", path, upload_uri)

    def _describe(self, **fields: object) -> None:
        self._about |= described(**fields)
        if self._artifact.url:
            self._announce()

    def _announce(self) -> None:
        one = self._artifact
        folder = self._owner._folder
        where: JsonObject = {"uri": one.url} if one.path is None else {"sizeb": one.size}
        if one.path is not None:
            where["file"] = one.path.relative_to(folder).as_posix()
        kind = "archive" if one.kind in ARCHIVES else "model"
        self._owner._backend.event(
            "ARTIFACT", "artifact", kind="model", type=kind, name=one.name, metadata=self._about, **where
        )
