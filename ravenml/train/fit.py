"""Training from Python, exactly as ``raven train`` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel

from ravenml.common.io import JsonObject
from ravenml.errors import InputError, RavenError
from ravenml.plugin.discovery import Plugin, find_plugin, plugins
from ravenml.runs.info import RunInfo, load_run
from ravenml.train.settings import Leaf, leaves, settings_model, strip_optional

_WORDS = ("null", "true", "false")  # which `--set` reads as such, unless they are quoted
_KFOLD = {"folds": "--folds", "by": "--fold-by", "seed": "--fold-seed", "tag": "--fold-from"}


def fit(
    plugin: str,
    dataset: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    *,
    preset: str | None = None,
    config: str | Path | None = None,
    kfold: bool | Mapping[str, object] = False,
    fold: int | None = None,
    jobs: int | None = None,
    resume: str | RunInfo | None = None,
    name: str | None = None,
    local: str | Path | None = None,
    upload_checkpoints: str | None = None,
    metadata: Mapping[str, str] | None = None,
    trust_code: bool = False,
) -> RunInfo:
    """Train a model, and return its run once it is complete.

    Values that you do not pass come from the environment, the preset, the config file and the defaults, in
    this order, as on the command line; a preset named in the config file ranks below the file's own values.
    The run is the same as one from the command line: it can be listed, compared, resumed and cloned.

    Args:
        plugin: the plugin's name, as ``raven train list`` shows it.
        dataset: a folder or a known name; without it, the configured default.
        settings: the plugin's settings, by their names in the config file: nested, or with dots.
        preset: the title of one of the plugin's presets.
        config: a YAML file, as ``raven train -c`` takes it.
        kfold: whether to train with k-fold, or how: ``folds``, ``by``, ``seed`` and ``tag``.
        fold: train only this fold, counted from 0.
        jobs: how many folds to train in parallel; by default as many as are fastest here.
        resume: the run to continue.
        name: what people call the run.
        local: the folder in which the result is stored, instead of the configured store.
        upload_checkpoints: which checkpoints are stored with the model: ``all``, ``best`` or ``none``.
        metadata: who trained and why, and any fields of your own.
        trust_code: whether files (``config``, the weights, the resumed run) may name code that is not part of
            a plugin, which is then imported.  What ``settings`` names needs no trust.

    Raises:
        InputError: an unknown plugin, setting, preset, dataset or run; the message names it.
        Interrupted: the run was stopped; it can be resumed.
        RavenError: the training or one of its folds failed, or the result could not be stored; the run is
            kept.
    """
    found = find_plugin(plugin)
    if found is None:
        known = ", ".join(plugins()) or "none"
        raise InputError(f"No plugin is called {plugin!r}; installed: {known}.")
    options: JsonObject = {
        "--name": name,
        "--preset": preset,
        "--fold": fold,
        "--jobs": jobs,
        "--resume": resume.id if isinstance(resume, RunInfo) else resume,
        "--upload-checkpoints": upload_checkpoints,
    }
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    words += ["--trust-code"] if trust_code else []
    words += _kfold_words(kfold)
    model = settings_model(found)
    words += _settings_words(settings or {}, model)
    words += [word for name, value in (metadata or {}).items() for word in _set(f"metadata.{name}", value)]
    from ravenml.train.options import call_plugin

    file = Path(config).expanduser() if config is not None else None
    outer = {"config": file, "dataset": dataset, "local": local}
    given = {name: str(value) for name, value in outer.items() if value is not None}
    run_id = call_plugin(found, [*_command_of(found, model), *words], given)
    if run_id is None:
        raise RavenError(f"The plugin {plugin!r} trained nothing: it made no run.")
    return load_run(run_id)


def as_text(value: object) -> str:
    """A setting's value as ``--set NAME=VALUE`` takes it.

    Raises:
        InputError: a setting cannot hold it.
    """
    if isinstance(value, Path):
        value = str(value)
    elif isinstance(value, tuple | set | frozenset):
        value = list(value)
    if (
        isinstance(value, str)
        and value == value.strip()
        and value[:1] not in ("[", "{", '"')
        and value not in _WORDS
    ):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    style = '"' if isinstance(value, str) else None
    try:
        text = yaml.safe_dump(value, default_flow_style=True, default_style=style, width=float("inf"))
        return str(text).strip()
    except yaml.YAMLError:
        raise InputError(f"A setting cannot hold {value!r}; use numbers, text, lists and mappings.") from None


def _kfold_words(kfold: bool | Mapping[str, object]) -> Iterator[str]:
    if kfold is False or kfold is None:
        return
    yield "--kfold"
    if kfold is True:
        return
    if not isinstance(kfold, Mapping):
        raise InputError(f"kfold: {kfold!r} is neither True nor a mapping, such as {{'folds': 5}}.")
    for name, value in kfold.items():
        if name not in _KFOLD:
            raise InputError(f"kfold: there is no field {name!r}; it has {', '.join(_KFOLD)}.")
        if value is not None:
            yield from (_KFOLD[name], str(value))


def _settings_words(settings: Mapping[str, object], model: type[BaseModel] | None) -> Iterator[str]:
    """Each setting as the option that it is on the command line; as ``--set`` where there is none."""
    known = {leaf.path: leaf for leaf in leaves(model)} if model is not None else {}
    for path, value in _by_path(settings, known, ()):
        leaf = known.get(path)
        if leaf is None or value is None or isinstance(value, Mapping):
            yield from _set(".".join(path), value)
        elif isinstance(value, bool) and strip_optional(leaf.field.annotation) is bool:
            yield leaf.option if value else f"--no-{leaf.option.removeprefix('--')}"
        elif (
            leaf.is_list
            and isinstance(value, list | tuple)
            and value
            and not any("," in str(v) for v in value)
        ):
            yield from (leaf.option, ",".join(map(str, value)))
        elif isinstance(value, str | int | float | Path) and not isinstance(value, bool) and not leaf.is_list:
            yield from (leaf.option, str(value))
        else:
            yield from _set(".".join(path), value)


def _by_path(
    values: Mapping[str, object], known: Mapping[tuple[str, ...], Leaf], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in values.items():
        path = (*above, *str(name).split("."))
        if isinstance(value, Mapping) and value and path not in known:
            yield from _by_path(value, known, path)
        else:
            yield path, value


def _set(name: str, value: object) -> tuple[str, str]:
    return "--set", f"{name}={as_text(value)}"


def _command_of(plugin: Plugin, model: type[BaseModel] | None) -> list[str]:
    """The word behind the plugin's name that calls its training; none where the plugin is one command."""
    commands = getattr(plugin.load(), "commands", None)
    if not commands:
        return []
    name = str(getattr(model, "command", "train"))
    if name not in commands:
        raise InputError(f"The plugin {plugin.name!r} has no command {name!r}; it has {', '.join(commands)}.")
    return [name]
