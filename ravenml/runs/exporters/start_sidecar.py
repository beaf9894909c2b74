"""Starting the process beside a run in which its readers work; light, since every run does it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ravenml.common.permissions import make_folder
from ravenml.config.home import home

FOLDER = "readers"  # in the run's folder
LOG = "sidecar.log"
MODULE = "ravenml.runs.exporters.sidecar"


def start_sidecar(folder: Path, only: Sequence[str] = ()) -> None:
    """Start the readers of the run in ``folder`` in a process of their own, which outlives this one."""
    place = folder / FOLDER
    make_folder(place)
    environment = {**os.environ, "RAVENML_STORAGE_PATH": str(home())}
    with (place / LOG).open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE, str(folder), *only],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=place,
            env=environment,
            start_new_session=True,
        )
