"""The task folder: all that a plugin sees of a task, under ``/sly_task_data``.

data/<project name>/     a Supervisely project
model/                   config.json and weights; empty when training from scratch
results/                 what the plugin writes
task_config.json         its settings for this task
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from ravenml.agent.main_input import copy_input, import_config, split_input
from ravenml.agent.plugin_folder import SERVING, PluginFolder
from ravenml.agent.safe_copy import copy_folder
from ravenml.common.io import JsonObject, read_json, to_user_error, write_json
from ravenml.common.parsing import read_yaml
from ravenml.common.permissions import make_folder
from ravenml.data.project import Project
from ravenml.data.registry import resolve_dataset
from ravenml.errors import InputError
from ravenml.infer.model_resolver import find_source
from ravenml.store.model_state import unpack_model

MOUNT = "/sly_task_data"  # where a plugin expects its task folder
TASK_CONFIG = "task_config.json"
DATA, MODEL, RESULTS = "data", "model", "results"


@dataclass(frozen=True)
class TaskFolder:
    """A task folder on this machine.

    Attributes:
        root: the folder.
        projects: the data by name; each is to be seen, read-only, as ``data/<name>``.
        linked: whether ``data/<name>`` are links already, because nothing can be mounted there.
    """

    root: Path
    projects: dict[str, Path] = field(default_factory=dict)
    linked: bool = False

    def mounted(self) -> dict[str, str]:
        """The data that are mounted rather than linked, as a task's record holds them."""
        return {} if self.linked else {name: str(path) for name, path in self.projects.items()}

    @property
    def results(self) -> Path:
        """Where the plugin writes."""
        return self.root / RESULTS


def make_task_folder(
    root: Path,
    plugin: PluginFolder,
    mode: str,
    data: Sequence[str],
    model: str | None,
    config: JsonObject,
    linked: bool,
    force: bool = False,
) -> TaskFolder:
    """Make a task folder.  Projects are never copied: a link, or an empty folder to mount them on.

    Args:
        root: a folder that is empty or does not exist.
        plugin: whose task it is.
        mode: ``train`` and ``inference`` need a project, ``inference`` and ``deploy`` a model; ``main`` takes
            what :func:`split_input` says, and an import a copy.
        data: a project's folder, or the name of a known one.
        model: a ``model-state.tar``, the folder that one was unpacked into, a run or a stored model.
        config: what ``task_config.json`` will hold.
        linked: whether projects become links.
        force: predict even with a model that was stored for transfer learning only.

    Raises:
        InputError: something needed is missing, or is not a project or a model; the folder is not empty; or
            the model is not there to predict.
    """
    if root.exists() and any(root.iterdir()):
        raise InputError(
            f"{root} is not empty; name an empty folder for the task, or one that does not exist."
        )
    if mode in ("train", "inference") and len(data) != 1:
        missing = f"The mode {mode} needs data; name a project with --data."
        raise InputError(f"The mode {mode} takes one project; give --data once." if data else missing)
    if model is None and mode in ("inference", *SERVING):
        raise InputError(f"The mode {mode} needs a model; name a model-state.tar with --model.")
    weights = find_weights(model, mode, force) if model is not None else None
    projects: dict[str, Path] = {}
    given = None
    if mode == "main":
        projects, given = split_input(plugin, data)
    elif mode not in SERVING:
        project = Project.open(resolve_dataset(data[0]))
        projects[project.root.resolve().name] = project.root.resolve()
    try:
        for name in (DATA, MODEL, RESULTS):
            make_folder(root / name)
        for name, path in projects.items():
            if linked:
                (root / DATA / name).symlink_to(path, target_is_directory=True)
            else:
                (root / DATA / name).mkdir()
    except OSError as error:
        raise to_user_error(error, root) from error
    if given is not None:
        copy_input(given, root / DATA)
    if weights is not None:
        bring_model(weights, root / MODEL)
    write_json(root / TASK_CONFIG, config)
    return TaskFolder(root, projects, linked)


def open_task_folder(root: Path) -> TaskFolder:
    """A task folder that was prepared before, taken as it is.

    Raises:
        InputError: it is none.
    """
    if not (root / TASK_CONFIG).is_file():
        raise InputError(f"{root} holds no {TASK_CONFIG}; make a task folder with `raven agent prepare`.")
    for name in (DATA, MODEL, RESULTS):
        (root / name).mkdir(exist_ok=True)
    lost = [link for link in (root / DATA).iterdir() if link.is_symlink() and not link.exists()]
    if lost:
        raise InputError(f"{lost[0]} links to {lost[0].readlink()}, which is gone; make a new task folder.")
    projects = sorted(entry for entry in (root / DATA).iterdir() if (entry / "meta.json").is_file())
    return TaskFolder(root, {entry.name: entry.resolve() for entry in projects}, linked=True)


def set_results_aside(folder: TaskFolder) -> Path | None:
    """Move what an earlier task has left in ``results/`` beside it: a program expects it empty.

    Returns:
        Where to; None where there is nothing.
    """
    if folder.results.is_symlink() or not any(folder.results.iterdir()):
        return None
    numbers = (folder.root / f"{RESULTS}-{number}" for number in count(1))
    aside = next(place for place in numbers if not place.exists())
    folder.results.rename(aside)
    make_folder(folder.results)
    return aside


def find_weights(model: str, mode: str, force: bool = False) -> Path:
    """Where the model of a task lies: a ``model-state.tar``, or a folder.

    Raises:
        RavenError: it is not one model; or the mode predicts, and it was stored for transfer learning only.
    """
    source = find_source(model)
    if mode not in ("train", "main"):
        source.check_transfer(force)
    if len(source.paths) > 1:
        raise InputError(f"{model} has {len(source.paths)} folds; name one of them: {source.paths[0]}.")
    return source.paths[0]


def bring_model(weights: Path, folder: Path) -> None:
    """Unpack a model into a task folder's ``model/``; a folder's files are copied."""
    if weights.is_dir():
        copy_folder(weights, folder)
    else:
        unpack_model(weights, folder)


def read_task_config(
    plugin: PluginFolder, mode: str, file: Path | None, preset: str | None, data: Sequence[str] = ()
) -> JsonObject:
    """What ``task_config.json`` will hold: a file's content (JSON or YAML), or a predefined config; without
    either, the mode's first predefined one, or nothing.

    Args:
        plugin: whose config it is.
        mode: one of its modes.
        file: the file.
        preset: the predefined config's title.
        data: what is imported, whose name a new project gets.

    Raises:
        InputError: both are named, or the one that is named cannot be used.
    """
    if file is not None and preset is not None:
        raise InputError("--config and --preset cannot be combined; give one of them.")
    if file is None:
        config = plugin.preset(mode, preset)
    else:
        config = read_yaml(file) if file.suffix.lower() in (".yaml", ".yml") else read_json(file)
    if not isinstance(config, dict):
        raise InputError(f"{file} must hold an object: the fields of task_config.json.")
    return import_config(plugin, config, data) if mode == "main" else config
