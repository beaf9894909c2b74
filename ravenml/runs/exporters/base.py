"""What a reader of events is: a small class that brings a run's events somewhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ravenml.common.io import JsonObject, resolve_inside
from ravenml.renamed import former_names
from ravenml.runs.events import Event, ImageEvent, MetricsEvent, ResourcesEvent, read_event
from ravenml.runs.notes import notes_or_reason

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


_MOMENT = re.compile(r"[/_-](?:(?P<word>epoch|step|iter(?:ation)?)[_-]?)?(?P<number>\d{1,12})$|/final$")


def series_of(event: ImageEvent) -> str:
    """The name of the pictures that an event's is one of: without the epoch or the step at its end."""
    found = _MOMENT.search(event.name)
    if found is None or not event.name[: found.start()]:
        return event.name
    moments = (event.step, round(event.epoch) if event.epoch is not None else None)
    if found["number"] and not found["word"] and int(found["number"]) not in moments:
        return event.name
    return event.name[: found.start()]


@dataclass(frozen=True)
class Source:
    """The code that a run has run, as trackers ask for it; what is not known is empty.

    Attributes:
        script: the program's own file, relative to ``folder``, or the command of a training.
        folder: where it ran, relative to the repository.
        diff: the uncommitted changes.
        packages: requirements with versions.
    """

    script: str
    repository: str
    branch: str
    commit: str
    folder: str
    diff: str
    packages: list[str]


def source_of(folder: Path, record: JsonObject) -> Source:
    """The code of the run in ``folder``: that of its script, else of the folder in which it ran."""
    provenance = record.get("provenance") or {}
    code = provenance.get("code") or {}
    name = next((one for one in ("script", "working folder", "core") if code.get(one)), "")
    state: JsonObject = code.get(name) or {}
    place = str(state.get("place") or ".")
    state = code.get(state.get("same_as")) or state
    diff = resolve_inside(folder, str(state.get("diff") or ""))
    packages = provenance.get("packages") or {}
    return Source(
        script=_script(record, name),
        repository=str(state.get("remote") or ""),
        branch=str(state.get("branch") or ""),
        commit=str(state.get("commit") or ""),
        folder=place,
        diff=diff.read_text(errors="replace") if diff is not None and diff.is_file() else "",
        packages=[f"{package}=={version}" for package, version in packages.items()],
    )


def _script(record: JsonObject, code: str) -> str:
    command: list[str] = record.get("command") or []
    words = command[command.index("--") + 1 :] if "--" in command else command
    script = next((word for word in words if word.endswith((".py", ".sh", ".r", ".jl"))), None)
    if script is not None:
        return Path(script).name if code == "script" else script
    return " ".join(words)


def tags_of(folder: Path, record: JsonObject) -> list[str]:
    """The words by which people find a run: what its program said, and what was added since."""
    return list(dict.fromkeys([*(record.get("tags") or ()), *(notes_or_reason(folder).get("tags") or ())]))


def title_of(record: JsonObject) -> str:
    """What a run is called elsewhere."""
    return str(record.get("name") or record["id"])


def project_of(record: JsonObject) -> str:
    """What a run belongs to elsewhere."""
    return str(record.get("project") or record.get("plugin") or "ravenml")
