"""Starting a training as a process of its own: the one way in which folds are run."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.permissions import make_folder, open_file
from ravenml.runs.layout import CONSOLE

PARENT = "RAVENML_PARENT_RUN"  # in a child's environment: the folder of the run that it is a fold of
FOLD = "RAVENML_FOLD"
PARENT_PID = "RAVENML_PARENT_PID"


@dataclass
class Child:
    """A training in a process of its own, which writes the run in ``folder``."""

    folder: Path
    process: subprocess.Popen[bytes]

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.process.poll()

    def ask_to_stop(self) -> None:
        """SIGTERM: the training may save what resuming needs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, for it and for what it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)


def launch(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Child:
    """Start ``raven`` with ``arguments``; all that it prints goes to ``folder/console.log``.

    The child leads a process group of its own, so that Ctrl-C on the terminal reaches the parent alone,
    which then asks its children to stop.
    """
    make_folder(folder)
    with os.fdopen(open_file(folder / CONSOLE, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as log:
        process = subprocess.Popen(
            # -P: a module in the working folder must not stand in for one of Python's or ours.
            [sys.executable, "-P", "-m", "ravenml", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", PARENT_PID: str(os.getpid()), **environment},
            start_new_session=True,
        )
    return Child(folder, process)


def end_with_parent() -> None:
    """In a child: be asked to stop when the parent dies, however it dies (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    if str(os.getppid()) != os.environ.get(PARENT_PID, str(os.getppid())):
        raise KeyboardInterrupt  # it died before we could ask to be told
