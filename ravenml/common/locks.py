"""Locks on files, which the operating system drops when the last process that has them open dies."""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ravenml.common.io import to_user_error
from ravenml.common.permissions import open_file


class LockHeld(Exception):
    """Another process holds the lock.

    Attributes:
        holder: the number of that process, or an empty string where it is not known.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


def acquire(file: int, patience: float = math.inf) -> bool:
    """Lock an open file for this process and its children that inherit it.

    Args:
        file: its descriptor; closing all copies of it releases the lock.
        patience: how many seconds to wait for another holder.

    Returns:
        Whether it is locked; False if another process holds it.
    """
    if patience == math.inf:
        fcntl.flock(file, fcntl.LOCK_EX)
        return True
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.025)


def open_locked(path: Path, patience: float = math.inf, mode: int | None = None) -> int:
    """Open a file, created if need be, lock it, and write the number of this process into it.

    Returns:
        Its descriptor; see :func:`acquire`.

    Raises:
        LockHeld: another process has held it for ``patience`` seconds.
        RavenError: it may not be written.
    """
    try:
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
        file = open_file(path, flags) if mode is None else os.open(path, flags, mode)
        try:
            if not acquire(file, patience):
                raise LockHeld(os.pread(file, 32, 0).decode(errors="replace").strip())
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(file)
            raise
    except OSError as error:
        raise to_user_error(error, path) from error
    return file


def release(file: int) -> None:
    """Release a lock, for children that have inherited it too, and close the file."""
    fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs; waits for its holder.

    Raises:
        RavenError: the folder may not be written.
    """
    file = open_locked(path)
    try:
        yield
    finally:
        os.close(file)


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
