"""Running foreign code in this process: within a time limit, and leaving the process as it was."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

GRACE = 5.0  # seconds in which code whose time is up may let itself be ended
_STREAMS = ("stdin", "stdout", "stderr")
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE)


class ImportTimeout(BaseException):
    """An import took too long; no plugin's ``except Exception`` should swallow it."""


@contextmanager
def contained(seconds: float, end: Callable[[], None]) -> Iterator[None]:
    """Run the block, and then change back what it has changed in the process as a whole.

    Args:
        seconds: after which :class:`ImportTimeout` is raised in it, if this is the main thread.
        end: called ``GRACE`` seconds later, in another thread, if the block still runs: it has swallowed the
            exception, or never comes back to Python.
    """
    me = os.getpid()
    with _time_limit(seconds, end), _unchanged_process():
        try:
            yield
        finally:
            if os.getpid() != me:  # a fork that the block has made must not go on as if it were this process
                os._exit(0)


@contextmanager
def _time_limit(seconds: float, end: Callable[[], None]) -> Iterator[None]:
    if not _in_main_thread():
        yield
        return

    def late(number: int, frame: FrameType | None) -> None:
        raise ImportTimeout

    backstop = threading.Timer(seconds + GRACE, end)
    backstop.daemon = True
    before: Callable[..., Any] | int | None = signal.signal(signal.SIGALRM, late)
    try:
        backstop.start()
        faulthandler.dump_traceback_later(seconds + 2 * GRACE, exit=True, file=2)  # if no thread can run
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)  # again: an `except:` may swallow the first
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()
        backstop.cancel()


@contextmanager
def _unchanged_process() -> Iterator[None]:
    if not _in_main_thread():  # whatever changes meanwhile may be another's work
        yield
        return
    folder = _working_folder()
    streams = {name: getattr(sys, name) for name in _STREAMS}
    descriptors = {number: os.dup(number) for number in range(3) if _is_open(number)}
    handlers = {number: signal.getsignal(number) for number in _HANDLED}
    if told := not faulthandler.is_enabled() and 2 in descriptors:
        faulthandler.enable(2)  # a known plugin that now crashes says where
    try:
        yield
    finally:
        if told:
            faulthandler.disable()
        for number, copy in descriptors.items():
            os.dup2(copy, number)
            os.close(copy)
        for name, stream in streams.items():
            if getattr(stream, "closed", False):
                number = _STREAMS.index(name)
                mode = "w" if number else "r"
                stream = open(number, mode, errors="replace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        if folder is not None and folder != _working_folder():
            with suppress(OSError):
                os.chdir(folder)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _working_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
