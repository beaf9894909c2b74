"""Lightning: what a module logs (``self.log``), whichever loggers its trainer has."""

from __future__ import annotations

import functools
from typing import Any

from .metrics import name_of, report_by_part
from .reporting import guarded


def watch_lightning(connector: Any) -> None:
    """Report what is handed to the trainer's loggers."""
    kind = connector._LoggerConnector
    original = kind.log_metrics

    @functools.wraps(original)
    def log_metrics(self: Any, metrics: Any, step: Any = None) -> Any:
        result = original(self, metrics, step)
        guarded(_report)(self.trainer, dict(metrics), step)
        return result

    kind.log_metrics = log_metrics


def _report(trainer: Any, metrics: dict[str, Any], step: Any) -> None:
    if any(type(logger).__name__ == "TensorBoardLogger" for logger in trainer.loggers):
        return  # the same numbers are read from TensorBoard's files
    given = metrics.pop("step", None)
    metrics.pop("epoch", None)
    if step is None:
        step = given if given is not None else trainer.fit_loop.epoch_loop._batches_that_stepped
    report_by_part(name_of(trainer, "Lightning", metrics), step=int(step))
