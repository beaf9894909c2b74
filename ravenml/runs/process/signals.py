"""Signals that are meant for the program reach the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

FORWARDED = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
)
_KERNEL = 0x80  # si_code of what a terminal sends


class SignalForwarder:
    """While the block runs, signals end the child and not this process, which stays to record how it ended.

    Ctrl-C on a terminal reaches the child from there, and is not sent to it a second time.  The child is
    started within the block and handed over by :meth:`forward_to`.

    Attributes:
        came: the numbers of the signals that came.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._done = False
        self._before: dict[int, Any] = {}
        self._mask: set[Any] | None = None
        self._waiting: threading.Thread | None = None

    def __enter__(self) -> SignalForwarder:
        for number in FORWARDED:
            if (
                signal.getsignal(number) is not signal.SIG_IGN
            ):  # what is ignored (nohup) the child ignores too
                self._before[number] = signal.signal(number, self._remember)
        return self

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received.append(number)

    def forward_to(self, child: subprocess.Popen[bytes], resized: Callable[[], None]) -> None:
        """Send ``child`` what comes from now on, and what has come since the block began.

        Args:
            resized: is called when the terminal's size has changed.
        """
        self._child = child
        waited = {*self._before, int(signal.SIGWINCH)}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
        for number in self.received:
            self._send(number)
        self._waiting = threading.Thread(
            target=self._wait, args=[waited, resized], name="signals", daemon=True
        )
        self._waiting.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done = True
        if self._waiting is not None and self._waiting.ident is not None:
            signal.pthread_kill(self._waiting.ident, signal.SIGWINCH)
            self._waiting.join(1.0)
        if self._mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _wait(self, waited: set[int], resized: Callable[[], None]) -> None:
        while True:
            number, from_terminal = _next(waited)
            if self._done:
                return
            if number == signal.SIGWINCH:
                resized()
                continue
            self.received.append(number)
            if not from_terminal:
                self._send(number)

    def _send(self, number: int) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)


def _next(waited: set[int]) -> tuple[int, bool]:
    """The next signal, and whether a terminal sent it to the whole group of processes."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(waited)
        return info.si_signo, info.si_code == _KERNEL
    number = signal.sigwait(waited)
    return number, number in (signal.SIGINT, signal.SIGQUIT) and _in_foreground()


def _in_foreground() -> bool:
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
