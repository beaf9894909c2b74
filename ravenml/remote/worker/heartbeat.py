"""A worker's heartbeat, in a thread of its own: neither an upload nor a restoration is a silence."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from types import TracebackType

from ravenml.errors import RavenError
from ravenml.remote.layout import Place
from ravenml.remote.mirror import PERIOD, beat

ALIVE = 3 * PERIOD  # seconds; a predecessor that was heard within them may still be writing


class Superseded(Exception):
    """Another worker has taken this run over."""


class Heartbeat:
    """Beats while the block lasts; at its beginning, waits until a predecessor has seen that it is replaced.

    Args:
        place: the run's part of the store.
        name: the heartbeat's, such as ``heartbeat-0.json`` of fold 0.
        attempt: the run's.
        silent: whether it does not beat, because another process of the run does.
    """

    def __init__(self, place: Place, name: str, attempt: int, silent: bool = False) -> None:
        self._place, self._name, self._attempt, self._silent = place, name, attempt, silent
        self._me = uuid.uuid4().hex
        self._ending, self._replaced = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="heart", daemon=True)

    def __enter__(self) -> Heartbeat:
        if not self._silent:
            before = self._place.heard(self._name) or {}
            self._beat()
            if before.get("state") == "running" and time.time() - before["at"] < ALIVE:
                time.sleep(ALIVE)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def check(self) -> None:
        """Before anything is written to the mirror.

        Raises:
            Replaced: it is another worker's now.
        """
        if self._replaced.is_set():
            raise Superseded

    def end(self) -> None:
        """Say that there is nothing more to come."""
        self.__exit__(None, None, None)
        if not self._silent and not self._replaced.is_set():
            beat(self._place, self._name, self._attempt, "ended", by=self._me)

    def _beat(self) -> None:
        beat(self._place, self._name, self._attempt, "running", by=self._me, host=socket.gethostname())

    def _work(self) -> None:
        while not self._ending.wait(PERIOD):
            try:
                if (self._place.read(self._name) or {}).get("by", self._me) != self._me:
                    self._replaced.set()
                    return
                self._beat()
            except (RavenError, OSError) as error:
                print(f"The store does not take the heartbeat: {error}", flush=True)
