"""A draft as the YAML that ``raven train -c`` takes, as the command that starts it, and made from a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import yaml

from ravenml.dashboard.train.draft import Draft, SplitWish, path_of
from ravenml.errors import InputError
from ravenml.files import read_json
from ravenml.runs import layout
from ravenml.runs.record import read_record
from ravenml.runs.secrets import without_hidden
from ravenml.train.config import TrainConfig


def as_config(draft: Draft) -> dict[str, Any]:
    """The draft in the form of the config file; what was left as it is does not stand there."""
    config: dict[str, Any] = {"dataset": draft.dataset}
    config |= _division(draft.split)
    if draft.jobs != 1 and "kfold" in config:
        config["jobs"] = draft.jobs
    config["upload_checkpoints"] = draft.upload_checkpoints
    config["metadata"] = {"comments": draft.comments} if draft.comments else None
    config["preset"] = draft.preset
    config["plugin"] = draft.settings or None
    return {name: value for name, value in config.items() if value is not None}


def as_yaml(draft: Draft) -> str:
    """The file for ``raven train -c``."""
    return yaml.safe_dump(as_config(draft), sort_keys=False, allow_unicode=True, width=100)


def arguments(draft: Draft, command: str = "train", file: Path | None = None) -> list[str]:
    """What starts the draft, behind ``raven``.

    Args:
        command: the plugin's training command.
        file: where it stands as YAML; without it, the draft's own file.
    """
    queue = ["--remote", draft.queue] if draft.queue else []
    file = file or path_of(draft.id).with_suffix(".yml")
    return ["train", *queue, "-c", str(file), draft.plugin or "PLUGIN", command]


def as_command(draft: Draft, command: str = "train") -> str:
    """The command line, to copy."""
    return shlex.join(["raven", *arguments(draft, command)])


def _division(wish: SplitWish) -> dict[str, Any]:
    if wish.way == "kfold":
        kfold = {"folds": wish.folds, "by": wish.by, "seed": wish.seed, "tag": wish.only_tag}
        return {"kfold": {name: value for name, value in kfold.items() if value is not None}}
    if wish.way == "tags":
        return {"split": {"tags": [wish.train_tag, wish.val_tag]}}
    if wish.way == "datasets":
        return {"split": {"datasets": list(wish.datasets)}}
    if wish.way == "percent":
        return {"split": {"percent": wish.percent}, "split_seed": wish.seed}
    return {}


def from_run(run: Path) -> dict[str, Any]:
    """The fields of a draft that repeats a run, from the effective settings that every training records.

    Raises:
        InputError: it was no training of a plugin, or is one fold of several.
        RavenError: its files cannot be read.
    """
    record = read_record(run)
    if not record.get("plugin") or not (run / layout.TRAIN_ARGS).exists():
        raise InputError(f"{run.name} was no training of a plugin; only those can be opened in the wizard.")
    if record.get("parent"):
        raise InputError(f"{run.name} is a fold; open the whole run: {record['parent']}.")
    config = TrainConfig.model_validate(without_hidden(read_json(run / layout.TRAIN_ARGS)))
    return {
        "title": f"like {run.name}",
        "origin": run.name,
        "dataset": config.dataset,
        "plugin": record["plugin"],
        "split": _wish(config),
        "settings": config.plugin,
        "jobs": config.jobs,
        "upload_checkpoints": config.upload_checkpoints,
        "comments": config.metadata.comments or "",
    }


def _wish(config: TrainConfig) -> SplitWish:
    wish = SplitWish(seed=config.split_seed)
    if config.kfold is not None:
        kfold = config.kfold
        return SplitWish(way="kfold", folds=kfold.folds, by=kfold.by, seed=kfold.seed, only_tag=kfold.tag)
    split = config.split
    if split is not None and split.tags is not None:
        wish.way, wish.train_tag, wish.val_tag = "tags", *split.tags
    elif split is not None and split.datasets is not None:
        wish.way, wish.datasets = "datasets", split.datasets
    elif split is not None and split.percent is not None:
        wish.way, wish.percent = "percent", split.percent
    return wish
