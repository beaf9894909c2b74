"""What the dashboard leaves in the home (logs of commands, pictures, curves, uploads), swept by age and size.

All of it is derived, or of interest for a while only.  A process holds the log that it prints into (see
``processes.start``), and what was written within the last hour may be in use, so neither is deleted.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ravenml.config.home import cache_dir, runs_dir
from ravenml.dashboard.processes import is_printing
from ravenml.dashboard.train.draft import drafts_dir

DAY = 86400.0  # seconds
_YOUNG = 3600.0  # seconds for which a file may be in use after it was written


@dataclass(frozen=True)
class Leftovers:
    """Files of one kind.

    Attributes:
        folder: where they lie, at any depth.
        days: how long one stays after it was written last.
        most: how many bytes all may have together; the oldest go first.
        suffix: only files whose name ends so.
        needed: whether a file has to stay all the same.
    """

    folder: Path
    days: float
    most: int
    suffix: str = ""
    needed: Callable[[Path], bool] = lambda path: False

    def sweep(self, now: float) -> int:
        """Delete what is too old, or too much; how many files."""
        files = sorted(self._files())
        held = sum(size for _, size, _ in files)
        deleted = 0
        for written, size, path in files:
            if now - written < self.days * DAY and held <= self.most:
                break
            if now - written < _YOUNG or self.needed(path):
                continue
            with suppress(OSError):
                path.unlink()
                held -= size
                deleted += 1
                if path.parent != self.folder:
                    path.parent.rmdir()  # only if it is empty now
        return deleted

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When each was written, its bytes, and where it is."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name.endswith(self.suffix):
                    with suppress(OSError):
                        path = Path(folder, name)
                        found = path.lstat()
                        yield found.st_mtime, found.st_size, path


def leftovers() -> list[Leftovers]:
    """All that is swept, but uploads (``models/upload.py``)."""
    logs, cache = drafts_dir() / "logs", cache_dir()
    return [
        Leftovers(logs, 90, 256 << 20, ".log", is_printing),
        # What a training was started with, for as long as there is the training.
        Leftovers(logs, 90, 0, ".yml", lambda path: (runs_dir() / path.stem).exists()),
        Leftovers(cache / "dashboard", 30, 64 << 20, ".log", is_printing),
        Leftovers(cache / "thumbnails", 90, 2 << 30),
        Leftovers(cache / "augmented", 30, 256 << 20),
        Leftovers(cache / "series", 90, 2 << 30),
        Leftovers(cache / "surveys", 90, 256 << 20),
        Leftovers(cache / "nicegui", 30, 64 << 20),
    ]


def sweep(kinds: Sequence[Leftovers], now: float | None = None) -> int:
    """Sweep once; how many files were deleted."""
    return sum(one.sweep(time.time() if now is None else now) for one in kinds)


def sweep_daily(kinds: Sequence[Leftovers]) -> None:
    """Sweep now and every day, in a thread, for as long as this process lives."""

    def work() -> None:
        while True:
            sweep(kinds)
            time.sleep(DAY)

    threading.Thread(target=work, name="sweep", daemon=True).start()
