"""What a plugin says: lines of JSON on stdout, one for each message, and the contract's events."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TextIO, TypeVar

from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import JsonObject

T = TypeVar("T")
TRACE = 5


class EventType(Enum):
    """The types of events of the contract; as text, ``EventType.METRICS``."""

    LOGJ = 1
    LOGS = 2
    TASK_STARTED = 3
    TASK_FINISHED = 4
    TASK_STOPPED = 5
    TASK_CRASHED = 6
    PROGRESS = 7
    CHECKPOINT = 8
    METRICS = 9
    TASK_REMOVED = 10
    MODEL_APPLIED = 11
    DTL_APPLIED = 12
    IMPORT_APPLIED = 13
    PROJECT_CREATED = 14
    TASK_VERIFIED = 15
    STEP_COMPLETE = 16
    TASK_DEPLOYED = 17
    AGENT_READY_FOR_TASKS = 18
    MISSED_TASK_FOUND = 19
    REPORT_CREATED = 20


class ServiceType(Enum):
    """What a program is."""

    AGENT = 1
    TASK = 2
    EXPORT = 3


class JsonFormatter(logging.Formatter):
    """A record as a line of JSON: message, what stands in ``extra``, timestamp, level, and a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        extra = {name: value for name, value in vars(record).items() if name not in _USUAL}
        line: JsonObject = {"message": record.getMessage(), **extra}
        line["timestamp"] = utc_timestamp(record.created)
        line["level"] = record.levelname.lower()
        if record.exc_info and record.exc_info[0] is not None:
            line["stack"] = "".join(traceback.format_exception(*record.exc_info)).splitlines()
        return json.dumps(line, default=_to_jsonable, ensure_ascii=False)


_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _to_jsonable(value: object) -> object:
    """Numpy's numbers and arrays, and what behaves like them, become plain; the rest becomes text."""
    if isinstance(value, Enum):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else str(value)


class Logger(logging.Logger):
    """A logger with the contract's further levels; an error is logged with the exception being handled."""

    def error(self, msg: object, *args: object, exc_info: Any = None, **more: Any) -> None:
        """Log an error, and, where an exception is being handled, its stack."""
        super().error(msg, *args, exc_info=_handling() if exc_info is None else exc_info, **more)

    def critical(self, msg: object, *args: object, exc_info: Any = None, **more: Any) -> None:
        """Log what ends the task, and, where an exception is being handled, its stack."""
        super().critical(msg, *args, exc_info=_handling() if exc_info is None else exc_info, **more)

    fatal = critical

    def trace(self, message: object, *arguments: object, **more: Any) -> None:
        """Say what only somebody who looks for a fault wants to read."""
        self.log(TRACE, message, *arguments, **more)


class _Stdout(logging.StreamHandler[TextIO]):
    """Writes to what is ``sys.stdout`` at that moment, a line at a time."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stdout.write(self.format(record) + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):  # whoever read it has gone; a training does not end over that
            pass


def _handling() -> bool:
    return sys.exc_info()[0] is not None


def _make_logger(name: str = "supervisely") -> Logger:
    logging.addLevelName(TRACE, "TRACE")
    made = Logger(name)
    level = os.environ.get("LOG_LEVEL", "TRACE").upper()
    made.setLevel(level if level in logging.getLevelNamesMapping() else TRACE)
    add_logger_handler(made, _Stdout())
    made.propagate = False
    return made


def add_logger_handler(the_logger: logging.Logger, log_handler: logging.Handler) -> None:
    """Let a logger write JSON lines through a handler, too."""
    log_handler.setFormatter(JsonFormatter())
    the_logger.addHandler(log_handler)


def add_default_logging_into_file(the_logger: logging.Logger, log_dir: str) -> None:
    """Let a logger write to a new file in a folder, too."""
    name = time.strftime("log_%Y-%m-%d_%H:%M:%S.txt")
    add_logger_handler(the_logger, logging.FileHandler(os.path.join(log_dir, name)))


logger = _make_logger()


def get_task_logger(task_id: object) -> Logger:
    """A logger of its own for a task."""
    return _make_logger(f"task_{task_id}")


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


def report_metrics_training(epoch: float, metrics: Mapping[str, object]) -> None:
    """Report numbers of the training at a moment in epochs."""
    _report_metrics("train", epoch, metrics)


def report_metrics_validation(epoch: float, metrics: Mapping[str, object]) -> None:
    """Report numbers of the validation at a moment in epochs."""
    _report_metrics("val", epoch, metrics)


def _report_metrics(kind: str, epoch: float, metrics: Mapping[str, object]) -> None:
    fields = {"event_type": EventType.METRICS, "type": kind, "epoch": epoch, "metrics": dict(metrics)}
    logger.info("metrics", extra=fields)


def report_checkpoint_saved(
    checkpoint_idx: int, subdir: str, sizeb: int, best_now: bool, optional_data: object = None
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
    """Report that the project that a network annotated is complete."""
    logger.info("model applied", extra={"event_type": EventType.MODEL_APPLIED})


def report_import_finished() -> None:
    """Report that the imported project is complete."""
    logger.info("import finished", extra={"event_type": EventType.IMPORT_APPLIED})


def report_dtl_finished() -> None:
    """Report that the transformed project is complete."""
    logger.info("DTL finished", extra={"event_type": EventType.DTL_APPLIED})


def report_dtl_verification_finished(output: object) -> None:
    """Report what the check of a transformation found."""
    fields = {"output": output, "event_type": EventType.TASK_VERIFIED}
    logger.info("Verification finished.", extra=fields)


def report_agent_rpc_ready() -> None:
    """Report that a deployed model answers requests."""
    logger.info("Ready to get events", extra={"event_type": EventType.TASK_DEPLOYED})


def function_wrapper(f: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a function; an exception is logged with its stack, and goes on."""
    return function_wrapper_external_logger(f, logger, *args, **kwargs)


def function_wrapper_external_logger(
    f: Callable[..., T], ext_logger: logging.Logger, *args: Any, **kwargs: Any
) -> T:
    """The same with another logger."""
    try:
        return f(*args, **kwargs)
    except Exception as error:
        ext_logger.error("%s", error, exc_info=True, extra={"exc_str": str(error)})
        raise


def function_wrapper_nofail(f: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
    """Call a function; of an exception, which is logged with its stack, comes None."""
    try:
        return function_wrapper(f, *args, **kwargs)
    except Exception:
        return None


def catch_silently(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
    """Call a function; of an exception comes None."""
    try:
        return fn(*args, **kwargs)
    except Exception:
        return None


def main_wrapper(main_name: str, main_func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Call ``main_func``; if it fails, report the crash with its traceback and end with exit code 1.

    With ``SLY_DEBUG`` set, the exception goes on instead.
    """
    try:
        logger.debug("Main started.", extra={"main_name": main_name})
        main_func(*args, **kwargs)
    except Exception as error:
        fields = {"main_name": main_name, "event_type": EventType.TASK_CRASHED, "exc_str": str(error)}
        said = f"Unexpected exception in main: {type(error).__name__}: {error}"
        logger.critical("%s", said, exc_info=True, extra=fields)
        logger.debug("Main finished: BAD.", extra={"main_name": main_name})
        if os.environ.get("SLY_DEBUG"):
            raise
        os._exit(1)  # threads and workers that still live must not keep the task alive
    logger.debug("Main finished: OK.", extra={"main_name": main_name})
