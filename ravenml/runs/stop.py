"""Asking a run to stop: Ctrl-C, SIGTERM, or ``control.json``; and waiting for it.

A plugin that polls ``run.should_stop()`` is given the time to stop in good order; the second signal, or
the first one where nobody polls, interrupts at once.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from ravenml.common.io import write_json
from ravenml.common.schema import Fields, read_object
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.lock import is_locked
from ravenml.runs.record import UNDER_WAY, read_record, status

POLL = 1.0  # seconds between two looks at control.json
RECENT = 60.0  # a plugin that asked within this many seconds is believed to ask again
GRACE = 60.0  # seconds that a run has to end by itself
# What certainly ends a run: the first signal is a request to one that polls, the second interrupts it.
_SIGNALS = ((signal.SIGTERM, 5.0), (signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
_LOOK = 0.1


class Terminated(KeyboardInterrupt):
    """SIGTERM where nobody polls: unwinds like Ctrl-C."""


class StopFlag:
    """Whether the run is asked to stop, and by what."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.finishing = False  # once the run's end is being written, nothing may interrupt that
        self._asked_at = -RECENT
        self._looked_at = 0.0
        self._signalled = False

    def poll(self, folder: Path) -> bool:
        """True from the moment at which the run was asked to stop; costs well under a microsecond."""
        now = time.monotonic()
        self._asked_at = now
        if self.reason is None and now - self._looked_at > POLL:
            self._looked_at = now
            self.reason = _requested(folder)
        return self.reason is not None

    def storing(self) -> None:
        """The run is sealed and only being stored now, which Ctrl-C may interrupt again, at once."""
        self.finishing, self.reason, self._asked_at = False, None, -RECENT

    @property
    def polled(self) -> bool:
        """Whether somebody asks often enough to be trusted to stop by himself."""
        return time.monotonic() - self._asked_at < RECENT

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM while the block runs; outside the main thread nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.finishing:
            return
        # A request in control.json was no signal: whoever sends one after it, since he does not know whether
        # the request was seen, must not break off the checkpoint that it has led to.
        first, self._signalled = not self._signalled, True
        self.reason = self.reason or ("Ctrl-C" if number == signal.SIGINT else "SIGTERM")
        if first and self.polled:
            return  # nothing is printed here: the code that was interrupted may hold the stream's lock
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _requested(folder: Path) -> str | None:
    path = folder / layout.CONTROL
    if not path.exists():
        return None
    try:
        wanted = read_object(path, Fields({"request": str})).get("request")
    except RavenError:
        return None  # no request of ours
    return f"a request to {wanted}" if wanted in ("stop", "pause") else None


def stop_run(
    folder: Path, grace: float = GRACE, kill: bool = False, say: Callable[[str], None] = print
) -> str:
    """Ask the run in ``folder`` to stop, wait until it has, and return its status.

    The request lies in ``control.json``; a training that polls sees it within about a second, and saves what
    resuming needs.

    Args:
        folder: the run's folder.
        grace: seconds to wait.
        kill: whether a run that has not ended then is ended by SIGTERM, and at last by SIGKILL, with all
            processes that a program has started; only on the machine that it runs on.
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
            f"{folder.name} has not stopped within {grace:g} s: it is busy, or does not poll for "
            "requests; --kill ends it."
        )
    record = read_record(folder)
    if record["process"].get("host") != socket.gethostname():
        raise RavenError(
            f"{folder.name} runs on {record['process'].get('host')}; only there can its process be killed."
        )
    _end_by_signals(folder, int(record["process"]["pid"]), say)
    _kill_program(folder, say)  # what the program has left behind
    return status(folder, read_record(folder))


def _end_by_signals(folder: Path, pid: int, say: Callable[[str], None]) -> None:
    """End the process that writes a run's folder, and the program that it runs."""
    for attempt, (number, seconds) in enumerate(_SIGNALS):
        if attempt == 1 and _kill_program(folder, say) and _wait_until_ended(folder, seconds):
            return
        if is_locked(folder):  # so it lives, and its number is still its own
            say(f"Sending {number.name} to process {pid}.")
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
            except PermissionError:
                raise RavenError(f"Process {pid} of {folder.name} belongs to somebody else.") from None
        if _wait_until_ended(folder, seconds):
            return
    raise RavenError(f"{folder.name} is still running: the system has not ended its process {pid} yet.")


def _kill_program(folder: Path, say: Callable[[str], None]) -> int:
    """Kill what `raven run` runs, wherever its processes have gone, and return how many there were.

    `raven run` itself lives on and records the end.
    """
    pids = find_processes(folder)
    if pids:
        say(f"Sending SIGKILL to the program's {len(pids)} process{'es' if len(pids) > 1 else ''}.")
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)


def find_processes(folder: Path) -> list[int]:
    """The processes of this user that have a run's folder as ``RAVENML_RUN`` in their environment (Linux)."""
    wanted = os.fsencode(f"{layout.RUN_VARIABLE}={folder.absolute()}")
    found = []
    with suppress(OSError):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                if wanted in Path("/proc", name, "environ").read_bytes().split(b"\0"):
                    found.append(int(name))
    return found


def _wait_until_ended(folder: Path, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while True:
        # The lock, too: a run that has written its result is not done with its folder before it lets go.
        if status(folder, read_record(folder)) not in UNDER_WAY and not is_locked(folder):
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(_LOOK)
