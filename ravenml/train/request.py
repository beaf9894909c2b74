"""From a command line to what is to be trained: options, file, environment and defaults put together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from ravenml.config.config import load_config, validated
from ravenml.data.folds import make_folds
from ravenml.data.known import known_datasets, resolve_dataset
from ravenml.data.project import Project
from ravenml.data.split import Split, default_split, read_split
from ravenml.errors import InputError
from ravenml.files import read_json
from ravenml.plugin.discovery import SETTINGS, Plugin, find_plugin
from ravenml.runs import layout
from ravenml.runs.launcher import FOLD, PARENT
from ravenml.runs.record import read_record, status
from ravenml.train.config import KFold, TrainConfig, read_train_config
from ravenml.train.options import given_options
from ravenml.train.settings import META as SETTINGS_META
from ravenml.train.settings import given_settings, merged, preset

ARGV = "ravenml.argv"


@dataclass
class Request:
    """What a command line asks for, fully worked out but with nothing opened or made yet.

    Attributes:
        plugin: the plugin, as its entry point declares it; None for a command outside of one.
        command: the command's path, as a user would type it again.
        arguments: all that was typed behind ``raven``.
        parent: the folder of the k-fold run that this training is a fold of.
        resumed: the folder of the run to go on with.
    """

    plugin: Plugin | None
    command: str
    arguments: list[str]
    config: TrainConfig
    settings: BaseModel | None
    fold: int | None = None
    in_process: bool = False
    parent: Path | None = None
    resumed: Path | None = None
    notices: list[str] = field(default_factory=list)

    @property
    def plugin_name(self) -> str:
        return self.plugin.name if self.plugin is not None else self.command.split()[-1]

    @property
    def fold_folder(self) -> Path | None:
        """Where a fold writes its run; None for a training that is no fold of a k-fold run."""
        return self.parent / layout.FOLDS / str(self.fold) if self.parent is not None else None

    @property
    def wants_folds(self) -> bool:
        """Whether this is the parent of a k-fold run."""
        return self.config.kfold is not None and self.fold is None

    def open_dataset(self) -> Project:
        """Open the dataset that was named, is configured, or is now chosen."""
        if self.config.dataset is None:
            self.config.dataset = _choose_dataset()
        return Project.open(resolve_dataset(self.config.dataset))

    def make_folds(self, project: Project) -> list[Split]:
        """The k-fold plan; a fold takes its parent's."""
        kfold = self.config.kfold or KFold.model_validate({})
        recorded = (self.parent or self.resumed or Path()) / layout.INFO / "folds.json"
        if (self.parent or self.resumed) and recorded.exists():
            items = {item.key: item for item in project.items}
            try:
                return [
                    Split([items[key] for key in one["train"]], [items[key] for key in one["val"]])
                    for one in read_json(recorded)["folds"]
                ]
            except KeyError as error:
                raise InputError(
                    f"{recorded} names the image {error}, which {project.root} has no longer; "
                    "start a new run."
                ) from None
        return make_folds(project, kfold.folds, kfold.by, kfold.seed, kfold.tag, notice=self.notice)

    def make_split(self, project: Project) -> Split:
        """The images that train and validate."""
        if self.fold is not None:
            folds = self.make_folds(project)
            if not 0 <= self.fold < len(folds):
                raise InputError(
                    f"--fold {self.fold}: the {len(folds)} folds are counted from 0 to {len(folds) - 1}."
                )
            return folds[self.fold]
        files = self.config.split
        if files is None and self.resumed is not None:
            info = self.resumed / layout.INFO
            if (info / "train_set.json").exists():
                return read_split(project, info / "train_set.json", info / "val_set.json")
        if files is not None:
            return read_split(project, files.train, files.val)
        return default_split(project, seed=self.config.split_seed, notice=self.notice)

    def notice(self, text: str) -> None:
        """Tell the user something that is no error; a fold stays quiet, its parent has said it."""
        if self.parent is None:
            click.echo(f"Note: {text}", err=True)


