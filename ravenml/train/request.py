"""What is to be trained: what was given, a file, a preset and defaults put together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from ravenml.common.io import JsonObject
from ravenml.common.merge import deep_merge
from ravenml.common.schema import Fields, read_object
from ravenml.common.secrets import drop_hidden
from ravenml.common.validation import validate
from ravenml.compat.datasets import open_dataset
from ravenml.config.config import load_config
from ravenml.data.folds import make_folds
from ravenml.data.project import Project
from ravenml.data.registry import known_datasets, resolve_dataset
from ravenml.data.split import TEST, TRAIN, VAL, Split, default_split, known_tags, read_split
from ravenml.errors import InputError
from ravenml.plugin.discovery import Plugin
from ravenml.plugin.user_code import REFERENCE, check_trusted, remember_code
from ravenml.remote.demands import Demands
from ravenml.runs import layout
from ravenml.runs.launcher import FOLD, PARENT
from ravenml.runs.replay import is_replayed
from ravenml.train.config import KFold, TrainConfig, read_recorded_config, read_train_config
from ravenml.train.resume import check_unchanged, find_resumable
from ravenml.train.settings import find_preset, leaves, nest, parse_settings, settings_model
from ravenml.train.split_from_config import split_from_config

Choose = Callable[[Mapping[str, Path]], str]  # asks a person which of the known datasets is meant


@dataclass
class TrainArguments:
    """What was given for a training, by a command line and the environment or by a Python user.

    Attributes:
        plugin: the plugin, as its entry point declares it; None for a command outside of one.
        command: the command's path, as a user would type it again.
        arguments: all that was typed behind ``raven``, or would have to be.
        options: the core's options that were given, by name (``dataset``, ``folds``, ``set`` …).
        defaults: what the plugin's own declarations of them say where nothing was given.
        settings: the plugin's settings that were given: how each was spelled, and its value, by its path.
        own_options: spellings of options that are the plugin's own, whatever they look like.
        secret_options: spellings of options whose values are written nowhere.
        choose_dataset: asks the person at the terminal; None where nobody is there.
    """

    plugin: Plugin | None
    command: str
    arguments: list[str]
    options: JsonObject = field(default_factory=dict)
    defaults: JsonObject = field(default_factory=dict)
    settings: dict[tuple[str, ...], tuple[str, object]] = field(default_factory=dict)
    own_options: Collection[str] = ()
    secret_options: list[str] = field(default_factory=list)
    choose_dataset: Choose | None = None


@dataclass
class Request:
    """What was asked for, fully worked out but with nothing opened or made yet.

    Attributes:
        plugin: the plugin, as its entry point declares it; None for a command outside of one.
        command: the command's path, as a user would type it again.
        arguments: all that was typed behind ``raven``.
        parent: the folder of the k-fold run that this training is a fold of.
        resumed: the folder of the run to resume.
        default_dataset: whether the dataset was not named, but is the configured one.
        choose_dataset: asks the person at the terminal; None where nobody is there.
        own_options, secret_options: as in :class:`TrainArguments`.
        config_file: the file that was named with ``-c``, as it was typed.
        names_code: whether files name code of the user's own, which he trusts.
        remote: the queue that the training is to be sent to.
        demands: what is asked of the queue for it.
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
    default_dataset: bool = False
    choose_dataset: Choose | None = None
    own_options: Collection[str] = ()
    secret_options: list[str] = field(default_factory=list)
    config_file: str | None = None
    names_code: bool = False
    remote: str | None = None
    demands: Demands = field(default_factory=Demands)

    @property
    def plugin_name(self) -> str:
        return self.plugin.name if self.plugin is not None else self.command.split()[-1]

    @property
    def fold_folder(self) -> Path | None:
        """Where a fold writes its run; None for a training that is not a fold of a k-fold run."""
        return self.parent / layout.FOLDS / str(self.fold) if self.parent is not None else None

    @property
    def wants_folds(self) -> bool:
        """Whether this is the parent of a k-fold run."""
        return self.config.kfold is not None and self.fold is None

    def open_dataset(self) -> Project:
        """Open the dataset that was named, is configured, or is now chosen.

        Raises:
            InputError: none is named and nobody can choose one, or it cannot be opened.
        """
        if self.config.dataset is None:
            self.config.dataset = _choose_dataset(self.choose_dataset)
        try:
            if self.settings is None:  # such as a plugin for ravenML 1, which reads datasets of its own
                return open_dataset(self.config.dataset)
            return Project.open(resolve_dataset(self.config.dataset))
        except InputError as error:
            if not self.default_dataset:
                raise
            raise InputError(
                f"{error}  It is the configured default; `raven config update --dataset NAME` sets another."
            ) from None

    def make_folds(self, project: Project) -> list[Split]:
        """The k-fold plan; a fold takes its parent's, a resumed run its own."""
        recorded = (self.parent or self.resumed or Path()) / layout.INFO / "folds.json"
        if (self.parent or self.resumed) and recorded.exists():
            plan = _read_plan(recorded, project)
            self._notice_tested(project, plan[0], "folds")
            return plan
        if not project.items:
            raise InputError(f"--kfold needs a Supervisely project, which {project.root} is not.")
        kfold = self.config.kfold or KFold.model_validate({})
        return make_folds(project, kfold.folds, kfold.by, kfold.seed, kfold.tag, notice=self.notice)

    def make_split(self, project: Project) -> Split:
        """The images that train and validate; a resumed run keeps those that it began with."""
        if not project.items:  # a dataset of ravenML 1, which its plugin divides
            return Split([], [])
        info = (self.resumed or Path()) / layout.INFO
        if self.resumed is not None and (info / "train_set.json").exists():
            return self._begun_split(project, info)
        if self.fold is not None:
            folds = self.make_folds(project)
            if not 0 <= self.fold < len(folds):
                raise InputError(
                    f"--fold {self.fold}: the {len(folds)} folds are counted from 0 to {len(folds) - 1}."
                )
            return folds[self.fold]
        if self.config.split is not None:
            return split_from_config(
                project, self.config.split, self.config.split_seed, self.notice, self.config.untagged
            )
        named = getattr(self.settings, "dataset_tags", None)  # a plugin's setting, under the contract's name
        tags = (named.train, named.val) if named is not None else (TRAIN, VAL)
        return default_split(
            project,
            seed=self.config.split_seed,
            notice=self.notice,
            tags=tags,
            untagged=self.config.untagged,
        )

    def _begun_split(self, project: Project, info: Path) -> Split:
        """The split that a resumed run began with, whatever the images' tags say by now."""
        train, val, test = (info / f"{part}_set.json" for part in (TRAIN, VAL, TEST))
        fix = "bring back what is gone, or start a new run"
        try:
            split = read_split(project, train, val, test if test.exists() else None, fix)
        except InputError as error:
            raise InputError(f"--resume: {error}") from None
        self._notice_tested(project, split, "split")
        return split

    def _notice_tested(self, project: Project, split: Split, kept: str) -> None:
        """Give notice of images that a resumed run keeps, although they are tagged `test` by now."""
        if self.parent is not None:
            return
        if tested := sum(TEST in known_tags(project, item) for item in (*split.train, *split.val)):
            are = "1 image of this run is" if tested == 1 else f"{tested} images of this run are"
            self.notice(f"{are} tagged `{TEST}` by now; the run keeps its {kept}.")

    def notice(self, text: str) -> None:
        """Tell the user something that is not an error; a fold stays quiet, its parent has said it."""
        if self.parent is None:
            print(f"Note: {text}", file=sys.stderr, flush=True)


