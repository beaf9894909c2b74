"""One writer per run: a lock that the operating system drops when its holder dies."""

from __future__ import annotations

from pathlib import Path

from ravenml.common.locks import LockHeld, is_held, open_locked, release
from ravenml.errors import RavenError
from ravenml.runs.layout import LOCK


class RunLock:
    """Held by the process that writes a run's folder, for as long as it does.

    Raises:
        RavenError: another process holds it; the sentence names its number.
    """

    def __init__(self, folder: Path) -> None:
        try:
            # For a moment: whoever asks for the status holds the lock for an instant.
            self._file = open_locked(folder / LOCK, patience=0.5)
        except LockHeld as held:
            raise RavenError(
                f"The run in {folder} is still being written by process {held.holder or 'unknown'}; "
                "stop it first."
            ) from None

    def release(self) -> None:
        """Let go; a second time does nothing."""
        if self._file >= 0:
            release(self._file)
            self._file = -1


def is_locked(folder: Path) -> bool:
    """Whether a living process of this machine holds the run's lock."""
    return is_held(folder / LOCK)
