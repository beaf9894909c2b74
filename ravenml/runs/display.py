"""Progress for people: one live view on a terminal, a plain line per epoch elsewhere."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any, TextIO

from ravenml.runs.console import Tee
from ravenml.runs.watch import Watched, main_metrics

LIVE_PERIOD = 0.2  # seconds
PLAIN_PERIOD = 0.5


class Display:
    """Reads the events of some runs in a thread of its own and shows them while the block lasts.

    It is a reader like any other: training code does not know of it.
    """

    def __init__(self, stream: TextIO | None = None, tees: tuple[Tee, ...] = ()) -> None:
        self.runs: list[Watched] = []
        self._stream = stream or sys.stdout
        self._tees = tees
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="progress display", daemon=True)
        self._view: _Live | _Plain = _Live(self._stream) if self._stream.isatty() else _Plain(self._stream)
        self._lock = threading.Lock()

    def watch(self, run: Watched) -> None:
        """Show one more run."""
        with self._lock:
            self.runs.append(run)

    def say(self, line: str) -> None:
        """Print a line without disturbing the view."""
        self._view.line(line)

    def __enter__(self) -> Display:
        self._view.start()
        if isinstance(self._view, _Live):
            for tee in self._tees:
                tee.print_above = self._view.line
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        for tee in self._tees:
            tee.print_above = None
        self._round()
        self._view.stop()

    def _work(self) -> None:
        period = LIVE_PERIOD if isinstance(self._view, _Live) else PLAIN_PERIOD
        while not self._stopping.wait(period):
            self._round()

    def _round(self) -> None:
        with self._lock:
            runs = list(self.runs)
        for run in runs:
            for event in run.read():
                self._view.event(run, event)
        self._view.show(runs)


class _Plain:
    """A line per epoch and run, for pipes and logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._epochs: dict[str, int] = {}

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def show(self, runs: list[Watched]) -> None: ...

    def line(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def event(self, run: Watched, event: dict[str, Any]) -> None:
        if event.get("event_type") == "EventType.PROGRESS" and event.get("subtask") == "Epoch":
            epoch = int(event.get("current", 0))
            before = self._epochs.setdefault(run.label, epoch)
            if epoch > before:
                self._epochs[run.label] = epoch
                self.line(epoch_line(run))
        elif event.get("event_type") == "EventType.TEXT":
            self.line(" ".join(filter(None, [run.label, str(event.get("message"))])))


class _Live:
    """One table that is redrawn in place: a row per run."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream, highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
        )

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def line(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text))

    def event(self, run: Watched, event: dict[str, Any]) -> None:
        if event.get("event_type") == "EventType.TEXT":
            self.line(" ".join(filter(None, [run.label, str(event.get("message"))])))
        ended = event.get("event_type") in (
            "EventType.TASK_FINISHED",
            "EventType.TASK_STOPPED",
            "EventType.TASK_CRASHED",
        )
        if ended:
            self.line(epoch_line(run))

    def show(self, runs: list[Watched]) -> None:
        active = [run for run in runs if not run.ended]
        self._live.update(_table(active), refresh=True)


def _table(runs: list[Watched]) -> Any:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for _ in range(5):
        table.add_column(no_wrap=True)
    for run in runs:
        epochs, iterations = run.subtasks.get("Epoch"), run.subtasks.get("Iteration")
        where = f"epoch {epochs.current}/{epochs.total}" if epochs else "starting"
        if iterations:
            where += f" · iteration {iterations.current}/{iterations.total}"
        row: list[Any] = [
            run.label or "training",
            ProgressBar(total=1.0, completed=run.done() or 0.0, width=24),
            where,
        ]
        row.append(_speed(run))
        row.append(
            "  ".join(f"{name} {_short(value)}" for name, value in main_metrics(run.metrics, 3).items())
        )
        table.add_row(*row)
    return table


def _speed(run: Watched) -> str:
    parts = [f"{run.images_per_second:.1f} images/s"] if run.images_per_second else []
    left = run.seconds_left()
    if left is not None and left >= 1:
        parts.append(f"{duration(left)} left")
    return " · ".join(parts)


def epoch_line(run: Watched) -> str:
    """The state of a run after an epoch on one line."""
    epochs = run.subtasks.get("Epoch")
    parts = [run.label] if run.label else []
    if epochs:
        parts.append(f"epoch {epochs.current}/{epochs.total}")
    parts += [f"{name} {_short(value)}" for name, value in main_metrics(run.metrics).items()]
    speed = _speed(run)
    return "  ".join(parts + ([speed] if speed and epochs and epochs.current < epochs.total else []))


def _short(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """``12 s``, ``3:05 min``, ``2:10 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
