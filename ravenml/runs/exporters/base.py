"""What a reader of events is: a small class that brings a run's events somewhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ravenml.common.io import JsonObject, resolve_inside
from ravenml.renamed import former_names
from ravenml.runs.events import Event, ImageEvent, MetricsEvent, ResourcesEvent, read_event

__getattr__ = former_names(__name__, {"Reader": "Exporter"})

if TYPE_CHECKING:
    from ravenml.config.config import Config


_MOST = 1e12  # epochs; trackers keep steps in 64 bits


class Unreached(Exception):
    """Raised by ``take`` where it knows that none of the events has arrived; its cause says why."""


class Exporter:
    """Brings the events of one run to one place.  Found by its name in the entry-point group
    ``ravenml.plugins.track``; a new one is a class in a file and a line in ``setup.py``.

    It is made in the sidecar process, never in a training, and may be slow, hang or fail there.

    Attributes:
        resumable: whether another process can go on with ``state`` where this one ended; elsewhere it begins
            again from the first event.
        alone: whether a process has room for one of its kind only.
        folder: the run's.
        record: the run's ``run.json``.
        config: the user's configuration.
        state: plain values that outlive the process; kept in ``readers/<name>.json``.
    """

    resumable = True
    alone = False

    def __init__(self, folder: Path, record: JsonObject, config: Config, state: JsonObject) -> None:
        self.folder, self.record, self.config, self.state = folder, record, config, state

    def take(self, events: Sequence[JsonObject]) -> None:
        """Bring these events there; they are when this returns.

        Whatever is raised is tried again later: after :class:`Unreached` with the same events, and else from
        the beginning, because some of them may have arrived.
        """
        raise NotImplementedError

    def start_over(self) -> None:
        """Remove all that was brought: the run has gone back, and everything that counts comes again."""
        raise NotImplementedError

    def close(self, status: str, record: JsonObject) -> None:
        """The run has ended as ``completed``, ``failed``, ``interrupted`` or ``lost``."""

    def leave(self) -> None:
        """This process has brought what there is, and ends; the run may go on."""

    def where(self) -> str:
        """Where a person finds it."""
        return ""


def seconds_of(event: JsonObject) -> float:
    """When an event was written, in seconds since 1970."""
    return Event("", event).seconds or 0.0


def step_of(event: Event | JsonObject) -> int:
    """An event's step; a plugin that counts none has epochs, in thousandths."""
    event = event if isinstance(event, Event) else Event("", event)
    return event.step if event.step is not None else round(min(_MOST, max(-_MOST, event.epoch or 0.0)) * 1000)


def scalars(event: Event | JsonObject, created: float) -> Iterator[tuple[str, float, int]]:
    """Address, value and step of every number in an event.

    Args:
        event: as ``take`` is given it.
        created: when the run began; the step of what is in use of the machine is the seconds since then.
    """
    event = event if isinstance(event, Event) else read_event(event)
    if isinstance(event, MetricsEvent):
        step = step_of(event)
        for address, value in event.numbers():
            yield address, value, step
    elif isinstance(event, ResourcesEvent):
        step = max(0, round((event.seconds or 0.0) - created))
        for name, value in event.numbers():
            yield f"system/{name}", value, step


def picture_path(event: ImageEvent, folder: Path) -> Path | None:
    """The file of a picture that an event announces, where it is there, in the run's folder."""
    return resolve_inside(folder, event.file)


def title_of(record: JsonObject) -> str:
    """What a run is called elsewhere."""
    return str(record.get("name") or record["id"])


def project_of(record: JsonObject) -> str:
    """What a run belongs to elsewhere."""
    return str(record.get("project") or record.get("plugin") or "ravenml")
