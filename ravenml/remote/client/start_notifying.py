"""Which sent runs people have to be told of, and starting the process that does (``notifying.py``)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ravenml.common.locks import is_held
from ravenml.common.permissions import make_folder
from ravenml.config.home import home

MODULE = "ravenml.remote.client.notifying"


def marks() -> Path:
    """The folder with an empty file for each run that people are still to be told of."""
    return home() / "remote" / "notify"


def lock_file() -> Path:
    """What the process that tells them holds locked."""
    return marks() / ".lock"


def marked() -> list[str]:
    """The names of these runs, the oldest first."""
    try:
        return sorted(name for name in os.listdir(marks()) if not name.startswith("."))
    except FileNotFoundError:
        return []


def tell_about(run_id: str) -> None:
    """Have people told how a run goes that was sent from here."""
    make_folder(marks())
    (marks() / run_id).touch()
    start_notifying()


def start_notifying() -> None:
    """Start the process, if there are runs to be told of and it is not there."""
    if not marked() or is_held(lock_file()):
        return
    with (marks() / ".log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=marks(),
            env={**os.environ, "RAVENML_STORAGE_PATH": str(home())},
            start_new_session=True,
        )