_PLAN = Fields(
    {"folds": [Fields({"train": [str], "val": [str]}, required=("train", "val"))], "test": [str]},
    required=["folds"],
)


def _read_plan(path: Path, project: Project) -> list[Split]:
    items = {item.key: item for item in project.items}
    plan = read_object(path, _PLAN)
    test = [items[key] for key in plan.get("test") or () if key in items]  # no training needs those
    try:
        return [
            Split([items[key] for key in one["train"]], [items[key] for key in one["val"]], test)
            for one in plan["folds"]
        ]
    except KeyError as error:
        raise InputError(
            f"{path} names the image {error}, which {project.root} has no longer; "
            "bring it back, or start a new run."
        ) from None


def make_request(given: TrainArguments) -> Request:
    """Work out what was asked for.

    Precedence: ``--set``, command line (the deeper level first), environment, file, preset, default.  A
    resumed run's own config stands below the file.

    Raises:
        InputError: an unknown or unusable setting, a run that cannot be resumed, a folder that may not be
            written to; each names the option or the file and field.
    """
    options, plugin = given.options, given.plugin
    parent = Path(os.environ[PARENT]) if os.environ.get(PARENT) else None
    resumed = find_resumable(options["resume"], plugin) if parent is None and "resume" in options else None
    origin = parent or resumed
    base = read_recorded_config(origin) if origin is not None else {}
    file = options.get("config")
    model = settings_model(plugin) if plugin is not None else None
    plugin_name = plugin.name if plugin is not None else None
    from_file = drop_hidden(read_train_config(Path(file), plugin_name)) if file else {}
    sets = parse_settings(options.get("set", ()), model)
    # What is switched on by itself (`kfold: true`) becomes a mapping, so that layers can be merged.
    layers = [from_options(given.defaults), base, from_file, from_options(options), sets]
    values = deep_merge(*({**one, "kfold": {}} if one.get("kfold") is True else one for one in layers))
    if "fold_seed" in options and isinstance(values.get("kfold"), dict):
        values["kfold"]["seed"] = options["fold_seed"]
    settings = _settings(given, model, base, from_file, values, sets)
    names_code = False
    if settings is not None:
        values["plugin"] = settings.model_dump(mode="json")
        if parent is None:  # a fold's settings are its parent's, which has checked them
            values_typed = nest({path: value for path, (_, value) in given.settings.items()})
            typed = {} if is_replayed() else deep_merge(values_typed, sets.get("plugin", {}))
            names_code = check_code(
                type(settings), values["plugin"], typed, file or str(resumed or "the preset")
            )
    default_dataset = values.get("dataset") is None
    values["dataset"] = absolute_dataset(load_config().dataset if default_dataset else values["dataset"])
    if values.get("artifact_path"):
        values["artifact_path"] = str(Path(values["artifact_path"]).expanduser().absolute())
    config = validate(TrainConfig, values, "the command line", _SPELLED)
    number = os.environ.get(FOLD) if parent is not None else options.get("fold")
    fold = int(number) if number is not None else None
    if resumed is not None:
        fold = check_unchanged(resumed, config, fold)
    if fold is not None and config.kfold is None:
        config.kfold = KFold.model_validate({})
    request = Request(
        plugin=plugin,
        command=given.command,
        arguments=given.arguments,
        own_options=given.own_options,
        secret_options=given.secret_options,
        config=config,
        settings=settings,
        fold=fold,
        in_process=bool(options.get("in_process")),
        parent=parent,
        resumed=resumed,
        default_dataset=default_dataset,
        choose_dataset=given.choose_dataset,
        config_file=file,
        names_code=names_code,
        remote=options.get("remote"),
        demands=Demands.from_options(options),
    )
    if config.untagged and resumed is None and (config.kfold or (config.split and not config.split.tags)):
        what = "every image is in a fold" if config.kfold else "`split` does not divide by tags"
        request.notice(f"`untagged` has no effect, as {what}.")
    for name, meant in config.metadata.near_misses().items():
        request.notice(f"`metadata.{name}` is kept as a field of your own; did you mean `{meant}`?")
    return request


