"""Keeping what a training prints, while it still goes where it went."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from ravenml.common.formatting import terminal_safe
from ravenml.common.io import to_user_error
from ravenml.common.permissions import open_file
from ravenml.common.secrets import StreamMasker, redact_text
from ravenml.config.config import load_config


class ConsoleLog:
    """``console.log``, appended to piece by piece.  What does not fit on a full disk is lost: it is no reason
    to end what is only being recorded.

    Attributes:
        fault: why something was lost, as a sentence; empty where nothing was.

    With ``mask_console`` in the configuration it holds no secrets, and lines once they have ended.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.fault = path, ""
        self._masker = StreamMasker() if masks_console() else None
        self._file = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._file < 0

    def write(self, text: str) -> None:
        """Append a text."""
        if self._masker is not None:
            text = self._masker.feed(text)
        self._append(text)

    def _append(self, text: str) -> None:
        left = text.encode("utf-8", "replace")
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            self.fault = self.fault or str(to_user_error(error, self.path))

    def __enter__(self) -> ConsoleLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._masker is not None:
            self._append(self._masker.end())
        file, self._file = self._file, -1
        os.close(file)


def masks_console() -> bool:
    """Whether secrets are masked in what programs print, as the configuration says."""
    return load_config().mask_console


_TAIL = 64 << 10  # bytes at the end of a log that are searched for an error
# A Python exception, at the start of a line or behind the `[rank0]:` of torchrun's processes; or what other
# programs print.
_ERROR = re.compile(
    r"(?:\[\w+\]:?\s*)?(?:(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)(?:: .+)?"
    r"|(?:.{0,60}: )?(?:fatal |internal )?error: .+|fatal: .+|panic: .+)",
    re.IGNORECASE,
)


def find_error(log: Path) -> str:
    """The last line at the end of a log that names an error, without secrets; empty where none does.

    Libraries print more once an exception is out (warnings about process groups, summaries of launchers), so
    the last line of all seldom says what went wrong.
    """
    for line in reversed(read_tail(log)):
        if _ERROR.fullmatch(line):
            return redact_text(line)[:1000]
    return ""


def read_tail(log: Path) -> list[str]:
    """The lines at the end of a log that hold something, without colours; none where there is no log."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        text = terminal_safe(file.read().decode(errors="replace").replace("\r", "\n"), newlines=True)
        return [line for line in map(str.strip, text.split("\n")) if line]
    return []


class Tee(io.TextIOBase):
    """A text stream that writes to a log as well as to the stream that it stands for."""

    def __init__(self, stream: TextIO, log: ConsoleLog, lock: threading.RLock) -> None:
        self.stream = stream
        self.log = log
        self._lock = lock
        self.print_above: Callable[[str], None] | None = None  # set while a live view owns the terminal
        self._held = ""

    def write(self, text: str) -> int:
        with self._lock:
            if not self.log.closed:  # a logging handler may outlive the run
                self.log.write(text)
            if self.print_above is None:
                self._pass_on(text)
            else:  # a live view may be pushed down by whole lines only
                *whole, self._held = (self._held + text).split("\n")
                for line in whole:
                    self.print_above(line.rstrip("\r").rpartition("\r")[2])
        return len(text)

    def release(self) -> None:
        """Print straight to the stream again, what was held back of an unfinished line first."""
        with self._lock:
            self.print_above = None
            held, self._held = self._held, ""
            self._pass_on(held.rpartition("\r")[2])

    def _pass_on(self, text: str) -> None:
        """Write to the stream; whoever read it may have gone, which is no reason to end a training."""
        try:
            self.stream.write(text)
        except BrokenPipeError:
            self.stream = open(os.devnull, "w")  # noqa: SIM115

    def flush(self) -> None:
        with suppress(BrokenPipeError):
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
def mask_own_log(path: Path) -> Iterator[None]:
    """For a process whose output is ``path`` already: write what Python code prints in this block without
    secrets.  What a C library writes past Python is not masked.
    """
    with open(os.devnull, "w") as nowhere:
        out, err = sys.stdout, sys.stderr
        lock = threading.RLock()
        with ConsoleLog(path) as log:
            sys.stdout, sys.stderr = Tee(nowhere, log, lock), Tee(nowhere, log, lock)
            try:
                yield
            finally:
                sys.stdout, sys.stderr = out, err


@contextmanager
def record_console(path: Path) -> Iterator[tuple[Tee, Tee]]:
    """Write what Python code prints to stdout and stderr in this block to ``path`` too, in order of arrival.

    What a C library writes past Python goes to the terminal alone; a fold, which is a process of its own,
    has its whole output in its log.
    """
    out, err = sys.stdout, sys.stderr
    lock = threading.RLock()
    with ConsoleLog(path) as log:
        tees = Tee(out, log, lock), Tee(err, log, lock)
        sys.stdout, sys.stderr = tees
        try:
            yield tees
        finally:
            sys.stdout, sys.stderr = out, err
