"""What is done beside a run while it is going on: a thread of its owner's, with a few small jobs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from ravenml.common.io import is_scratch
from ravenml.config.home import home
from ravenml.runs.exporters.start_sidecar import start_sidecar
from ravenml.runs.resources import PERIOD, ResourceMonitor, can_measure
from ravenml.runs.run import Run

FIRST = 1.0  # seconds after which the first jobs are done: a run that is over by then pays for none


@dataclass
class PeriodicJob:
    """Something that is done every ``period`` seconds (None: once), for the first time after ``first``."""

    work: Callable[[], None]
    period: float | None
    first: float


class RunMonitor:
    """Does its jobs while the block lasts.  One that fails is not tried again, and nothing is said of it:
    nothing that goes wrong here may reach the training.
    """

    def __init__(self) -> None:
        self._jobs: list[tuple[float, PeriodicJob]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="monitor", daemon=True)
        self._sidecar: Sidecar | None = None

    def every(self, period: float, work: Callable[[], None], first: float | None = None) -> None:
        """Add a job; only before the block begins."""
        self._add(PeriodicJob(work, period, period if first is None else first))

    def _add(self, job: PeriodicJob) -> None:
        self._jobs.append((job.first, job))

    @classmethod
    def of(cls, run: Run, pid: int | None = None) -> RunMonitor:
        """The jobs that every run has: its readers are started, and its use of resources is recorded.

        Args:
            run: the run.
            pid: the process that does its work; by default this one.
        """
        monitor = cls()
        monitor._sidecar = Sidecar(run)
        monitor._add(PeriodicJob(monitor._sidecar.start, None, FIRST))
        if can_measure():
            monitor.every(PERIOD, ResourceMonitor(run, pid), first=FIRST)
        return monitor

    def hold_exporters(self, held: bool = True) -> None:
        """Start no readers as long as it may turn out that there is no run."""
        if self._sidecar is not None:
            self._sidecar.held = held

    def __enter__(self) -> RunMonitor:
        began = time.monotonic()
        self._jobs = [(began + due, job) for due, job in self._jobs]
        if self._jobs:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._sidecar is not None:
            with suppress(Exception):
                self._sidecar.start_late()

    def _work(self) -> None:
        while self._jobs:
            self._jobs.sort(key=lambda one: one[0])
            due, job = self._jobs[0]
            if self._ending.wait(max(0.0, due - time.monotonic())):
                return
            try:
                job.work()
            except Exception:
                del self._jobs[0]
                continue
            if job.period is None:
                del self._jobs[0]
            else:
                self._jobs[0] = (time.monotonic() + job.period, job)


class Sidecar:
    """The process of the run's readers, started once, and only where there may be something to bring."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._started = False
        self.held = False

    def start(self) -> None:
        """Start it, if the configuration names a reader."""
        from ravenml.config.config import load_config
        from ravenml.runs.exporters.registry import configured_exporters

        if not self.held:
            self._started = True
            config = load_config()
            if configured_exporters(config) or (config.notify is not None and not is_scratch(self._run.path)):
                start_sidecar(self._run.path)

    def start_late(self) -> None:
        """For a run that is over before it was started: it finishes alone, and nobody waits for it.

        A run that has said nothing is worth it only to readers that somebody may have chosen; which, the
        process itself finds out: reading the configuration would take longer than many a program.
        """
        chosen = os.environ.get("RAVENML_TRACK", "")
        worth_it = self._run.has_output or chosen or (home() / "config.yaml").exists()
        if not self._started and not self.held and ((worth_it and chosen != "none") or self._notifies()):
            start_sidecar(self._run.path)

    def _notifies(self) -> bool:
        """Whether somebody may have to be told that the run has ended; of one that was sent here, its sender
        tells.
        """
        if is_scratch(self._run.path):
            return False
        if os.environ.get("RAVENML_NOTIFY"):
            return True
        try:
            return b"notify" in (home() / "config.yaml").read_bytes()
        except OSError:
            return False
