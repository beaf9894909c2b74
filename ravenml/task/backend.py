"""How a task speaks: into a run of its own, or into the run of the ``raven run`` that started it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from ravenml.common.io import JsonObject, write_bytes
from ravenml.config.home import cache_dir, runs_dir
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.runs.events import EventWriter
from ravenml.runs.process.inbox import EVENTS, INBOX, Inbox, rank
from ravenml.runs.process.program import KIND

PATIENCE = 20.0  # seconds that other ranks wait for rank 0 to begin its run


class BestEffort:
    """Warns, once, where something cannot be recorded: that does not end the script."""

    folder: Path
    _warned = False

    @contextmanager
    def best_effort(self) -> Iterator[None]:
        """Go on where the disk is full; what the script has given wrongly is raised."""
        try:
            yield
        except InputError:
            raise
        except (RavenError, OSError) as error:
            if not self._warned:
                print(f"Warning: not everything is recorded: {error}", file=sys.stderr)
            self._warned = True

    def keep(self, file: str, content: bytes) -> bool:
        """Write a file of the run's folder; whether it is there."""
        with self.best_effort():
            write_bytes(self.folder / file, content)
            return True
        return False


class RunBackend(Protocol):
    """Where a task's events, and what it says of itself, go."""

    id: str
    folder: Path

    def event(self, event_type: str, message: str = "", level: str = "info", **fields: object) -> None:
        """Append an event; it is in a file when this returns."""
        ...

    def describe(self, **fields: object) -> None:
        """Add to the run's record (``parameters``, ``project``, ``container`` …)."""
        ...

    def keep(self, file: str, content: bytes) -> bool:
        """Write a file of the run's folder; whether it is there."""
        ...

    def best_effort(self) -> AbstractContextManager[None]:
        """A block in which a full disk does not end the script."""
        ...

    def end(self, status: str, **result: object) -> None:
        """Say how it ended."""
        ...

    def hold(self, held: bool = True) -> None:
        """Tell nobody of the run, since it may be done elsewhere; False tells them."""
        ...

    def discard(self) -> None:
        """Leave nothing: the work is done elsewhere."""
        ...


class AttachedRun(BestEffort):
    """Speaks to the ``raven run`` around this process, which writes the run's folder."""

    def __init__(self) -> None:
        self.folder = Path(os.environ[layout.RUN_VARIABLE])
        self.id = self.folder.name
        self._writer = EventWriter(Path(os.environ[EVENTS]))

    def event(self, event_type: str, message: str = "", level: str = "info", **fields: object) -> None:
        own = {"rank": rank()} if rank() else {}
        with self.best_effort():
            self._writer.write(message or event_type.lower(), event_type, {**fields, **own}, level)

    def describe(self, **fields: object) -> None:
        self.event("DESCRIBED", fields=fields)

    def end(self, status: str, **result: object) -> None:
        self._writer.close()  # what the exit code says counts

    def hold(self, held: bool = True) -> None:
        """What `raven run` has begun stays."""

    def discard(self) -> None:
        self._writer.close()


