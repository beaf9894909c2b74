"""How far work on many images is, for people: a bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from ravenml.common.formatting import format_duration

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

LINE_EVERY = 10.0  # seconds


class ImageProgress:
    """Counts images and shows them on stderr, with images per second and the time that is left."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.done, self.total = 0, total
        self._stream = stream or sys.stderr
        self._began = self._said = time.monotonic()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> ImageProgress:
        self._began = self._said = time.monotonic()  # what was prepared before is not an image's time
        if self._stream.isatty() and self.total:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("Images"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                console=Console(file=self._stream),
                transient=True,
            )
            self._task = self._bar.add_task("", total=self.total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self) -> None:
        """One more image is done."""
        self.done += 1
        now = time.monotonic()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, description=self.speed())
        elif now - self._said >= LINE_EVERY and self.done < self.total:
            self._said = now
            self.line(f"{self.done}/{self.total} images · {self.speed()}")

    def line(self, text: str) -> None:
        """Print a line without disturbing the bar."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    def speed(self) -> str:
        """``3.1 images/s · 16 s left``."""
        rate = self.done / max(time.monotonic() - self._began, 1e-3)
        left = format_duration((self.total - self.done) / rate) if rate else "?"
        return f"{rate:.1f} images/s" + (f" · {left} left" if self.done < self.total else "")

    def summary(self) -> str:
        """``12 s, 3.1 images/s``."""
        return f"{format_duration(time.monotonic() - self._began)}, {self.speed()}"
