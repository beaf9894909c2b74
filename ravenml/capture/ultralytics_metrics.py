"""Ultralytics: losses, scores and learning rates of each epoch, arguments, and the models that it saves."""

from __future__ import annotations

import functools
from typing import Any

from .metrics import name_of, report_by_part, reports
from .reporting import guarded, report, report_parameters


def watch_trainer(module: Any) -> None:
    """Report whenever a trainer calls its callbacks."""
    original = module.BaseTrainer.run_callbacks

    @functools.wraps(original)
    def run_callbacks(self: Any, event: str) -> Any:
        result = original(self, event)
        if event in _REPORTS:
            guarded(_REPORTS[event])(self)
        return result

    module.BaseTrainer.run_callbacks = run_callbacks


def _report_arguments(trainer: Any) -> None:
    report_parameters("ultralytics", vars(trainer.args))


def _report_epoch(trainer: Any) -> None:
    if any("tensorboard" in one.__module__ for one in trainer.callbacks.get("on_fit_epoch_end", ())):
        return  # the same numbers are read from TensorBoard's files
    losses = trainer.label_loss_items(trainer.tloss, prefix="train")
    rates = {f"train/{name}": value for name, value in trainer.lr.items()}
    values = name_of(trainer, "ultralytics", {**losses, **rates, **trainer.metrics})
    scores = {name.replace("metrics/", "val/", 1): value for name, value in values.items()}
    report_by_part(scores, epoch=trainer.epoch + 1)


def _report_models(trainer: Any) -> None:
    for path in (trainer.last, trainer.best):
        if reports() and path.is_file():
            report("MODEL", path=str(path.absolute()))


_REPORTS = {
    "on_pretrain_routine_start": _report_arguments,
    "on_fit_epoch_end": _report_epoch,
    "on_model_save": _report_models,
    "on_train_end": _report_models,
}
