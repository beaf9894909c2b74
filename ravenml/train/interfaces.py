"""What a training plugin is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ravenml.common.io import JsonObject
from ravenml.compat.local_cache import LocalCache
from ravenml.data.project import Project
from ravenml.data.split import Split
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.run import Run
from ravenml.train.config import TrainConfig

if TYPE_CHECKING:
    from ravenml.train.scores import Scores


class TrainInput:
    """All that a plugin needs for one training.

    The dataset is opened, and the run's folder made, when they are first used: a command that uses
    nothing leaves nothing.

    Attributes:
        plugin: the plugin's name.
        settings: the plugin's published settings, validated; None where it publishes none.
        config: the effective config as plain values (the form of ``raven train -c FILE``).
        plugin_config: its ``plugin`` section.
        metadata: who trained and why; the plugin may add to it.
        plugin_metadata: what the plugin wants to be stored about itself; starts empty.
        fold: the fold that is trained, counted from 0; None without k-fold.
        resume_from: the folder of the run to go on from (``run.path`` again), or None.
        fold_choices: what the folds before this one kept with :meth:`keep_choices`; empty elsewhere.
    """

    def __init__(
        self,
        plugin: str,
        config: TrainConfig,
        settings: BaseModel | None = None,
        fold: int | None = None,
        resume_from: Path | None = None,
        fold_choices: JsonObject | None = None,
        *,
        open_dataset: Callable[[], Project],
        make_split: Callable[[Project], Split],
        begin_run: Callable[[TrainInput], Run],
    ) -> None:
        self.plugin = plugin
        self.settings = settings
        self.config: JsonObject = config.model_dump(mode="json")
        self.plugin_config = self.config["plugin"]
        self.metadata: JsonObject = self.config["metadata"]
        self.plugin_metadata: JsonObject = {}
        self.fold = fold
        self.resume_from = resume_from
        self.fold_choices: JsonObject = fold_choices or {}
        self._open_dataset = open_dataset
        self._make_split = make_split
        self._begin_run = begin_run

    @cached_property
    def dataset(self) -> Project:
        """The dataset.

        Raises:
            InputError: none was named and none is configured, or it is not a readable project.
        """
        project = self._open_dataset()
        self.config["dataset"] = self.config["dataset"] or str(project.root)
        return project

    @cached_property
    def split(self) -> Split:
        """Which images train and which validate; a fold's own with k-fold."""
        return self._make_split(self.dataset)

    @cached_property
    def run(self) -> Run:
        """The run's writer; its folder is made at the first use."""
        return self._begin_run(self)

    def keep_choices(self, **choices: object) -> None:
        """Keep what was measured or chosen on this machine, so that all folds of a k-fold run do the same.

        The folds after this one have it as :attr:`fold_choices`, also where the run is resumed on another
        machine.  Without k-fold, nothing is kept.

        Args:
            **choices: values that JSON has.
        """
        if self.fold is not None:
            self.run.update(choices={**(self.run.record.get("choices") or {}), **choices})

    @property
    def artifact_path(self) -> Path:
        """A folder for what the plugin makes; all in it is stored with the result."""
        path = self.run.path / layout.ARTIFACTS
        path.mkdir(exist_ok=True)
        return path

    @property
    def plugin_cache(self) -> LocalCache:
        """A folder for what the plugin wants to keep between trainings; it may be deleted at any time.

        It is a ``Path``, with the methods that ravenML 1 gave it.
        """
        cache = LocalCache(f"plugins/{self.plugin}")
        cache.ensure_exists()
        return cache

    def local_mode(self) -> bool:
        """Whether the result goes to a folder that the user named, and not to the configured store."""
        return self.config["artifact_path"] is not None


@dataclass
class TrainOutput:
    """What a training has made.  All is optional: a bare one stores what the run's folder holds.

    As in ravenML 1, ``TrainOutput(metadata, artifact_path, model_path, extra_files, local_mode)`` by position
    means the same; a mapping that comes first tells it.

    Attributes:
        model_path: the model's file, by default ``model-state.tar`` in the run's folder.
        extra_files: further files that are stored with it.
        metadata: what is stored about it beside what ravenML knows.  Its ``architecture``, or that of
            ``TrainInput.plugin_metadata``, names a stored model that does not say so itself.
        artifact_path: a folder that is stored with it.
        scores: what is known of each validation image; k-fold's out-of-fold score comes from it.
        local_mode: ignored, since the user's ``--local`` decides it; ravenML 1 had it.
    """

    model_path: Path | None = None
    extra_files: Sequence[Path] = ()
    metadata: JsonObject = field(default_factory=dict)
    artifact_path: Path | None = None
    scores: Scores | None = None
    local_mode: InitVar[bool | None] = None

    def __post_init__(self, local_mode: bool | None) -> None:
        given: Any = (self.model_path, self.extra_files, self.metadata, self.artifact_path)
        if isinstance(self.model_path, Mapping):  # in ravenML 1's order; `scores` is its `local_mode`
            self.metadata, self.artifact_path, self.model_path, self.extra_files = given
            self.scores = None
        self.model_path = Path(self.model_path) if self.model_path else None
        self.artifact_path = Path(self.artifact_path) if self.artifact_path else None
        self.extra_files = [Path(file) for file in self.extra_files or ()]
        self.metadata = dict(self.metadata or {})
        for path in (self.model_path, self.artifact_path, *self.extra_files):
            if path is not None and not path.exists():
                raise RavenError(f"The plugin returned {path}, which does not exist.")
