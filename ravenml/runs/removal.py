"""Removing runs, whole or not at all."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from ravenml.common.io import to_user_error
from ravenml.common.locks import is_held
from ravenml.config.home import home, runs_dir
from ravenml.errors import InputError, RavenError
from ravenml.runs.layout import HEARTBEAT
from ravenml.runs.lock import RunLock
from ravenml.runs.record import read_record, status

REMOVED = ".removed-"
IMPORTING = ".importing-"
BEGINNING = ".beginning-"
_STALE = 86400.0  # seconds; what is being begun, removed or imported does not take longer


def check_removable(folder: Path) -> None:
    """Refuse a run that is running, or waits on a cluster for its turn; or whose program runs on without it.

    Raises:
        InputError: it is; the sentence says how to stop it.
    """
    task = _task_folder(folder)
    if is_held(task / "alive"):
        raise InputError(
            f"The program of {folder.name} is still running; `raven agent attach {folder.name}` follows it, "
            f"and with `raven runs stop {folder.name}` ends it."
        )
    try:
        now = status(folder, read_record(folder))
    except RavenError:
        return  # a broken record: only the lock can tell
    if now in ("running", "waiting"):
        does = "is running" if now == "running" else "waits for its cluster"
        raise InputError(f"{folder.name} {does}; stop it first: raven runs stop {folder.name}")


def may_come_back(folder: Path) -> bool:
    """Whether a run was sent to a cluster and has not ended there: whoever watches may send it again."""
    return (folder / HEARTBEAT).exists()


def _task_folder(folder: Path) -> Path:
    """Where the agent keeps the task of a run, if it was one and something is left of it."""
    return home() / "agent" / folder.name


def remove_run(folder: Path) -> None:
    """Remove a run's folder: from one moment to the next it is not a run any more, then its files go, and
    with them the task folder that the agent kept, whose links are not followed.

    What was stored of it elsewhere stays there.

    Raises:
        RavenError: it is running, or may not be removed by this user.
    """
    check_removable(folder)
    lock = RunLock(folder)
    gone = folder.with_name(f"{REMOVED}{folder.name}-{os.getpid()}")
    try:
        os.rename(folder, gone)
    except OSError as error:
        raise to_user_error(error, folder) from error
    finally:
        lock.release()
    sweep()
    for left in (gone, _task_folder(folder)):
        try:
            if left.is_dir():
                shutil.rmtree(left)
        except OSError as error:
            raise to_user_error(error, left) from error


def sweep() -> None:
    """Finish what killed removals, imports and beginnings have left."""
    for pattern in (f"{REMOVED}*", f"{IMPORTING}*", f"{BEGINNING}*"):
        for left in runs_dir().glob(pattern):
            try:
                old = time.time() - left.stat().st_mtime > _STALE
            except OSError:
                continue
            if old:
                shutil.rmtree(left, ignore_errors=True)
