"""What a plugin's program is wrapped in."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ravenml.sly.sly_logger import EventType, logger


def main_wrapper(main_name: str, main_func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Call ``main_func``; if it fails, report the crash with its traceback and end with exit code 1.

    With ``SLY_DEBUG`` set, the exception goes on instead.
    """
    try:
        logger.debug("Main started.", extra={"main_name": main_name})
        main_func(*args, **kwargs)
    except Exception as error:
        fields = {"main_name": main_name, "event_type": EventType.TASK_CRASHED, "exc_str": str(error)}
        logger.critical("Unexpected exception in main.", exc_info=True, extra=fields)
        if os.environ.get("SLY_DEBUG"):
            raise
        os._exit(1)  # threads and workers that still live must not keep the task alive
    logger.debug("Main finished: OK.", extra={"main_name": main_name})
