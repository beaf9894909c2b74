"""A run as its training sees it: the writer of the run's folder."""

from __future__ import annotations

import json
import os
import reprlib
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravenml.common.formatting import utc_timestamp
from ravenml.common.io import (
    JsonObject,
    sweep_temporaries,
    to_jsonable,
    to_user_error,
    write_bytes,
    write_json,
)
from ravenml.common.permissions import close_home, make_folder
from ravenml.common.schema import find_fault
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.events import (
    Event,
    EventWriter,
    MetricsEvent,
    effective_metrics,
    newest_metrics,
    read_events,
    subject,
)
from ravenml.runs.lock import RunLock
from ravenml.runs.output_parser import StepNumbering
from ravenml.runs.record import RECORD_FIELDS, SCHEMA, read_record, redact_record
from ravenml.runs.removal import BEGINNING
from ravenml.runs.replay import clone_origin
from ravenml.runs.stop import StopFlag

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST = 1 << 62
DESCRIBABLE = (
    *("parameters", "captured", "project", "name", "task_type", "tags", "container", "output_uri", "remote"),
    *("sections", "labels", "requirements"),
)
FIELDS = "RAVENML_RUN_FIELDS"  # in the environment of a run that was sent here: what its sender knows better


class Run:
    """The one writer of a run's folder.

    ``Run.begin`` makes the folder (or opens it again for a further attempt), ``finish`` writes how it
    ended.  Everything in between goes through the methods below, each of which appends one event.

    Attributes:
        id: the run's name; a fold's is ``<parent's id>-f<fold>``.
        path: the run's folder, laid out as ``docs/architecture.md`` says.
        attempt: 1, and one more each time the run is resumed.
    """

    def __init__(self, path: Path, record: JsonObject, lock: RunLock) -> None:
        self.path = path
        self.record = record
        self.id: str = record["id"]
        self.attempt: int = len(record["attempts"])
        self.stop = StopFlag()
        self.finished = False
        self.has_output = False  # whether a metric, a checkpoint or a picture was reported
        self._lock = lock
        self._steps: StepNumbering | None = None  # of events that another program printed
        self._events = EventWriter(path / layout.EVENTS, self.attempt)
        self._back_to: dict[str, int] = {}  # of a program: from which step on what it says is said again
        self._placed = self.attempt == 1  # whether readers know from which step this attempt goes on

    @classmethod
    def begin(cls, path: Path, run_id: str, fields: Mapping[str, object]) -> Run:
        """Make the run's folder, or open it for one more attempt, and hold its lock.

        Args:
            path: the folder; made with its parents.
            run_id: the run's name.
            fields: what else ``run.json`` records (plugin, config, dataset, provenance …).

        Raises:
            RavenError: another process writes this run, or the disk is full or read-only.
        """
        close_home(lambda text: print(text, file=sys.stderr))
        beside = path.with_name(f"{BEGINNING}{path.name}-{os.getpid()}")
        try:
            if path.exists():
                return cls._begin(path, path, run_id, fields)
            make_folder(beside)
            return cls._begin(beside, path, run_id, fields)
        except OSError as error:
            raise to_user_error(error, path) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    @classmethod
    def _begin(cls, beside: Path, path: Path, run_id: str, fields: Mapping[str, object]) -> Run:
        """Write the record into ``beside``, which becomes ``path``: a folder that is new has its record."""
        resumed = (beside / layout.RUN_JSON).exists()
        lock = RunLock(beside)
        try:
            record = cls._write_record(beside, run_id, fields, resumed)
            if beside != path:
                os.rename(beside, path)
            run = cls(path, record, lock)
        except BaseException:
            lock.release()
            raise
        if not resumed:
            run._write("started", "TASK_STARTED", {"run": run.id})
        return run

    @staticmethod
    def _write_record(path: Path, run_id: str, fields: Mapping[str, object], resumed: bool) -> JsonObject:
        """Write what ``run.json`` says from this attempt on, and return it."""
        sweep_temporaries(path)
        (path / layout.CONTROL).unlink(missing_ok=True)  # a request is for the attempt that it was made to
        record: JsonObject = {"v": SCHEMA, "id": run_id, "created": utc_timestamp(), "attempts": []}
        if resumed:
            record = read_record(path)
        record["created"] = record.get("created") or utc_timestamp()
        record.update(redact_record(fields if resumed else {**clone_origin(), **fields}))
        record.update(redact_record(json.loads(os.environ.get(FIELDS) or "{}")))
        record["result"] = None
        record["process"] = {"host": socket.gethostname(), "pid": os.getpid()}
        record["attempts"] = [*record["attempts"], {"started": utc_timestamp()}]
        write_json(path / layout.RUN_JSON, record)
        return record

    @classmethod
    def reattach(cls, path: Path) -> Run:
        """Write on, in the same attempt, where the writer before died and the work itself did not.

        Raises:
            RavenError: another process writes this run, or its record cannot be read.
        """
        lock = RunLock(path)
        try:
            sweep_temporaries(path)
            record = read_record(path)
            record["process"] = {"host": socket.gethostname(), "pid": os.getpid()}
            write_json(path / layout.RUN_JSON, record)
            return cls(path, record, lock)
        except RavenError:
            lock.release()
            raise

    def detach(self) -> None:
        """Close the run without saying how it ended: another process resumes it."""
        self._events.close()
        self._lock.release()

    # What a plugin says.

    def metrics(
        self, type: str, epoch: float | None, metrics: Mapping[str, object], step: int | None = None
    ) -> None:
        """Report numbers of one kind (``train`` or ``val``) at a moment in epochs, where it is known.

        A metric is addressed as ``<type>/<name>``, such as ``val/miou``.  NaN and infinities are kept.
        """
        self._announce_restart("METRICS", {"type": type, "step": step})
        fields: JsonObject = {
            "type": type,
            "epoch": epoch,
            "metrics": dict(metrics) if _is_plain(metrics) else to_jsonable(dict(metrics), "metrics"),
        }
        if step is not None:
            fields["step"] = step
        self._write("metrics", "METRICS", fields)

    def progress(self, subtask: str, current: int, total: int, **extra: object) -> None:
        """Report that ``current`` of ``total`` units of ``subtask`` are done (``Epoch``, ``Iteration``, …).

        ``images=`` with ``Iteration`` says how many images of this epoch are done; rates come from it.
        """
        self._write("progress", "PROGRESS", {"subtask": subtask, "current": current, "total": total, **extra})

    def checkpoint(
        self,
        step: int,
        files: Sequence[Path],
        best_now: bool = False,
        epoch: float | None = None,
        optional: Mapping[str, object] | None = None,
    ) -> None:
        """Announce a checkpoint whose ``files`` are already in place: it exists from this event on."""
        self._announce_restart("CHECKPOINT", {"step": step})
        self._write(
            "checkpoint",
            "CHECKPOINT",
            {
                "id": step,
                "step": step,
                "epoch": epoch,
                "subdir": layout.CHECKPOINTS,
                "files": [file.name for file in files],
                "sizeb": sum(file.stat().st_size for file in files),
                "best_now": best_now,
                "optional": dict(optional) if optional else None,
            },
        )

    def image(
        self,
        name: str,
        image: NDArray[np.uint8] | Path,
        epoch: float | None = None,
        step: int | None = None,
    ) -> Path:
        """Keep a picture as ``previews/<name>.png`` and announce it.

        Args:
            name: may hold ``/`` to make folders.
            image: uint8 RGB of shape ``(H, W, 3)``, or a picture file, which is copied.
            epoch: the moment that it shows.
            step: the training step that it shows.

        Returns:
            The picture's path.
        """
        if isinstance(image, Path):
            content, suffix = image.read_bytes(), image.suffix
        else:
            import cv2

            content, suffix = (
                cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes(),
                ".png",
            )
        where = {"epoch": epoch, "step": step}
        return self.picture(f"{name}{suffix}", content, **{k: v for k, v in where.items() if v is not None})

    def picture(self, file: str, content: bytes, **fields: object) -> Path:
        """Keep an encoded picture as ``previews/<file>`` and announce it.

        Args:
            file: may hold ``/`` to make folders; ends in the suffix of its format.
            content: PNG, JPEG or GIF.
            fields: ``epoch``, ``step``, ``timestamp``.

        Returns:
            The picture's path.
        """
        target = self.path / layout.PREVIEWS / file
        if not target.resolve().is_relative_to((self.path / layout.PREVIEWS).resolve()):
            raise RavenError(f"The picture's name {file!r} leaves the run's folder; name it without `..`.")
        write_bytes(target, content)
        name = file.removesuffix(target.suffix)
        place = target.relative_to(self.path).as_posix()
        self._announce_restart("IMAGE", fields)
        self._events.relay(
            {"message": "image", "event_type": "EventType.IMAGE", "name": name, "file": place, **fields}
        )
        return target

    def artifact(self, file: Path) -> None:
        """Announce a file that is already in place below ``path``."""
        name = file.relative_to(self.path).as_posix()
        self._write("artifact", "ARTIFACT", {"file": name, "sizeb": file.stat().st_size})

    def resources(self, numbers: Mapping[str, float]) -> None:
        """Report what of the machine is in use (see ``ravenml.runs.resources``)."""
        self._write("resources", "RESOURCES", {"resources": dict(numbers)})

    def text(self, message: str, level: str = "info") -> None:
        """Say something in words; ``level`` is ``debug``, ``info``, ``warning`` or ``error``."""
        self._write(message, "TEXT", {}, level)

    def resumed(self, step: int, epoch: float) -> None:
        """Say from which step this attempt goes on; readers drop later steps of earlier attempts."""
        self._placed = True
        self._write("resumed", "RESUMED", {"step": step, "epoch": epoch})

    def relay(self, event: Mapping[str, object]) -> None:
        """Keep an event that another program printed (see ``ravenml.runs.output_parser``).

        Its fields stay as they are; ``v``, ``attempt`` and ``seq`` become ours.  Metrics, checkpoints and
        pictures without a ``step`` are given one.
        """
        if self._steps is None:
            events = read_events(self.path / layout.EVENTS)
            recorded = list(events)
            self._steps = StepNumbering(e.fields for e in recorded if e.attempt == self.attempt)
            if not self._placed:
                self._steps.begin_after(_last_step_before(recorded, event.get("epoch")))
        event = self._steps.number_event(event)
        if "step" in event:
            self._announce_restart(str(event.get("event_type")).removeprefix("EventType."), event)
        self._events.relay(event)

    def emit(self, event_type: str, message: str, fields: Mapping[str, object], level: str = "info") -> None:
        """Append an event of any type."""
        if "step" in fields:
            self._announce_restart(event_type, fields)
        self._write(message, event_type, fields, level)

    def describe(self, fields: Mapping[str, object]) -> None:
        """Add what a program says of itself to ``run.json``, mappings and tags to those that are there.

        A project or name that was given on the command line stays.
        """
        given = [name for name in ("project", "name") if self.record.get(name)]
        fields = {name: _fitting(name, value) for name, value in fields.items() if name not in given}
        known = {name: self.record.get(name) for name in fields}
        self.update(
            **{
                name: _merge(old, value)
                for name, value, old in ((name, value, known[name]) for name, value in fields.items())
                if name in DESCRIBABLE
            }
        )

    def _announce_restart(self, type: str, fields: Mapping[str, object]) -> None:
        """Before the first thing that has a step: a plugin that did not say where it resumed started over.

        Of another program that was started again nobody knows where it goes on: of each kind of metrics, and
        of pictures, whatever it says first is where.
        """
        self.has_output = True
        if self._placed:
            return
        step = fields.get("step")
        if self.record.get("plugin") or not isinstance(step, int):
            self.resumed(0, 0.0)
            return
        what = subject(type, fields.get("type"))
        if step <= self._back_to.get(what, step):
            self._back_to[what] = step - 1
            self._write("resumed", "RESUMED", {"step": step - 1, "of": what})

    def should_stop(self) -> bool:
        """True after Ctrl-C, SIGTERM or a request in ``control.json``.  Cheap enough for every step.

        A training that sees it saves what resuming needs and returns.  That somebody asks is recorded once
        (``polls``): only such a run can be paused.
        """
        if "polls" not in self.record and not self.finished:
            with suppress(RavenError):  # a full disk: the work goes on, and the next update writes it
                self.update(polls=True)
        return self.stop.poll(self.path)

    # What the core says.

    def update(self, **fields: object) -> None:
        """Add fields to ``run.json``."""
        self.record |= redact_record(fields)
        write_json(self.path / layout.RUN_JSON, self.record)

    def last_metrics(self) -> JsonObject:
        """The newest value of each metric that was reported, by its address (``val/miou``)."""
        return newest_metrics(effective_metrics(self.path / layout.EVENTS))

    def finish(self, status: str, **result: object) -> None:
        """Write how the run ended and let its lock go; only the first call counts.

        Args:
            status: ``completed``, ``failed`` or ``interrupted``.
            result: what else ``run.json`` keeps under ``result``.
        """
        if self.finished:
            return
        self.stop.finishing = True
        self.finished = True
        ended = utc_timestamp()
        self.record["attempts"][-1] |= {"ended": ended, "status": status}
        self.record["result"] = {"status": status, "finished": ended, **redact_record(result)}
        kinds = {"completed": "TASK_FINISHED", "interrupted": "TASK_STOPPED"}
        try:
            write_json(self.path / layout.RUN_JSON, self.record)
        finally:  # a full disk may refuse the one and take the other
            try:
                self._write(status, kinds.get(status, "TASK_CRASHED"), {"status": status})
            finally:
                self._events.close()
                self._lock.release()

    def _write(
        self, message: str, event_type: str, fields: Mapping[str, object], level: str = "info"
    ) -> None:
        self._events.write(message, event_type, fields, level)


