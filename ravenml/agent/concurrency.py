"""How many tasks run at once on this machine."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable

from ravenml.agent.task import tasks_dir


def take_slot(limit: int, wait: Callable[[], None] | None = None) -> int:
    """One of ``limit`` slots, waiting for it; as a file that holds it for as long as anybody has it open.

    The supervisor has it open, so that the slot is taken for as long as the program runs, whatever becomes of
    the agent.

    Args:
        limit: how many tasks may run at once.
        wait: is called once, when there is none at first.
    """
    folder = tasks_dir() / ".slots"
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        for number in range(limit):
            file = os.open(folder / str(number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file
            except OSError:
                os.close(file)
        if wait is not None:
            wait()
            wait = None
        time.sleep(0.5)
