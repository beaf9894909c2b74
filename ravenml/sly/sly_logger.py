"""What a plugin says: lines of JSON on stdout, one for each message, and the types of events."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from enum import Enum
from typing import Any

from ravenml.common.formatting import utc_timestamp

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


class JsonFormatter(logging.Formatter):
    """A record as a line of JSON: message, what stands in ``extra``, timestamp, level, and a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        extra = {name: value for name, value in vars(record).items() if name not in _USUAL}
        line: dict[str, Any] = {"message": record.getMessage(), **extra}
        line["timestamp"] = utc_timestamp(record.created)
        line["level"] = record.levelname.lower()
        if record.exc_info and record.exc_info[0] is not None:
            line["stack"] = "".join(traceback.format_exception(*record.exc_info)).splitlines()
        return json.dumps(line, default=_to_jsonable, ensure_ascii=False)


_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _to_jsonable(value: Any) -> Any:
    """Numpy's numbers and arrays, and what behaves like them, become plain; the rest becomes text."""
    if isinstance(value, Enum):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else str(value)


class Logger(logging.Logger):
    """A logger with the contract's further levels."""

    def trace(self, message: object, *arguments: Any, **more: Any) -> None:
        """Say what only somebody who looks for a fault wants to read."""
        self.log(TRACE, message, *arguments, **more)


class _Stdout(logging.StreamHandler):
    """Writes to what is ``sys.stdout`` at that moment, a line at a time."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stdout.write(self.format(record) + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):  # whoever read it has gone; a training does not end over that
            pass


def _make_logger() -> Logger:
    logging.addLevelName(TRACE, "TRACE")
    made = Logger("supervisely")
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
