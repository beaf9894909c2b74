"""What a run's events add up to at this moment: a reader for progress displays."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.runs.events import EndEvent, Event, EventReader, MetricsEvent, ProgressEvent, ResumedEvent
from ravenml.runs.layout import EVENTS


@dataclass
class Progress:
    """How far one subtask (``Epoch``, ``Iteration`` …) has come."""

    current: int = 0
    total: int = 0


@dataclass
class RunProgress:
    """A run that is being read.

    Attributes:
        label: how displays call it (``fold 0``).
        from_start: whether what is there already counts, too.
        subtasks: the progress of each subtask that was announced.
        metrics: the newest value of each metric, by address.
        images_per_second: over the last seconds; None before it is known.
    """

    label: str
    folder: Path
    from_start: bool = False
    subtasks: dict[str, Progress] = field(default_factory=dict)
    metrics: JsonObject = field(default_factory=dict)
    images_per_second: float | None = None
    resumed_at: float | None = None
    newest: str = ""  # the subtask that was spoken of last
    began: float = field(default_factory=time.monotonic)
    ended: bool = False
    _first_epoch: float | None = None
    _heard: float | None = None  # when progress was read last
    _images: tuple[float, int] | None = None

    def __post_init__(self) -> None:
        self._reader = EventReader(self.folder / EVENTS)
        if not self.from_start and (self.folder / EVENTS).exists():
            self._reader.skip()  # what earlier attempts said is history, not progress

    def read(self) -> Iterator[Event]:
        """Take in what is new, one event after the other; each is yielded once it counts."""
        for event in self._reader.read_new():
            self._take(event)
            yield event

    def _take(self, event: Event) -> None:
        match event:
            case ProgressEvent(subtask=subtask):
                progress = self.subtasks.setdefault(subtask, Progress())
                progress.current, progress.total = event.current, event.total
                self.newest = subtask
                self._heard = time.monotonic()
                if subtask == "Epoch" and self._first_epoch is None:
                    self._first_epoch = float(progress.current)
                if event.images is not None and event.seconds is not None:
                    self._rate(event.images, event.seconds)
            case MetricsEvent():
                self.metrics |= event.values
            case ResumedEvent():
                self.resumed_at = event.epoch or 0.0
                self._first_epoch = None  # what earlier attempts did says nothing about this one's speed
            case EndEvent():
                self.ended = True

    def _rate(self, images: int, now: float) -> None:
        """Smooth the images per second over what has passed since the last count of the same epoch.

        The events' own times count: several of them may be read at once.
        """
        if self._images is not None:
            then, before = self._images
            if images > before and now - then < 0.05:
                return  # too close to each other to tell; the next count spans more
            if images > before:
                rate = (images - before) / (now - then)
                old = self.images_per_second
                self.images_per_second = rate if old is None else 0.7 * old + 0.3 * rate
        self._images = (now, images)

    def done(self) -> float | None:
        """The share of the training that is done, 0…1; None before it is known."""
        epochs, iterations = self.subtasks.get("Epoch"), self.subtasks.get("Iteration")
        if epochs is None and self.newest:  # a program that counts in its own way
            newest = self.subtasks[self.newest]
            return _share(newest.current / newest.total) if newest.total else None
        if epochs is None or not epochs.total:
            return None
        within = iterations.current / iterations.total if iterations and iterations.total else 0.0
        return _share((epochs.current + (within if within < 1 else 0.0)) / epochs.total)

    def seconds_left(self) -> float | None:
        """An estimate from what was done since this attempt began; None before it is known.

        It is made when progress is read, and falls until the next: nothing has become slower in between.
        """
        done, epochs = self.done(), self.subtasks.get("Epoch")
        if done is None or epochs is None or self._heard is None:
            return None
        fresh = done - (self._first_epoch or 0.0) / epochs.total
        if fresh <= 0.002:
            return None
        since = time.monotonic() - self._heard
        return max(0.0, (self._heard - self.began) * (1 - done) / fresh - since)


@dataclass
class Series:
    """Several runs that are one training, such as the folds of a k-fold run.

    Attributes:
        label: how displays call it (``all 5 folds``).
        count: how many runs are to be done from now on.
    """

    label: str
    count: int
    began: float = field(default_factory=time.monotonic)

    def seconds_left(self, runs: Sequence[RunProgress]) -> float | None:
        """An estimate for all of them, those included that have not begun; None before it is known."""
        share = sum(1.0 if run.ended else run.done() or 0.0 for run in runs) / self.count
        elapsed = time.monotonic() - self.began
        return elapsed * max(0.0, 1 - share) / share if share > 0.002 else None


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def main_metrics(metrics: JsonObject, limit: int = 6) -> JsonObject:
    """Those that fit on a line: losses first, no classes one by one."""
    short = {
        address: value for address, value in metrics.items() if address.count("/") == 1 and "_" not in address
    }
    order = ("train/loss", "val/loss", "val/miou")
    names = [name for name in order if name in short] + [
        n for n in short if n not in order and n.startswith("val/")
    ]
    return {name: short[name] for name in names[:limit]}
