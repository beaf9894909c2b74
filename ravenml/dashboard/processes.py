"""Commands that a page starts: processes of their own, which go on when browser and dashboard are gone."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.permissions import make_folder
from ravenml.config.home import cache_dir
from ravenml.serve.access import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from ravenml.store.ids import new_id

_LOOK = 0.1
_TAIL = 16_384  # bytes of a log that are looked at


@dataclass
class Started:
    """A command that was started.

    Attributes:
        process: it; its end is taken in.
        log: where it prints.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def last_line(self) -> str:
        """The last thing that it printed, without the label of errors."""
        lines = [line.strip() for line in self.tail().splitlines() if line.strip()]
        return (lines[-1] if lines else "").removeprefix("Error: ")

    def tail(self) -> str:
        """The end of what it printed."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - _TAIL))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    async def wait(self, seconds: float) -> int | None:
        """Its exit code, as soon as it has ended; None if it has not within this time."""
        end = time.monotonic() + seconds
        while (code := self.process.poll()) is None and time.monotonic() < end:
            await asyncio.sleep(_LOOK)
        return code


def start(
    arguments: Sequence[str],
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    keep: Sequence[int] = (),
) -> Started:
    """Start ``raven`` with these arguments, in a session of its own.

    Args:
        arguments: behind ``raven``.
        log: the file behind whose end it prints, which is the user's alone; one in the cache without it.
        environment: instead of this process's.  The dashboard's own token is left out of either.
        keep: open files that it goes on holding, such as a lock.

    Raises:
        OSError: it cannot be started.
    """
    if log is None:
        log = cache_dir() / "dashboard" / f"{new_id()}.log"
    make_folder(log.parent)
    own = without_token(os.environ if environment is None else environment)
    output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(output, fcntl.LOCK_SH)  # for as long as a process has it open
        process = subprocess.Popen(
            # -P: a module in the working folder must not stand in for one of Python's or ours.
            [sys.executable, "-P", "-m", "ravenml", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=own | {"PYTHONUNBUFFERED": "1"},
            pass_fds=keep,
            start_new_session=True,
        )
    finally:
        os.close(output)
    # Whoever starts a process has to hear of its end, or it stays in the table of processes.
    threading.Thread(target=process.wait, daemon=True).start()
    return Started(process, log)


def is_printing(log: Path) -> bool:
    """Whether a command that :func:`start` started may still print into a log."""
    try:
        file = os.open(log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def without_token(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment that does not let its owner into the dashboard.

    Whoever was given the address of a model's server, or reads what a training makes, may not start
    processes here.
    """
    ours = (TOKEN_VARIABLE, TOKEN_FILE_VARIABLE)
    return {name: value for name, value in environment.items() if name not in ours}