def make_request(context: click.Context) -> Request:
    """Work out what the command line in ``context`` asks for.

    Precedence: command line (the deeper level first), environment, file, preset, default.  A resumed
    run's own config stands below the file.

    Raises:
        InputError: an unknown or unusable setting, a run that cannot be resumed, a folder that may not be
            written to; each names the option or the file and field.
    """
    options = given_options(context)
    plugin: Plugin | None = context.meta.get("ravenml.plugin")
    parent = Path(os.environ[PARENT]) if os.environ.get(PARENT) else None
    resumed = _resumed(options.get("resume"), plugin) if parent is None else None
    base: dict[str, Any] = {}
    if resumed is not None or parent is not None:
        base = read_json((parent or resumed or Path()) / layout.TRAIN_ARGS)
    file = context.meta.get("ravenml.config")
    layers = [base, read_train_config(Path(file)) if file else {}, _from_options(options)]
    values = merged(*layers)
    settings_model = _settings_model(context, plugin)
    settings = None
    if settings_model is not None and plugin is not None:
        title = values.get("preset") if not base or "preset" in options else None
        chosen = preset(settings_model, title, plugin.name) if title else {}
        below = merged(layers[0].get("plugin", {}), layers[1].get("plugin", {}))
        below = merged(below, chosen) if "preset" in options else merged(chosen, below)
        spelled = {path: option for path, (option, _) in context.meta.get(SETTINGS_META, {}).items()}
        where = f"{file}: plugin" if file else f"the settings of {plugin.name}"
        settings = validated(settings_model, merged(below, given_settings(context)), where, spelled)
        values["plugin"] = settings.model_dump(mode="json")
    elif values.get("preset"):
        raise InputError("--preset: this plugin publishes no settings, and so has no presets.")
    if values.get("dataset") is None:
        values["dataset"] = load_config().dataset
    config = validated(TrainConfig, values, "the command line", _SPELLED)
    fold = os.environ.get(FOLD) if parent is not None else options.get("fold")
    if fold is not None and config.kfold is None:
        config.kfold = KFold.model_validate({})
    if resumed is not None and fold is None:
        fold = read_record(resumed).get("fold")
    return Request(
        plugin=plugin,
        command=context.command_path,
        arguments=list(context.meta.get(ARGV, sys.argv[1:])),
        config=config,
        settings=settings,
        fold=int(fold) if fold is not None else None,
        in_process=bool(options.get("in_process")),
        parent=parent,
        resumed=resumed,
    )


_SPELLED = {
    ("dataset",): "--dataset",
    ("artifact_path",): "--local",
    ("jobs",): "--jobs",
    ("split_seed",): "--fold-seed",
    ("kfold", "folds"): "--folds",
    ("kfold", "by"): "--fold-by",
    ("kfold", "seed"): "--fold-seed",
    ("kfold", "tag"): "--fold-from",
}


def _from_options(options: dict[str, Any]) -> dict[str, Any]:
    """The core's options in the form of the config file."""
    values: dict[str, Any] = {}
    for option, name in (
        ("dataset", "dataset"),
        ("preset", "preset"),
        ("jobs", "jobs"),
        ("fold_seed", "split_seed"),
    ):
        if option in options:
            values[name] = options[option]
    if "local" in options:
        values["artifact_path"] = str(Path(options["local"]).expanduser().absolute())
    kfold = {
        name: options[option]
        for option, name in (
            ("folds", "folds"),
            ("fold_by", "by"),
            ("fold_from", "tag"),
            ("fold_seed", "seed"),
        )
        if option in options
    }
    wants = {"kfold", "folds", "fold_by", "fold_from", "fold"} & options.keys()
    if wants:
        values["kfold"] = kfold
    return values


def _settings_model(context: click.Context, plugin: Plugin | None) -> type[BaseModel] | None:
    model = context.meta.get("ravenml.settings_model")
    if model is None and plugin is not None:
        published = find_plugin(plugin.name, SETTINGS)
        model = published.load() if published is not None else None
    return model


def _resumed(prefix: str | None, plugin: Plugin | None) -> Path | None:
    if prefix is None:
        return None
    folder = layout.find_run(prefix)
    record = read_record(folder)
    if plugin is not None and record.get("plugin") != plugin.name:
        raise InputError(
            f"--resume: {folder.name} is a run of {record.get('plugin')!r}, not of {plugin.name!r}."
        )
    if status(folder, record) == "running":
        raise InputError(f"--resume: {folder.name} is still running; stop it first.")
    if not (folder / layout.TRAIN_ARGS).exists():
        raise InputError(f"--resume: {folder.name} has no {layout.TRAIN_ARGS}; start a new run.")
    return folder


def _choose_dataset(ask: Callable[..., Any] = click.prompt) -> str:
    """Let a person at a terminal choose among the known datasets.

    Raises:
        InputError: nobody is there to choose, or nothing is known; the sentence says how to name one.
    """
    known = known_datasets()
    hint = "name one with `--dataset DIR`, or set a default with `raven config update --dataset NAME`"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        listed = f" (known here: {', '.join(known)})" if known else ""
        raise InputError(f"No dataset is named; {hint}{listed}.")
    if not known:
        raise InputError(
            f"No dataset is named, and none is known; {hint}; `raven data demo my_demo` writes one."
        )
    click.echo("Which dataset?")
    for name, path in known.items():
        click.echo(f"  {name:20s} {path}")
    return str(ask("Dataset", type=click.Choice(list(known)), default=next(iter(known))))
