"""A draft as the YAML that ``raven train -c`` takes, and as the command that starts it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import yaml

from ravenml.dashboard.train.draft import Draft, SplitWish, path_of
from ravenml.train.config import PLUGIN_NAME


def as_config(draft: Draft) -> dict[str, Any]:
    """The draft in the form of the config file; what was left as it is does not stand there."""
    config: dict[str, Any] = {PLUGIN_NAME: draft.plugin, "dataset": draft.dataset}
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
