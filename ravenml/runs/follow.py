"""What a run prints, from its logs: all of it, the end of it, or as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from ravenml.common.formatting import terminal_safe
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.record import UNDER_WAY, read_record, status

_LOOK = 0.25  # seconds between two looks


class LogReader:
    """One ``console.log`` that is read from where the last look ended."""

    def __init__(self, path: Path, label: str) -> None:
        self.path = path
        self.label = label
        self._offset = 0
        self._rest = b""

    def start_at(self, lines: int) -> None:
        """Leave out all but the last ``lines`` lines that are there now."""
        content = self.read_bytes()
        kept = content.splitlines(keepends=True)[-lines:] if lines else []
        self._offset -= sum(map(len, kept))

    def read(self, all_of_it: bool = False) -> list[str]:
        """The new lines, without their ends; what has no end yet is held back unless ``all_of_it``."""
        content = self._rest + self.read_bytes()
        end = len(content) if all_of_it else content.rfind(b"\n") + 1
        rest = content[end:]
        # Of a bar that draws itself over and over, what stands there now is enough.
        self._rest = rest[rest.rstrip(b"\r").rfind(b"\r") + 1 :]
        text = content[:end].decode("utf-8", errors="replace")
        # A bar that redraws itself is one line: what stood there last.
        lines = (terminal_safe(line.rstrip("\r").rpartition("\r")[2]) for line in text.split("\n"))
        shown = [f"{self.label}{line}" for line in lines]
        return shown[:-1] if not text or text.endswith("\n") else shown

    def read_bytes(self) -> bytes:
        """All that is new, as it was printed."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self._offset:  # written anew
                    self._offset = 0
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise RavenError(f"{self.path} cannot be read: {error.strerror}.") from error
        self._offset += len(content)
        return content


def read_logs(folder: Path, tail: int | None = None, follow: bool = False) -> Iterator[str]:
    """The lines of a run's log, then those of its folds', each with the fold's name before it.

    What a terminal would obey is left out of them or shown in letters; see :func:`terminal_safe`.

    Args:
        folder: the run's folder.
        tail: only so many lines of each log to begin with.
        follow: go on with what comes, in order of arrival, until the run ends.
    """
    for log, ended in _read_all(folder, tail, follow):
        yield from log.read(all_of_it=ended)


def read_raw_logs(folder: Path, tail: int | None = None, follow: bool = False) -> Iterator[bytes]:
    """The bytes of a run's log, then those of its folds', as they were printed; see :func:`read_logs`."""
    for log, _ in _read_all(folder, tail, follow):
        yield log.read_bytes()


def _read_all(folder: Path, tail: int | None, follow: bool) -> Iterator[tuple[LogReader, bool]]:
    """Each log whenever it is to be read, and whether that is the last time."""
    known: dict[Path, LogReader] = {}
    while True:
        # Asked first: what is written between the last look and the end must be read once more.
        ended = not follow or status(folder, read_record(folder)) not in UNDER_WAY
        for place in [folder, *layout.fold_folders(folder)]:
            if place not in known:
                log = known[place] = LogReader(
                    place / layout.CONSOLE, "" if place == folder else f"fold {place.name} | "
                )
                if tail is not None:
                    log.start_at(tail)
            yield known[place], ended
        if ended:
            return
        time.sleep(_LOOK)
