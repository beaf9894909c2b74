"""How far a run has come: a bar for it, or for each of its folds, that moves as it goes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ravenml.common.formatting import format_duration, format_number, parse_timestamp
from ravenml.common.io import read_json
from ravenml.dashboard.charts import fold_folders
from ravenml.runs import layout
from ravenml.runs.progress import RunProgress, main_metrics
from ravenml.runs.views import current_subtask


class ProgressBars:
    """Bars on the current page.  :meth:`read` is work for a thread, :meth:`show` puts what it found there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._watched: dict[Path, RunProgress] = {}
        self._bars: dict[Path, tuple[Any, Any, Any]] = {}

    def read(self) -> None:
        """Take in what is new."""
        places = fold_folders(self.folder)
        for place in places or [self.folder]:
            if place not in self._watched:
                label = f"fold {place.name}" if place != self.folder else ""
                self._watched[place] = RunProgress(label, place, from_start=True, began=_began(place))
            for _ in self._watched[place].read():
                pass

    def build(self) -> None:
        """Make room on the page."""
        from nicegui import ui

        self._box = ui.element("div").classes("progress-bars")
        self.show()

    def show(self) -> None:
        """Bring the bars up to what was read."""
        from nicegui import ui

        for place, watched in self._watched.items():
            if place not in self._bars:
                with self._box, ui.element("div").classes("progress") as row:
                    bar = ui.element("progress").props("max=1")
                    text = ui.label().classes("small")
                self._bars[place] = (row, bar, text)
            row, bar, text = self._bars[place]
            done = watched.done()
            if bar.props.get("value") != done:
                bar.props.set_optional("value", None if done is None else round(done, 4))
            bar.props["aria-label"] = f"Progress {watched.label}".strip()
            text.text = describe_progress(watched)
            row.set_visibility(bool(text.text))


def describe_progress(watched: RunProgress) -> str:
    """Where a training stands, in words."""
    epochs, steps = watched.subtasks.get("Epoch"), watched.subtasks.get("Iteration")
    parts = [watched.label]
    if epochs:
        parts.append(f"epoch {epochs.current} of {epochs.total}")
    else:
        parts.append(current_subtask(watched))
    if watched.ended:
        parts.append("ended")
    else:
        if steps and steps.total and (not epochs or epochs.current < epochs.total):
            parts.append(f"iteration {steps.current} of {steps.total}")
        if watched.images_per_second:
            parts.append(f"{watched.images_per_second:.1f} images/s")
        left = watched.seconds_left()
        if left is not None and left >= 1:
            parts.append(f"{format_duration(left)} left")
    parts += [f"{name} {format_number(value)}" for name, value in main_metrics(watched.metrics, 3).items()]
    return "  ·  ".join(part for part in parts if part)


def _began(place: Path) -> float:
    """When the newest attempt began, by the clock of :func:`time.monotonic`."""
    try:
        started = read_json(place / layout.RUN_JSON)["attempts"][-1]["started"]
        age = time.time() - parse_timestamp(started)
    except Exception:  # no record yet, or one that is not ours: the clock begins now
        age = 0.0
    return time.monotonic() - max(0.0, age)
