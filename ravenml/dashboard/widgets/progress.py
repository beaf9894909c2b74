"""How far a run has come: a bar for it, or for each of its folds, that moves as it goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from nicegui import ui

from ravenml.common.formatting import format_duration, format_number, parse_timestamp
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.events import ImageEvent
from ravenml.runs.progress import RunProgress, main_metrics
from ravenml.runs.record import read_record
from ravenml.runs.views import current_subtask


@dataclass
class ProgressBars:
    """Bars on the current page.  :meth:`read` is work for a thread, :meth:`show` puts what it found there.

    Attributes:
        epochs: the epoch of each picture that was announced, by its file.
    """

    folder: Path
    epochs: dict[Path, float] = field(default_factory=dict)
    _runs: dict[Path, RunProgress] = field(default_factory=dict)
    _bars: dict[Path, tuple[ui.element, ui.element, ui.label]] = field(default_factory=dict)

    def read(self) -> None:
        """Take in what is new."""
        for place in layout.fold_folders(self.folder) or [self.folder]:
            if place not in self._runs:
                label = f"fold {place.name}" if place != self.folder else ""
                self._runs[place] = RunProgress(label, place, from_start=True, began=_began(place))
            for event in self._runs[place].read():
                if isinstance(event, ImageEvent):
                    moment = event.epoch if event.epoch is not None else event.step
                    if moment is not None:
                        self.epochs[place / event.file] = moment

    def build(self) -> None:
        """Make room on the page."""
        self._box = ui.element("div").classes("progress-bars")
        self._bars = {}
        self.show()

    def show(self) -> None:
        """Bring the bars up to what was read."""
        for place, run in self._runs.items():
            if place not in self._bars:
                with self._box, ui.element("div").classes("progress") as row:
                    bar = ui.element("progress").props("max=1")
                    text = ui.label().classes("small")
                self._bars[place] = (row, bar, text)
            row, bar, text = self._bars[place]
            done = run.done()
            if bar.props.get("value") != done:
                bar.props.set_optional("value", None if done is None else round(done, 4))
            bar.props["aria-label"] = f"Progress {run.label}".strip()
            text.text = describe_progress(run)
            row.set_visibility(bool(text.text))


def describe_progress(run: RunProgress) -> str:
    """Where a training stands, in words."""
    epochs, steps = run.subtasks.get("Epoch"), run.subtasks.get("Iteration")
    parts = [run.label]
    if epochs:
        parts.append(f"epoch {epochs.current} of {epochs.total}")
    else:
        parts.append(current_subtask(run))
    if steps and steps.total:
        parts.append(f"iteration {steps.current} of {steps.total}")
    if run.ended:
        parts.append("ended")
    else:
        if run.images_per_second:
            parts.append(f"{run.images_per_second:.1f} images/s")
        left = run.seconds_left()
        if left is not None and left >= 1:
            parts.append(f"{format_duration(left)} left")
    parts += [f"{name} {format_number(value)}" for name, value in main_metrics(run.metrics, 3).items()]
    return "  ·  ".join(part for part in parts if part)


def _began(place: Path) -> float:
    """When the newest attempt began, by the clock of :func:`time.monotonic`."""
    try:
        attempts = read_record(place)["attempts"]
        age = time.time() - parse_timestamp(attempts[-1].get("started")) if attempts else 0.0
    except (RavenError, ValueError):  # no record yet, or a broken one: the clock begins now
        age = 0.0
    return time.monotonic() - max(0.0, age)
