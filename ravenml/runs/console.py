"""Keeping what a training prints, while it still goes where it went."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


class Tee(io.TextIOBase):
    """A text stream that writes to a log as well as to the stream that it stands for."""

    def __init__(self, stream: TextIO, log: TextIO, lock: threading.Lock) -> None:
        self.stream = stream
        self.log = log
        self._lock = lock
        self.print_above: Callable[[str], None] | None = None  # set while a live view owns the terminal
        self._held = ""

    def write(self, text: str) -> int:
        with self._lock:
            self.log.write(text)
            if self.print_above is None:
                self.stream.write(text)
            else:  # a live view may be pushed down by whole lines only
                self._held += text
                whole, newline, self._held = self._held.rpartition("\n")
                if newline:
                    self.print_above(whole.rpartition("\r")[2])
        return len(text)

    def flush(self) -> None:
        self.log.flush()
        self.stream.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.stream.isatty() and self.print_above is None

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.stream.errors

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def recorded(path: Path) -> Iterator[tuple[Tee, Tee]]:
    """Write what Python code prints to stdout and stderr in this block to ``path`` too, in order of arrival.

    What a C library writes past Python goes to the terminal alone; a fold, which is a process of its own,
    has its whole output in its log.
    """
    out, err = sys.stdout, sys.stderr
    lock = threading.Lock()
    with path.open("a", encoding="utf-8", errors="replace", buffering=1) as log:
        tees = Tee(out, log, lock), Tee(err, log, lock)
        sys.stdout, sys.stderr = tees
        try:
            yield tees
        finally:
            sys.stdout, sys.stderr = out, err
