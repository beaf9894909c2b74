"""A plugin's settings: one pydantic model, from which options, checks, presets and forms are made."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from ravenml.common.hooks import PRESETS, SETTINGS
from ravenml.common.io import JsonObject, read_json
from ravenml.common.merge import deep_merge
from ravenml.common.parsing import parse_yaml
from ravenml.errors import InputError
from ravenml.plugin.discovery import Plugin, find_plugin
from ravenml.runs.replay import parse_sets
from ravenml.train.config import TrainConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ravenml.data.project import Project

GROUPS = ("general", "optimizer", "schedule", "augmentation", "logging", "checkpoints", "system")
ROLES = (
    *(
        "architecture",
        "weights",
        "weights_mode",
        "classes",
        "augmentations",
        "epochs",
        "batch_size",
        "device",
    ),
    *("train_tag", "val_tag"),
)


class TrainSettings(BaseModel):
    """The base of a plugin's settings; publish the subclass under ``ravenml.plugins.settings``.

    Each leaf field becomes an option of the plugin's training command: ``input_size.width`` becomes
    ``--input-size-width`` unless ``Field(json_schema_extra={"option": "--input-width"})`` names it.

    The form in the dashboard is made from the same fields; :func:`shown` says more of one, and the methods
    below, each of which may be left as it is, give choices, a curve and a preview.

    Attributes:
        best_metric: the address of the metric that decides which checkpoint is best.
        best_mode: ``max`` or ``min``.
        learns: ``segmentation`` or ``detection``, as the plugin's predictor calls its task; commands that
            make datasets name a plugin that fits them.
        data_parallel: whether several processes can train one model (torchrun's variables name them).
        command: the name of the training command in the plugin's group.
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")
    best_metric: ClassVar[str] = "val/loss"
    best_mode: ClassVar[str] = "min"
    learns: ClassVar[str] = ""
    data_parallel: ClassVar[bool] = False
    command: ClassVar[str] = "train"

    @classmethod
    def choices(cls, field: str) -> list[Choice]:
        """What a text field may hold, where that is not a ``Literal``: architectures, say.

        Other values may be allowed beside them.
        """
        return []

    def learning_rates(self, steps: int) -> list[float]:
        """The learning rate of each of ``steps`` steps of an epoch, over all epochs; empty: not known."""
        return []

    def parallel_folds(self, project: Project, folds: int) -> int:
        """How many folds of a k-fold training are trained fastest at the same time on this machine.

        They share its cores.  Frameworks are imported in another process, if at all.

        Args:
            project: what is trained on.
            folds: how many there are.
        """
        return 1

    def find_problems(self, classes: Sequence[str]) -> dict[str, str]:
        """What a training on a project would be refused for, beyond what the fields' types say.

        It is asked before anything is trained, and by the dashboard, which shows each sentence at its field.
        Frameworks are imported inside, if at all.

        Args:
            classes: the titles of the project's classes.

        Returns:
            By the fields' dotted names, sentences that begin after the field's name, without their full stop;
            see `ravenml.toolkit.preflight.find_problems`.
        """
        return {}

    def augmented(self, image: NDArray[np.uint8], count: int, seed: int) -> list[NDArray[np.uint8]]:
        """What training would see of an image: ``count`` changed ones.  Frameworks are imported inside.

        Args:
            image: uint8 RGB ``(H, W, 3)``.
            count: how many.
            seed: decides the changes.

        Returns:
            Images like the given one; empty: the plugin shows none.
        """
        return []

    def augmented_with_mask(
        self, image: NDArray[np.uint8], mask: NDArray[np.uint8], count: int, seed: int
    ) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """As :meth:`augmented`, with what becomes of the mask.

        Args:
            image: uint8 RGB ``(H, W, 3)``.
            mask: uint8 ``(H, W)``; 0 is the background.
            count: how many.
            seed: decides the changes.

        Returns:
            Pairs like the given one; empty: the plugin changes no masks.
        """
        return []

    def augmentation_code(self) -> str:
        """The augmentations as Python, to copy; empty: there are none, or the plugin does not say."""
        return ""


@dataclass(frozen=True)
class Choice:
    """A value of a setting: what it is in a line, and of a network how many parameters it has."""

    value: str
    text: str = ""
    parameters: int | None = None


def shown(
    *,
    option: str | None = None,
    group: str | None = None,
    title: str | None = None,
    unit: str | None = None,
    role: str | None = None,
    when: Mapping[str, Sequence[object]] | None = None,
    code: bool = False,
) -> JsonObject:
    """What the command line and the dashboard's form should know of a field (``json_schema_extra``).

    Args:
        option: how the command line spells it.
        group: where it stands: one of ``GROUPS``, or a name of the plugin's own.
        title: its label; by default its name in words.
        unit: what a number counts: ``pixels``, ``epochs`` …
        role: what the dashboard knows it as: one of ``ROLES``.
        when: it is asked for only where other fields have one of these values: ``{"optimizer": ["SGD"]}``.
        code: it may name code of the user's own, ``package.module:name``; from a file, such a name needs the
            user's trust (:mod:`ravenml.plugin.user_code`).
    """
    if role is not None and role not in ROLES:
        raise ValueError(f"role: {role!r} is none of {', '.join(ROLES)}")
    hints: JsonObject = {"option": option, "group": group, "title": title, "unit": unit, "role": role}
    hints |= {"when": when, "code": code or None}
    return {name: value for name, value in hints.items() if value is not None}


@dataclass(frozen=True)
class Leaf:
    """A field that holds a value: its place in the model, and how the command line spells it."""

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def option(self) -> str:
        extra = self.field.json_schema_extra
        named = extra.get("option") if isinstance(extra, dict) else None
        return str(named) if named else "--" + "-".join(self.path).replace("_", "-")

    @property
    def is_list(self) -> bool:
        return get_origin(strip_optional(self.field.annotation)) in (list, tuple)

    @property
    def names_code(self) -> bool:
        extra = self.field.json_schema_extra
        return isinstance(extra, dict) and bool(extra.get("code"))

    @property
    def default(self) -> object:
        return self.field.get_default(call_default_factory=True)

    def parse(self, text: str) -> object:
        """What a typed text means: a list's parts, a ``Literal``'s own value; else the text itself."""
        annotation = strip_optional(self.field.annotation)
        if not self.is_list:
            return _parse_choice(annotation, text)
        inner = next(iter(get_args(annotation)), str)
        return [_parse_choice(inner, part.strip()) for part in text.split(",") if part.strip()]


def _parse_choice(annotation: object, text: str) -> object:
    """A ``Literal``'s value that is written like this, such as the number 16; else the text itself."""
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    return next((choice for choice in choices if str(choice) == text), text)


def leaves(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """The fields of ``model`` and of the models within it, in the order of their definition."""
    for name, field in model.model_fields.items():
        inner = inner_model(field)
        if inner is not None:
            yield from leaves(inner, (*above, name))
        else:
            yield Leaf((*above, name), field)


def inner_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model that a field holds; None where it holds a plain value."""
    kind = strip_optional(field.annotation)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def strip_optional(annotation: Any) -> Any:
    """``int`` from ``int | None``, and from ``Annotated[int, …] | None``."""
    if get_origin(annotation) in (Union, types.UnionType):
        others = [a for a in get_args(annotation) if a is not type(None)]
        return strip_optional(others[0]) if len(others) == 1 else annotation
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def settings_model(plugin: Plugin) -> type[BaseModel] | None:
    """The settings that a plugin publishes under ``ravenml.plugins.settings``; None where it publishes none.

    Raises:
        PluginError: they cannot be imported, or are not a pydantic model.
    """
    published = find_plugin(plugin.name, SETTINGS)
    if published is None:
        return None
    model = published.load()
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise published.load_error(f"{published.entry_point.value} is not a pydantic model")
    return model


def default_of(model: type[BaseModel], leaf: Leaf) -> object:
    """The default as the whole model has it: an outer field's default may override an inner one's."""
    head = model.model_fields[leaf.path[0]]
    if len(leaf.path) == 1 or head.is_required():
        return None if leaf.field.is_required() else leaf.default
    value: object = head.get_default(call_default_factory=True)
    for name in leaf.path[1:]:
        value = getattr(value, name, None)
    return value


def nest(values: Mapping[tuple[str, ...], object]) -> JsonObject:
    """Values by their paths, nested as the model is."""
    result: JsonObject = {}
    for path, value in values.items():
        inner = result
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value
    return result


def check_for_project(settings: BaseModel, classes: Sequence[str]) -> None:
    """Refuse what the plugin cannot train on a project, before anything is trained.

    Args:
        settings: the plugin's.
        classes: the titles of the project's classes.

    Raises:
        InputError: with the first field, and what is wrong with it.
    """
    problems = settings.find_problems(classes) if isinstance(settings, TrainSettings) else {}
    for name, problem in problems.items():
        raise InputError(f"{name}: {problem}.")


def parse_settings(sets: Sequence[str], model: type[BaseModel] | None) -> JsonObject:
    """What ``--set NAME=VALUE`` says, in the form of the config file.

    A name is a field of the plugin's settings (``lr``, ``input_size.width``) or of the file itself
    (``kfold.folds``).  A value is text, a list with commas where the setting is one, ``null``, or YAML in
    brackets or double quotes.

    Raises:
        InputError: one is not written like that.
    """
    own = model.model_fields if model is not None else {}
    known = {leaf.path: leaf for leaf in leaves(model)} if model is not None else {}
    result: JsonObject = {}
    for name, text in parse_sets(sets).items():
        path = tuple(name.split("."))
        if path[0] in own or path[0] not in TrainConfig.model_fields:
            path = ("plugin", *path)
        value: object = None if text == "null" else text
        if path[0] != "plugin" and text in ("true", "false"):
            value = text == "true"
        if text[:1] in ("[", "{", '"'):
            value = parse_yaml(text, f"--set {name}: {text[:100]}")
        elif path[0] == "plugin" and path[1:] in known and text != "null":
            value = known[path[1:]].parse(text)
        result = deep_merge(result, nest({path: value}))
    return result


def find_preset(model: type[BaseModel], title: str, plugin: str) -> JsonObject:
    """The settings of the preset ``title`` in the plugin's ``predefined_run_configs.json``.

    Raises:
        InputError: the plugin has no such preset; the sentence lists those that it has.
    """
    known = read_presets(model)
    for one in known:
        if one.get("title", "").lower() == title.lower():
            return dict(one.get("config", {}))
    titles = ", ".join(repr(one.get("title")) for one in known)
    raise InputError(
        f"--preset: {plugin} has no preset {title!r}; " + (f"it has {titles}." if known else "it has none.")
    )


def read_presets(model: type[BaseModel]) -> list[JsonObject]:
    """The presets for training that lie beside the module of ``model``."""
    import importlib.resources

    package = model.__module__.rpartition(".")[0] or model.__module__
    with importlib.resources.as_file(importlib.resources.files(package) / PRESETS) as path:
        found = read_json(Path(path)) if path.exists() else []
    return [one for one in found if one.get("type", "train") == "train"]
