"""Commands that a page starts: processes of their own, which go on when browser and dashboard are gone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ravenml.config.home import cache_dir
from ravenml.store.ids import new_id

_LOOK = 0.1
_TAIL = 16_384  # bytes of a log that are looked at


@dataclass
class Started:
    """A command that was started.

    Attributes:
        process: it; whoever waits for it takes its end in.
        log: where it prints.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """The last thing that it printed, without the label of errors."""
        lines = [line.strip() for line in self.tail().splitlines() if line.strip()]
        return (lines[-1] if lines else "").removeprefix("Error: ")

    def tail(self) -> str:
        """The end of what it printed."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - _TAIL))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    async def ended(self, seconds: float) -> int | None:
        """Its exit code, as soon as it has ended; None if it has not within this time."""
        end = time.monotonic() + seconds
        while (code := self.process.poll()) is None and time.monotonic() < end:
            await asyncio.sleep(_LOOK)
        return code


def start(arguments: Sequence[str], folder: Path | None = None) -> Started:
    """Start ``raven`` with these arguments, in a session of its own.

    Args:
        arguments: behind ``raven``.
        folder: where; the dashboard's own without it.

    Raises:
        OSError: it cannot be started.
    """
    log = cache_dir() / "dashboard" / f"{new_id()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ravenml", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
    return Started(process, log)
