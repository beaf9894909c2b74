"""Hugging Face transformers: what ``Trainer.log`` is given."""

from __future__ import annotations

import functools
from typing import Any

from .metrics import name_of, report_by_part, report_metrics
from .reporting import guarded


def watch_trainer(module: Any) -> None:
    """Report what a trainer logs: loss and learning rate, evaluations, and the summary at the end."""
    original = module.Trainer.log

    @functools.wraps(original)
    def log(self: Any, logs: Any, *args: Any, **kwargs: Any) -> Any:
        given = dict(logs)  # the original adds to it
        result = original(self, logs, *args, **kwargs)
        guarded(_report)(self, given)
        return result

    module.Trainer.log = log


def _report(trainer: Any, logs: dict[str, Any]) -> None:
    handlers = trainer.callback_handler.callbacks
    if any(type(one).__name__ == "TensorBoardCallback" for one in handlers):
        return  # the same numbers are read from TensorBoard's files
    logs.pop("epoch", None)
    values = name_of(trainer, "transformers", logs)
    summary = {name: value for name, value in values.items() if name.startswith("train_")}  # at the end
    moment = {"step": trainer.state.global_step, "epoch": trainer.state.epoch}
    report_metrics("summary", summary, **moment)
    report_by_part({name: value for name, value in values.items() if name not in summary}, **moment)
