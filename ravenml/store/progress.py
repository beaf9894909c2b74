"""How far a transfer is, for people: a bar with bytes per second on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from ravenml.common.formatting import format_size

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


class Meter:
    """Counts bytes from any thread, and shows them while the block lasts.

    Attributes:
        done: the bytes that have gone.
    """

    def __init__(self, title: str, total: int, show: bool | None = None) -> None:
        self.done = 0
        self._title, self._total = title, total
        self._show = sys.stderr.isatty() if show is None else show
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._bar: tuple[Bar, TaskID] | None = None

    def __call__(self, count: int) -> None:
        with self._lock:
            self.done += count
            if self._bar is not None:
                bar, task = self._bar
                bar.update(task, completed=self.done)

    def __enter__(self) -> Meter:
        if self._show and self._total:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(binary_units=True),
                TransferSpeedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar = bar, bar.add_task(self._title, total=self._total)
            bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar[0].stop()

    def summary(self) -> str:
        """``12.3 MiB in 4 s, 3.1 MiB/s``."""
        seconds = max(time.monotonic() - self._began, 1e-3)
        return f"{format_size(self.done)} in {seconds:.1f} s, {format_size(self.done / seconds)}/s"
