"""Going on with a run: which one may be, and what it must have kept."""

from __future__ import annotations

from pathlib import Path

from ravenml.common.secrets import drop_hidden, redact
from ravenml.data.split import TRAIN
from ravenml.errors import InputError
from ravenml.plugin.discovery import Plugin
from ravenml.runs import layout
from ravenml.runs.record import read_record, status
from ravenml.train.config import TrainConfig, has_recorded_config, read_recorded_config


def find_resumable(prefix: str, plugin: Plugin | None) -> Path:
    """The folder of the run to resume.

    Raises:
        InputError: no such run, another plugin's, one that is still running, or one without settings.
    """
    folder = layout.find_run(prefix)
    record = read_record(folder)
    if plugin is not None and record.get("plugin") != plugin.name:
        raise InputError(
            f"--resume: {folder.name} is a run of {record.get('plugin')!r}, not of {plugin.name!r}."
        )
    if status(folder, record) == "running":
        raise InputError(f"--resume: {folder.name} is still running; stop it first.")
    if not has_recorded_config(folder):
        raise InputError(f"--resume: {folder.name} has no {layout.TRAIN_ARGS}; start a new run.")
    return folder


def check_unchanged(folder: Path, config: TrainConfig, fold: int | None) -> int | None:
    """What a resumed run must have kept, so that it stays one run: dataset, folds, and the settings of
    folds that are done.

    Returns:
        The fold that the run trains; None for a run without k-fold, or for its parent.

    Raises:
        InputError: something was changed on the command line or in the file; the sentence names it.
    """
    before = TrainConfig.model_validate(read_recorded_config(folder))
    was: int | None = read_record(folder).get("fold")
    done = any((folder / layout.FOLDS).glob(f"*/{layout.RUN_JSON}"))
    pairs: dict[str, tuple[object, object]] = {
        "the dataset": (before.dataset, config.dataset),
        "the folds": (before.kfold, config.kfold),
        "the fold": (was, was if fold is None else fold),
        "`untagged`": (before.untagged or TRAIN, config.untagged or TRAIN),
    }
    if done:
        settings = (drop_hidden(before.plugin), drop_hidden(redact(config.plugin)))
        pairs["the plugin's settings"] = settings
    for what, (then, now) in pairs.items():
        if then != now:
            raise InputError(
                f"--resume: {what} of {folder.name} cannot be changed; start a new run for that."
            )
    return was
