"""Telling people how the runs go that were sent from here: ``python -m ravenml.remote.client.notifying``.

The machine that sent a run tells of it: what ``notify:`` names may be a program or a port of this machine,
and everybody on a cluster could read a webhook's URL in the job.  One process per home follows all of them
until they have ended.  A run's mark goes when its end was told, so that where the process was killed, the
next `raven runs …` starts it again.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from ravenml.common.locks import LockHeld, open_locked
from ravenml.common.permissions import make_folder
from ravenml.common.secrets import redact_text
from ravenml.config.config import load_config
from ravenml.config.home import runs_dir
from ravenml.remote.client.start_notifying import lock_file, marked, marks
from ravenml.remote.client.submit import REMOTE
from ravenml.remote.client.sync import refresh_all
from ravenml.remote.mirror import PERIOD
from ravenml.runs.notify import Notifier
from ravenml.runs.record import read_record, status


def main() -> None:
    """Tell of all marked runs; nothing where another process does."""
    with suppress(OSError):
        os.nice(10)
    make_folder(marks())
    while marked():  # once more when the lock is free: who marked a run just now may have found it held
        try:
            lock = open_locked(lock_file(), patience=0)
        except LockHeld:
            return
        try:
            _follow()
        finally:
            os.close(lock)


def _follow() -> None:
    watched: dict[str, _SentRun] = {}
    while names := marked():
        refresh_all(_log)
        for name in names:
            folder = runs_dir() / name
            try:
                going_on = watched.setdefault(name, _SentRun(folder)).look()
            except Exception as error:
                _log(f"{name}: {error or type(error).__name__}")
                going_on = (folder / REMOTE).exists()  # else it was removed
            if not going_on:
                (marks() / name).unlink(missing_ok=True)
                watched.pop(name, None)
        time.sleep(PERIOD)


class _SentRun:
    """A run that was sent, as its folder here shows it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        settings = load_config().notify
        self._notifier = Notifier(folder, settings, _log) if settings is not None else None
        self._was_lost = False

    def look(self) -> bool:
        """Tell what is new; whether there may be more to tell."""
        if self._notifier is None:
            return False
        is_lost = status(self._folder, read_record(self._folder)) == "lost"
        if is_lost and self._was_lost:
            return True
        self._was_lost = is_lost
        return self._notifier.look() or is_lost  # it is sent again when its cluster answers


def _log(line: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), redact_text(line), flush=True)


if __name__ == "__main__":
    main()