def _settings(
    given: TrainArguments,
    model: type[BaseModel] | None,
    base: JsonObject,
    from_file: JsonObject,
    values: JsonObject,
    sets: JsonObject,
) -> BaseModel | None:
    """The plugin's settings from preset, file and command line; None where it publishes none."""
    options, plugin = given.options, given.plugin
    if model is None or plugin is None:
        if values.get("preset"):
            raise InputError("--preset: this plugin publishes no settings, and so has no presets.")
        return None
    title = values.get("preset") if not base or "preset" in options else None
    chosen = find_preset(model, title, plugin.name) if title else {}
    for origin, one in (("the run's config", base), (options.get("config"), from_file)):
        if isinstance(one.get("plugin"), list):
            raise InputError(f"{origin}: `plugin` should be a mapping with the settings of {plugin.name}.")
    below = deep_merge(base.get("plugin", {}), from_file.get("plugin", {}))
    below = deep_merge(below, chosen) if "preset" in options else deep_merge(chosen, below)
    typed = nest({path: value for path, (_, value) in given.settings.items()})
    spelled = {path: option for path, (option, _) in given.settings.items()}
    file = options.get("config")
    where = f"{file}: plugin" if file else f"the settings of {plugin.name}"
    return validate(model, deep_merge(below, typed, sets.get("plugin", {})), where, spelled)


