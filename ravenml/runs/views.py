"""How progress looks: in place on a terminal, line by line elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

from ravenml.common.formatting import format_duration, format_number, terminal_safe
from ravenml.runs.events import EndEvent, Event, MetricsEvent, ProgressEvent, ResumedEvent
from ravenml.runs.progress import RunProgress, Series, main_metrics

_BAR = 24  # columns
STEPS = 5.0  # seconds between two lines about the training of a program that does not count epochs


class PlainView:
    """A line per epoch and run, for pipes and logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._epochs: dict[str, int] = {}
        self._measured: dict[str, float] = {}
        self.series: Series | None = None

    def start(self) -> None:
        """Nothing is prepared."""

    def stop(self) -> None:
        """Nothing is held."""

    def show(self, runs: list[RunProgress]) -> None:
        """Nothing is drawn between lines."""

    def line(self, text: str) -> None:
        """Print a line."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def event(self, run: RunProgress, event: Event, runs: list[RunProgress]) -> None:
        """Print what an event says, if it is the end of an epoch or a text."""
        if isinstance(event, ProgressEvent) and event.subtask == "Epoch":
            epoch = run.subtasks["Epoch"].current
            if epoch > self._epochs.get(run.label, int(run.resumed_at or 0)):
                self._epochs[run.label] = epoch
                self.line("  ".join(filter(None, [epoch_line(run), series_line(self.series, runs)])))
        elif isinstance(event, MetricsEvent) and "Epoch" not in run.subtasks:
            # A program that does not count epochs says what it measures; at every step would be too often.
            now = time.monotonic()
            if event.kind != "train" or now - self._measured.get(run.label, -STEPS) >= STEPS:
                self._measured[run.label] = now
                self.line(epoch_line(run))
        elif event.type in ("TEXT", "RESUMED"):
            self.line(event_line(run, event))


class LiveView:
    """A line per run that is redrawn in place."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self.series: Series | None = None
        self._console = Console(file=stream, highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
        )

    def start(self) -> None:
        """Take the bottom of the terminal."""
        self._live.start()

    def stop(self) -> None:
        """Give it back."""
        self._live.stop()

    def line(self, text: str) -> None:
        """Print a line above the view."""
        from rich.text import Text

        self._console.print(Text(text))

    def event(self, run: RunProgress, event: Event, runs: list[RunProgress]) -> None:
        """Print what stays: texts, and how a run stood at its end."""
        if event.type in ("TEXT", "RESUMED"):
            self.line(event_line(run, event))
        elif isinstance(event, EndEvent):
            self.last_line(run)

    def last_line(self, run: RunProgress) -> None:
        """Leave on the terminal how a run stood at its end."""
        if run.metrics:
            self.line(epoch_line(run))

    def show(self, runs: list[RunProgress]) -> None:
        """Redraw the runs that are under way."""
        from rich.text import Text

        width = self._console.width - 1
        lines = [live_line(run, width) for run in runs if not run.ended]
        lines += [line for line in [series_line(self.series, runs)[:width]] if line]
        self._live.update(Text("\n".join(lines), no_wrap=True, overflow="crop"), refresh=True)


def live_line(run: RunProgress, width: int) -> str:
    """A run in at most ``width`` columns; where there is little room, the bar goes first."""
    epochs, iterations = run.subtasks.get("Epoch"), run.subtasks.get("Iteration")
    where = f"epoch {epochs.current}/{epochs.total}" if epochs else current_subtask(run) or "starting"
    within = f"iteration {iterations.current}/{iterations.total}" if iterations else ""
    scores = "  ".join(
        f"{name} {format_number(value)}" for name, value in main_metrics(run.metrics, 3).items()
    )
    parts = {
        "label": run.label or "training",
        "bar": bar(run.done() or 0.0),
        "where": where,
        "within": within,
        "speed": speed(run),
        "scores": scores,
    }
    for dropped in ("", "bar", "within", "scores", "speed", "label"):
        parts.pop(dropped, None)
        line = terminal_safe("  ".join(part for part in parts.values() if part))
        if len(line) <= width:
            return line
    return line[:width]


def current_subtask(run: RunProgress) -> str:
    """How far the subtask has come that a program, which does not count epochs, spoke of last."""
    if not run.newest or run.newest == "Iteration":
        return ""
    now = run.subtasks[run.newest]
    return f"{run.newest.strip().rstrip(':')[:40]} {now.current}/{now.total}"


def bar(done: float) -> str:
    """A progress bar of a fixed width; ``done`` is 0…1."""
    full = round(done * _BAR)
    return "━" * full + "─" * (_BAR - full)


def speed(run: RunProgress) -> str:
    """Images per second and time left, as far as they are known."""
    parts = [f"{run.images_per_second:.1f} images/s"] if run.images_per_second else []
    left = run.seconds_left()
    if left is not None and left >= 1:
        parts.append(f"{format_duration(left)} left")
    return " · ".join(parts)


def series_line(series: Series | None, runs: list[RunProgress]) -> str:
    """How long all runs of a series will take from now on; empty before it is known, and at its end."""
    left = series.seconds_left(runs) if series is not None else None
    return (
        f"{series.label}: {format_duration(left)} left" if series is not None and left and left >= 1 else ""
    )


def event_line(run: RunProgress, event: Event) -> str:
    """What an event says in words on one line, with the run's label."""
    message = event.message
    if isinstance(event, ResumedEvent):
        message = f"resumes from epoch {event.fields.get('epoch')}, step {event.fields.get('step')}"
    return terminal_safe(" ".join(filter(None, [run.label, message])), newlines=True)


def epoch_line(run: RunProgress) -> str:
    """The state of a run after an epoch on one line."""
    epochs = run.subtasks.get("Epoch")
    parts = [run.label] if run.label else []
    if epochs:
        parts.append(f"epoch {epochs.current}/{epochs.total}")
    parts += [f"{name} {format_number(value)}" for name, value in main_metrics(run.metrics).items()]
    rate = speed(run) if epochs and epochs.current < epochs.total else ""
    return terminal_safe("  ".join([*parts, rate] if rate else parts))