def _fitting(name: str, value: object) -> object:
    """What a program says of itself, so that whoever reads the record finds what it expects there."""
    schema = RECORD_FIELDS.get(name, object)
    if value is None or (find_fault(value, schema) is None and not _is_deep(value)):
        return value
    text = reprlib.repr(value)
    return {"value": text} if schema is dict else [text] if isinstance(schema, list) else text


def _is_deep(value: object, levels: int = 50) -> bool:
    """Whether lists and objects are nested deeper than so many levels: the record would not be read again."""
    if not isinstance(value, dict | list):
        return False
    return not levels or any(
        _is_deep(one, levels - 1) for one in (value.values() if isinstance(value, dict) else value)
    )


def _merge(old: object, value: object) -> object:
    """A mapping or list with what is added to it; other values replace the one before."""
    if isinstance(value, dict) and isinstance(old, dict):
        return {**old, **value}
    if isinstance(value, list) and isinstance(old, list):
        return [*old, *(one for one in value if one not in old)]
    return value


def _last_step_before(events: Sequence[Event], epoch: object) -> int:
    """The step of the last metrics before an epoch; 0 where that is not known."""
    if isinstance(epoch, bool) or not isinstance(epoch, int | float):
        return 0
    metrics = (event for event in events if isinstance(event, MetricsEvent))
    before = (e.step or 0 for e in metrics if e.epoch is not None and e.epoch < epoch)
    return max(before, default=0)


def _is_plain(metrics: Mapping[str, Any]) -> bool:
    """Whether all values are numbers that JSON knows, as almost always: then there is nothing to convert."""
    for name, value in metrics.items():
        kind = type(value)
        if type(name) is not str or (kind is not float and kind is not int) or not -_MOST < value < _MOST:
            return False
    return True