def check_code(model: type[BaseModel], settings: JsonObject, typed: JsonObject, where: str) -> bool:
    """Check the user's own code that settings name: what he typed is remembered, the rest must be trusted.

    Args:
        model: the plugin's settings; what one of its defaults names is the plugin's own.
        settings: the effective ones.
        typed: those of them that the command line and the environment say.
        where: what messages say of the others.

    Returns:
        Whether code is named that was not typed, but is trusted.

    Raises:
        InputError: code is named that the user does not trust.
    """
    from_files = False
    for leaf in leaves(model):
        if not leaf.names_code:
            continue
        by_user, by_plugin = _texts(typed, leaf.path), _texts({"": leaf.default}, ("",))
        for reference in _texts(settings, leaf.path):
            if not REFERENCE.fullmatch(reference) or reference in by_plugin:
                continue
            if reference in by_user:
                remember_code(reference)
            else:
                check_trusted(reference, f"{where}: `{'.'.join(leaf.path)}`")
                from_files = True
    return from_files


def _texts(values: object, path: tuple[str, ...]) -> list[str]:
    """The text, or the texts of the list, at a place within nested mappings."""
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return [one for one in (values if isinstance(values, list | tuple) else [values]) if isinstance(one, str)]


_SPELLED = {
    ("dataset",): "--dataset",
    ("artifact_path",): "--local",
    ("jobs",): "--jobs",
    ("untagged",): "--untagged",
    ("split_seed",): "--fold-seed",
    ("kfold", "folds"): "--folds",
    ("kfold", "by"): "--fold-by",
    ("kfold", "seed"): "--fold-seed",
    ("kfold", "tag"): "--fold-from",
}


def from_options(options: JsonObject) -> JsonObject:
    """The core's options in the form of the config file."""
    values: JsonObject = {}
    for option, name in (
        ("dataset", "dataset"),
        ("name", "name"),
        ("preset", "preset"),
        ("jobs", "jobs"),
        ("fold_seed", "split_seed"),
        ("untagged", "untagged"),
        ("upload_checkpoints", "upload_checkpoints"),
    ):
        if option in options:
            values[name] = options[option]
    if "local" in options:
        values["artifact_path"] = options["local"]
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


def absolute_dataset(name: str | None) -> str | None:
    """A folder's absolute path, so that the record holds elsewhere too; a name as it is."""
    if name is None:
        return None
    path = Path(name).expanduser()
    return str(path.absolute()) if path.is_dir() else name


def _choose_dataset(ask: Choose | None) -> str:
    known = known_datasets()
    hint = "name one with `--dataset DIR`, or set a default with `raven config update --dataset NAME`"
    if ask is None:
        listed = f" (known here: {', '.join(known)})" if known else ""
        raise InputError(f"No dataset is named; {hint}{listed}.")
    if not known:
        raise InputError(
            f"No dataset is named, and none is known; {hint}; `raven data demo my_demo` writes one."
        )
    return ask(known)
