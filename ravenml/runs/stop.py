"""Asking a run to stop: Ctrl-C, SIGTERM, or ``control.json``.

A plugin that polls ``run.should_stop()`` is given the time to stop in good order; the second signal, or
the first one where nobody polls, interrupts at once.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ravenml.common.io import read_json
from ravenml.runs.layout import CONTROL

POLL = 1.0  # seconds between two looks at control.json
RECENT = 60.0  # a plugin that asked within this many seconds is believed to ask again


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
    path = folder / CONTROL
    if not path.exists():
        return None
    try:
        request = read_json(path)
    except Exception:
        return None  # being written; the next look reads it
    wanted = request.get("request") if isinstance(request, dict) else None
    return f"a request to {wanted}" if wanted in ("stop", "pause") else None
