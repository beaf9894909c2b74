"""The process beside a run in which its readers work: ``python -m ravenml.runs.exporters.sidecar FOLDER``.

The run's owner starts it and never hears of it again.  Each reader has a thread, so that one that hangs
holds up no other, and its cursor, so that what one misses is brought later by ``raven runs sync``.  It
follows the run, and its folds, until they have ended and all has been brought.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ravenml.common.io import is_scratch
from ravenml.common.secrets import redact_text
from ravenml.config.config import Config, load_config
from ravenml.config.notify import Notify
from ravenml.runs import layout
from ravenml.runs.exporters.cursor import ExportCursor
from ravenml.runs.exporters.registry import configured_exporters, load_exporter
from ravenml.runs.exporters.start_sidecar import start_sidecar
from ravenml.runs.notify import Notifier
from ravenml.runs.record import read_record, status

PERIOD = 1.0  # seconds between two looks
GIVE_UP = 120.0  # seconds after the run's end after which what cannot be brought is left to `raven runs sync`
LONGEST_PAUSE = 60.0  # seconds between two tries of a reader that fails


def follow(folder: Path, name: str, config: Config) -> None:
    """Bring a run's events with one reader until the run has ended and nothing is left."""
    cursor = ExportCursor(name, load_exporter(name), folder, config, wait=True)
    pause, ended_at = PERIOD, None
    try:
        while True:
            state = status(folder, read_record(folder))  # before the look: what came before its end is seen
            if state != "running" and ended_at is None:
                ended_at = time.monotonic()
            try:
                while cursor.bring():
                    pause = PERIOD
                if state != "running":
                    cursor.close(state)
                    return
            except Exception as error:
                _log(f"{name}: {type(error).__name__}: {error}")
                with suppress(Exception):
                    cursor.fail(error)
                pause = min(LONGEST_PAUSE, pause * 2)
            if ended_at is not None and time.monotonic() - ended_at > GIVE_UP:
                _log(f"{name}: given up; later: raven runs sync {folder.name} --to {name}")
                return
            time.sleep(pause)
    finally:
        cursor.release()


def main(arguments: Sequence[str]) -> None:
    """Follow the run in ``arguments[0]`` with all readers, or with those that are named behind it."""
    folder = Path(arguments[0])
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # whoever started us may have blocked some
    with suppress(OSError):
        os.nice(10)  # the training comes first
    config = load_config()
    names = list(arguments[1:]) or configured_exporters(config)
    threads: dict[tuple[Path, str], threading.Thread] = {}
    if config.notify is not None and not arguments[1:] and not is_scratch(folder):
        threads[folder, ""] = _begin_to_notify(folder, config.notify)
    if not names and not threads:
        return
    ended_at: float | None = None
    while True:
        for place in _folders(folder):
            for name in names:
                if (place, name) not in threads:
                    threads[place, name] = _begin(place, name, config, folder)
        if ended_at is None and status(folder, read_record(folder)) != "running":
            ended_at = time.monotonic()
        if ended_at is not None and not any(thread.is_alive() for thread in threads.values()):
            return
        if ended_at is not None and time.monotonic() - ended_at > GIVE_UP + LONGEST_PAUSE:
            sys.stdout.flush()
            os._exit(1)  # a reader hangs
        time.sleep(PERIOD / 2)


def _begin(place: Path, name: str, config: Config, run: Path) -> threading.Thread:
    def work() -> None:
        try:
            if place != run and getattr(load_exporter(name), "alone", False):
                start_sidecar(place, [name])  # a fold, where a process has room for one
            else:
                follow(place, name, config)
        except Exception as error:
            _log(f"{name}: {type(error).__name__}: {error}")

    thread = threading.Thread(target=work, name=f"{place.name} {name}", daemon=True)
    thread.start()
    return thread


def _begin_to_notify(folder: Path, settings: Notify) -> threading.Thread:
    notifier = Notifier(folder, settings, _log)

    def work() -> None:
        while folder.exists():
            try:
                if not notifier.look():
                    return
            except Exception as error:
                _log(f"notify: {type(error).__name__}: {error}")
            time.sleep(PERIOD)

    thread = threading.Thread(target=work, name="notify", daemon=True)
    thread.start()
    return thread


def _folders(run: Path) -> list[Path]:
    """The run's folder and those of its folds that have begun."""
    return [place for place in (run, *layout.fold_folders(run)) if (place / layout.RUN_JSON).exists()]


def _log(line: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), redact_text(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # no tracker's own threads or exit handlers hold us up: all was brought
