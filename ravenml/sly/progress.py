"""Reports of a plugin: progress, metrics, checkpoints, the end of an inference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ravenml.sly.sly_logger import EventType, Logger, logger


def epoch_float(epoch: int, train_it: int, train_its: int) -> float:
    """The moment in epochs after ``train_it`` of ``train_its`` iterations of ``epoch``, counted from 0."""
    return epoch + train_it / train_its


class Progress:
    """How far something countable has come; at most about a hundred events are printed.

    Args:
        message: what is being done.
        total_cnt: how many units there are.
        ext_logger: another logger than the plugin's.
    """

    def __init__(self, message: str, total_cnt: float, ext_logger: Logger | None = None) -> None:
        self.message, self.total, self.current = message, total_cnt, 0.0
        self.reported_cnt = 0
        self.logger = ext_logger or logger
        self.report_every = max(1, math.ceil(total_cnt / 100))
        self.report_progress()

    def iter_done(self) -> None:
        """One more unit is done."""
        self.current += 1

    def iters_done(self, count: float) -> None:
        """Some more units are done."""
        self.current += count

    def report_progress(self) -> None:
        """Print how far it has come."""
        self.reported_cnt += 1
        where = {"current": math.ceil(self.current), "total": math.ceil(self.total)}
        self.logger.info(
            "progress", extra={"event_type": EventType.PROGRESS, "subtask": self.message, **where}
        )

    def report_if_needed(self) -> None:
        """Print how far it has come, if it is at its end or a hundredth further."""
        due = self.current // self.report_every > self.reported_cnt - 1
        if self.current == self.total or self.current % self.report_every == 0 or due:
            self.report_progress()

    def iter_done_report(self) -> None:
        """One more unit is done; tell if it is time."""
        self.iters_done_report(1)

    def iters_done_report(self, count: float) -> None:
        """Some more units are done; tell if it is time."""
        self.iters_done(count)
        self.report_if_needed()

    def set_current_value(self, value: float) -> None:
        """So many units are done altogether; tell if it is time."""
        self.iters_done_report(value - self.current)


def report_metrics_training(epoch: float, metrics: Mapping[str, Any]) -> None:
    """Report numbers of the training at a moment in epochs."""
    _report_metrics("train", epoch, metrics)


def report_metrics_validation(epoch: float, metrics: Mapping[str, Any]) -> None:
    """Report numbers of the validation at a moment in epochs."""
    _report_metrics("val", epoch, metrics)


def _report_metrics(kind: str, epoch: float, metrics: Mapping[str, Any]) -> None:
    fields = {"event_type": EventType.METRICS, "type": kind, "epoch": epoch, "metrics": dict(metrics)}
    logger.info("metrics", extra=fields)


def report_checkpoint_saved(
    checkpoint_idx: int, subdir: str, sizeb: int, best_now: bool, optional_data: Any = None
) -> None:
    """Report a checkpoint whose files are in place.

    Args:
        checkpoint_idx: counted from 0.
        subdir: its folder, relative to ``results/``.
        sizeb: its size in bytes.
        best_now: whether it is the best so far.
        optional_data: anything that JSON can hold.
    """
    fields = {
        "event_type": EventType.CHECKPOINT,
        "id": checkpoint_idx,
        "subdir": subdir,
        "sizeb": sizeb,
        "best_now": bool(best_now),
        "optional": optional_data,
    }
    logger.info("checkpoint", extra=fields)


def report_inference_finished() -> None:
    """Report that the result's project is complete."""
    logger.info("model applied", extra={"event_type": EventType.MODEL_APPLIED})