class OwnRun(BestEffort):
    """A run of this process's own: console, events, use of resources, TensorBoard's files."""

    _child: AttachedRun | None = None

    def __init__(self, project: str | None, name: str | None) -> None:
        from ravenml.common.secrets import redact_arguments
        from ravenml.runs.console import record_console
        from ravenml.runs.monitor import RunMonitor
        from ravenml.runs.process.environment import environment_of
        from ravenml.runs.process.tensorboard_watcher import TensorBoardWatcher
        from ravenml.runs.provenance import code, machine
        from ravenml.runs.run import Run

        self.id = layout.new_id()
        self.folder = runs_dir() / self.id
        script = os.path.abspath(sys.argv[0]) if sys.argv and sys.argv[0] else ""
        command = ["raven", "run", "--", sys.executable, *redact_arguments(sys.argv)]
        identity = {"kind": KIND, "plugin": None, "project": project, "name": name, "command": command}
        self.run = Run.begin(self.folder, self.id, {**identity, "folder": os.getcwd()})
        self._stack = ExitStack()
        self._stack.enter_context(record_console(self.folder / layout.CONSOLE))
        places = {"working folder": Path.cwd(), **({"script": Path(script).parent} if script else {})}
        found: JsonObject = {"code": code(places, self.folder / "provenance")}
        found |= {**environment_of(Path(sys.executable)), "machine": machine()}
        self.run.update(provenance=found)
        self._boards = TensorBoardWatcher(self.run, [Path.cwd()], os.getpid())
        # Processes that this one starts or forks speak through it: a run has one writer.
        self._pid, self._inbox = os.getpid(), Inbox(self.run, self._attempt)
        self._has_ranks = _meeting_point() is not None
        self._told = {EVENTS: str(self._inbox.path), layout.RUN_VARIABLE: str(self.folder)}
        os.environ |= self._told
        self._monitor = RunMonitor.of(self.run)
        self._monitor.every(0.5, self._inbox.read)
        self._monitor.every(1.0, self._boards.look)
        self._stack.enter_context(self._monitor)

    def _attempt(self, work: Callable[[], None]) -> None:
        with self.best_effort():
            work()

    @property
    def _parent(self) -> AttachedRun | None:
        """In a forked child, the way to the process whose run it is."""
        if self._child is None and os.getpid() != self._pid:
            self._child = AttachedRun()
        return self._child

    def event(self, event_type: str, message: str = "", level: str = "info", **fields: object) -> None:
        if self._parent is not None:
            self._parent.event(event_type, message, level, **fields)
            return
        if self._has_ranks and event_type in ("METRICS", "IMAGE"):
            self._inbox.note(fields)
        with self.best_effort():
            self.run.emit(event_type, message or event_type.lower(), fields, level)

    def describe(self, **fields: object) -> None:
        if self._parent is not None:
            self._parent.describe(**fields)
            return
        with self.best_effort():
            self.run.describe(fields)

    def end(self, status: str, **result: object) -> None:
        if not self.run.finished:
            with suppress(Exception):
                self._boards.look_everywhere()
            self._stack.close()
            self._stop_listening()
            with self.best_effort():
                self.run.finish(status, metrics=self.run.last_metrics(), **result)

    def _stop_listening(self) -> None:
        with suppress(Exception):
            self._inbox.read()
            self._inbox.end()
        for name, value in self._told.items():
            if os.environ.get(name) == value:
                del os.environ[name]

    def hold(self, held: bool = True) -> None:
        self._monitor.hold_exporters(held)

    def discard(self) -> None:
        import shutil

        self._stack.close()
        self._stop_listening()
        self.run.finish("completed", metrics={})
        shutil.rmtree(self.folder, ignore_errors=True)


def find_backend(project: str | None, name: str | None) -> RunBackend:
    """The run around this process where there is one, and a new one elsewhere."""
    if rank() and not os.environ.get(EVENTS):
        _join_rank_0()
    if os.environ.get(EVENTS) and os.environ.get(layout.RUN_VARIABLE):
        backend = AttachedRun()
        known: Mapping[str, object] = {"project": project, "name": name, "captured": "task"}
        backend.describe(**{field: value for field, value in known.items() if value})
        return backend
    own = OwnRun(project, name)
    if (meeting := _meeting_point()) is not None:
        write_bytes(meeting, str(own.folder).encode())
    return own


def _meeting_point() -> Path | None:
    """Where rank 0 tells the ranks beside it of its run; None without a launcher such as torchrun."""
    if os.environ.get("WORLD_SIZE", "1") == "1" or not os.environ.get("MASTER_PORT", "").isdigit():
        return None
    return cache_dir() / "ranks" / f"{os.getppid()}-{os.environ['MASTER_PORT']}"


def _join_rank_0() -> None:
    """Speak to the run that rank 0 begins, if it is a process beside this one that does."""
    meeting, end = _meeting_point(), time.monotonic() + PATIENCE
    while meeting is not None and os.environ.get("GROUP_RANK", "0") == "0" and time.monotonic() < end:
        with suppress(OSError):
            folder = Path(meeting.read_text())
            if (folder / INBOX).exists():  # as long as the run goes on
                os.environ |= {EVENTS: str(folder / INBOX), layout.RUN_VARIABLE: str(folder)}
                return
        time.sleep(0.1)
