"""Asking a run to stop, and seeing what comes of it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from ravenml.common.io import write_json
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.lock import is_locked
from ravenml.runs.record import UNDER_WAY, read_record, status

GRACE = 60.0  # seconds that a run has to end by itself
# What ends a run for sure: the first signal is a request to one that polls, the second interrupts it.
_SIGNALS = ((signal.SIGTERM, 5.0), (signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
_LOOK = 0.1


def stop_run(
    folder: Path, grace: float = GRACE, kill: bool = False, say: Callable[[str], None] = print
) -> str:
    """Ask the run in ``folder`` to stop, wait until it has, and return its status.

    The request lies in ``control.json``; a training that polls sees it within about a second, and saves what
    resuming needs.

    Args:
        folder: the run's folder.
        grace: seconds to wait.
        kill: whether a run that has not ended then is ended by SIGTERM, and at last by SIGKILL; only on the
            machine that it runs on.
        say: is told what is being waited for.

    Raises:
        InputError: the run is not running.
        RavenError: it is still running after all that; the sentence says what could be done.
    """
    now = status(folder, read_record(folder))
    if now not in UNDER_WAY:
        raise InputError(f"{folder.name} is not running: it is {now}.")
    write_json(folder / layout.CONTROL, {"request": "stop"})
    say(f"Asked {folder.name} to stop; waiting up to {grace:g} s.")
    if _wait_until_ended(folder, grace):
        return status(folder, read_record(folder))
    if not kill:
        raise RavenError(
            f"{folder.name} has not stopped within {grace:g} s: it is busy, or it does not look for "
            "requests; --kill ends it for sure."
        )
    record = read_record(folder)
    if record["process"].get("host") != socket.gethostname():
        raise RavenError(
            f"{folder.name} runs on {record['process'].get('host')}; only there can its process be killed."
        )
    for number, seconds in _SIGNALS:
        pid = int(record["process"]["pid"])
        if is_locked(folder):  # so it lives, and its number is still its own
            say(f"Sending {number.name} to process {pid}.")
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
            except PermissionError:
                raise RavenError(f"Process {pid} of {folder.name} belongs to somebody else.") from None
        if _wait_until_ended(folder, seconds):
            return status(folder, read_record(folder))
    raise RavenError(f"{folder.name} is still running: the system has not ended its process {pid} yet.")


def _wait_until_ended(folder: Path, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while True:
        # The lock, too: a run that has written its result is not done with its folder before it lets go.
        if status(folder, read_record(folder)) not in UNDER_WAY and not is_locked(folder):
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(_LOOK)
