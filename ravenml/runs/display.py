"""Progress for people: one live view on a terminal, a plain line per epoch elsewhere."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import TextIO

from ravenml.runs.console import Tee
from ravenml.runs.progress import RunProgress, Series
from ravenml.runs.stop import StopFlag
from ravenml.runs.views import LiveView, PlainView

LIVE_PERIOD = 0.2  # seconds
PLAIN_PERIOD = 0.5


class Display:
    """Reads the events of some runs in a thread of its own and shows them while the block lasts.

    It is a reader like any other: training code does not know of it, and nothing that goes wrong here
    reaches a training.

    Args:
        stream: where to show it; by default stdout.  Lines go through it; a live view goes past a ``Tee``.
        tees: what the training prints through; on a terminal it is shown above the live view.
        stop: the run's flag; that it was raised is said.
        live: whether a live view may take the terminal; False where a plugin asks its questions there.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        tees: tuple[Tee, ...] = (),
        stop: StopFlag | None = None,
        live: bool = True,
    ) -> None:
        self.runs: list[RunProgress] = []
        self._stream = stream or sys.stdout
        terminal = tees[0].stream if tees else self._stream
        self._tees = tees
        self._stop = stop
        self._told_of_stop = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="progress display", daemon=True)
        self._live = live and self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._view: LiveView | PlainView = LiveView(terminal) if self._live else PlainView(self._stream)
        self._lock = threading.Lock()

    def watch(self, run: RunProgress) -> None:
        """Show one more run."""
        with self._lock:
            self.runs.append(run)

    def expect(self, series: Series) -> None:
        """The runs that are shown are one training: show how long the whole will take."""
        self._view.series = series

    def say(self, line: str) -> None:
        """Print a line without disturbing the view."""
        with suppress(OSError, ValueError):  # whoever read the output has gone
            self._view.line(line)

    def __enter__(self) -> Display:
        self._view.start()
        if self._live:
            for tee in self._tees:
                tee.print_above = self.say
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._round()
        with suppress(OSError, ValueError):
            if isinstance(self._view, LiveView):
                for run in self.runs:
                    if not run.ended:  # it is sealed later, when its result is stored
                        self._view.last_line(run)
            self._view.stop()
        for tee in self._tees:
            tee.release()

    def _work(self) -> None:
        while not self._stopping.wait(LIVE_PERIOD if self._live else PLAIN_PERIOD):
            self._round()

    def _round(self) -> None:
        with self._lock:
            runs = list(self.runs)
        with suppress(OSError, ValueError):
            if self._stop is not None and self._stop.reason is not None and not self._told_of_stop:
                self._told_of_stop = True
                self._view.line("Stopping gracefully; press Ctrl-C again to stop immediately.")
            for run in runs:
                for event in run.read():
                    self._view.event(run, event, runs)
            self._view.show(runs)
