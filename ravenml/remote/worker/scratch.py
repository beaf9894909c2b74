"""A worker's folder on its machine: locked while it is used, and removed by the next one if it was killed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ravenml.runs.lock import is_held

_PREFIX, _LOCK = "raven-work-", "in-use"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for one training; what workers that were killed have left behind is removed."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with (folder / ".new").open("w") as lock:
            # Under its name it is held from the first moment on.  A lock, and no number of a process: other
            # containers of this machine, whose processes have numbers of their own, may share the folder.
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / ".new").rename(folder / _LOCK)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if (left / _LOCK).exists() and not is_held(left / _LOCK):
            shutil.rmtree(left, ignore_errors=True)
