"""A worker's heartbeat, in a thread of its own: neither an upload nor a restoration is a silence."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from types import TracebackType

from ravenml.errors import RavenError
from ravenml.remote.layout import RemoteRun
from ravenml.remote.mirror import PERIOD

ALIVE = 3 * PERIOD  # seconds; a predecessor that was heard within them may still be writing


class Superseded(Exception):
    """Another worker has taken this run over."""


class Heartbeat:
    """Beats while the block lasts; at its beginning, waits until a predecessor has seen that it is replaced.

    Args:
        run: the run's part of the store.
        name: the heartbeat's, such as ``heartbeat-0.json`` of fold 0.
        attempt: the run's.
        silent: whether it does not beat, because another process of the run does.
    """

    def __init__(self, run: RemoteRun, name: str, attempt: int, silent: bool = False) -> None:
        self._run, self._name, self._attempt, self._silent = run, name, attempt, silent
        self._me = uuid.uuid4().hex
        self._ending, self._superseded = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        if not self._silent:
            has_predecessor = self._run.is_running(self._name, since=time.time() - ALIVE)
            self._beat()
            if has_predecessor:
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
            Superseded: it is another worker's now.
        """
        if self._superseded.is_set():
            raise Superseded

    def end(self) -> None:
        """Say that there is nothing more to come."""
        self.__exit__(None, None, None)
        if not self._silent and not self._superseded.is_set():
            self._run.write_heartbeat(self._name, self._attempt, "ended", by=self._me)

    def _beat(self) -> None:
        host = socket.gethostname()
        self._run.write_heartbeat(self._name, self._attempt, "running", by=self._me, host=host)

    def _work(self) -> None:
        while not self._ending.wait(PERIOD):
            try:
                if (self._run.read(self._name) or {}).get("by", self._me) != self._me:
                    self._superseded.set()
                    return
                self._beat()
            except (RavenError, OSError) as error:
                print(f"The store does not take the heartbeat: {error}", flush=True)
