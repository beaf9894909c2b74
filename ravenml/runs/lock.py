"""One writer per run: a lock that the operating system drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ravenml.common.io import to_user_error
from ravenml.errors import RavenError
from ravenml.runs.layout import LOCK


class RunLock:
    """Held by the process that writes a run's folder, for as long as it does.

    Raises:
        RavenError: another process holds it; the sentence names its number.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        try:
            self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise to_user_error(error, path) from error
        if not self._acquire():
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise RavenError(
                f"The run in {folder} is still being written by process {holder}; stop it first."
            )
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            self.release()
            raise to_user_error(error, path) from error

    def _acquire(self) -> bool:
        """Try for a moment: whoever asks for the status holds the lock for an instant."""
        for _ in range(20):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                time.sleep(0.025)
        return False

    def release(self) -> None:
        """Let go; a second time does nothing."""
        if self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_UN)  # for children that were forked too
            os.close(self._file)
            self._file = -1


def is_locked(folder: Path) -> bool:
    """Whether a living process of this machine holds the run's lock."""
    return is_held(folder / LOCK)


def is_held(path: Path) -> bool:
    """Whether a living process of this machine holds a file's lock; a file that is not there is free."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs, after whoever holds it now.

    Raises:
        RavenError: the folder may not be written.
    """
    try:
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            os.close(file)
            raise
    except OSError as error:
        raise to_user_error(error, path) from error
    try:
        yield
    finally:
        os.close(file)
