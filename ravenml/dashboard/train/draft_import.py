"""What a draft is made of that is opened: a run, or a file that the wizard or a training wrote."""

from __future__ import annotations

from asyncio import to_thread
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.common.parsing import parse_yaml
from ravenml.common.secrets import drop_hidden
from ravenml.common.validation import validate
from ravenml.dashboard.train.draft import Draft, SplitOptions, new_draft, put, value_at
from ravenml.dashboard.train.wizard import Shared
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.layout import find_run
from ravenml.runs.record import read_record
from ravenml.train.config import TrainConfig, pop_plugin_name, read_recorded_config

LARGEST = 1 << 18  # bytes of a file


def from_run(run: Path) -> JsonObject:
    """The fields of a draft that repeats a run, from the effective settings that every training records.

    Raises:
        InputError: it was no training of a plugin, or is one fold of several.
        RavenError: its files cannot be read.
    """
    record = read_record(run)
    if not record.get("plugin") or not (run / layout.TRAIN_ARGS).exists():
        raise InputError(
            f"{run.name} is not a training of a plugin; only trainings can be opened in the wizard."
        )
    if record.get("parent"):
        raise InputError(f"{run.name} is one fold; open the whole run instead: {record['parent']}.")
    config = TrainConfig.model_validate(read_recorded_config(run))
    return {
        **_fields(config),
        "title": f"like {run.name}",
        "origin": run.name,
        "plugin": record["plugin"],
        "preset": None,  # its settings are among the run's
    }


def from_text(text: str, name: str) -> JsonObject:
    """The fields of a draft from the content of a file for ``raven train -c``, YAML or JSON: one that the
    wizard exported, or a run's ``info/ui_state.json`` or ``train_args.json``.

    Args:
        text: the content.
        name: what the file is called.

    Raises:
        InputError: it is too large, or no such file; the sentence names what is wrong in it.
    """
    if len(text) > LARGEST:
        raise InputError(f"{name} is too large for a settings file.")
    values = parse_yaml(text, name)
    if not isinstance(values, dict):
        raise InputError(f"{name} contains no training settings.")
    plugin = pop_plugin_name(values, name)
    config = validate(TrainConfig, drop_hidden(values), name)
    return {**_fields(config), "title": config.name or f"from {name}", "plugin": plugin}


def _fields(config: TrainConfig) -> JsonObject:
    """What is the same however it was written.

    Raises:
        InputError: the plugin's settings are a list, which no form has.
    """
    if isinstance(config.plugin, list):
        raise InputError("The plugin's settings are a list; the wizard knows settings with names alone.")
    return {
        "dataset": config.dataset,
        "split": _split_options(config),
        "preset": config.preset,
        "settings": config.plugin,
        "jobs": config.jobs,
        "upload_checkpoints": config.upload_checkpoints,
        "comments": config.metadata.comments or "",
    }


def _split_options(config: TrainConfig) -> SplitOptions:
    options = SplitOptions(seed=config.split_seed, untagged=config.untagged or "train")
    if config.kfold is not None:
        kfold = config.kfold
        return SplitOptions(way="kfold", folds=kfold.folds, by=kfold.by, seed=kfold.seed, only_tag=kfold.tag)
    split = config.split
    if split is not None and split.tags is not None:
        options.way, options.train_tag, options.val_tag = "tags", *split.tags
    elif split is not None and split.datasets is not None:
        options.way, options.datasets = "datasets", split.datasets
    elif split is not None and split.percent is not None:
        options.way, options.percent = "percent", split.percent
    return options


async def draft_of_run(run_id: str, shared: Shared) -> Draft:
    """Make and keep it.

    Raises:
        RavenError: there is no such run, or it was no training.
    """
    return await _draft(await to_thread(lambda: from_run(find_run(run_id))), shared)


async def draft_of_file(text: str, name: str, shared: Shared) -> Draft:
    """Make and keep it; see :func:`from_text`.

    Raises:
        RavenError: it is not a file of settings.
    """
    return await _draft(await to_thread(from_text, text, name), shared)


async def _draft(fields: JsonObject, shared: Shared) -> Draft:
    if fields["plugin"] is not None and fields["preset"] is None:  # a preset would fill what is left out
        try:
            form = await shared.helper(fields["plugin"]).describe()
            fields["settings"] = sparse(fields["settings"], form)
        except RavenError:
            pass  # the plugin is gone, or publishes nothing: all is kept as it is
    return await to_thread(lambda: new_draft(**fields))


def sparse(settings: JsonObject, form: JsonObject) -> JsonObject:
    """The settings that differ from the plugin's defaults."""
    kept: JsonObject = {}
    absent = object()
    for field in form["fields"]:
        value = value_at(settings, field["name"], absent)
        if value is not absent and value is not None and value != field["default"]:
            put(kept, field["name"], value)
    return kept
