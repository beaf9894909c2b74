"""What is done beside a run while it is going on: a thread of its owner's, with a few small duties."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from ravenml.runs.resources import PERIOD, ResourcesDuty, can_measure
from ravenml.runs.run import Run

FIRST = 1.0  # seconds after which the first duties are done: a run that is over by then pays for none


@dataclass
class Duty:
    """Something that is done every ``period`` seconds, for the first time after ``first``."""

    work: Callable[[], None]
    period: float
    first: float


class Attendant:
    """Does its duties while the block lasts.  One that fails is not tried again, and nothing is said of it:
    nothing that goes wrong here may reach the training.
    """

    def __init__(self) -> None:
        self._duties: list[tuple[float, Duty]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="attendant", daemon=True)

    def every(self, period: float, work: Callable[[], None], first: float | None = None) -> None:
        """Add a duty; only before the block begins."""
        duty = Duty(work, period, period if first is None else first)
        self._duties.append((duty.first, duty))

    @classmethod
    def of(cls, run: Run, pid: int | None = None) -> Attendant:
        """The duties that every run has: its use of resources is recorded.

        Args:
            run: the run.
            pid: the process that does its work; by custom this one.
        """
        attendant = cls()
        if can_measure():
            attendant.every(PERIOD, ResourcesDuty(run, pid), first=FIRST)
        return attendant

    def __enter__(self) -> Attendant:
        began = time.monotonic()
        self._duties = [(began + due, duty) for due, duty in self._duties]
        if self._duties:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        while self._duties:
            self._duties.sort(key=lambda one: one[0])
            due, duty = self._duties[0]
            if self._ending.wait(max(0.0, due - time.monotonic())):
                return
            try:
                duty.work()
            except Exception:
                del self._duties[0]
                continue
            self._duties[0] = (time.monotonic() + duty.period, duty)
