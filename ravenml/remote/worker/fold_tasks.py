"""The folds of a k-fold run as Ray tasks: the worker's side of :mod:`ravenml.remote.worker.folds`.

The run's process may be in a container without Ray.  It asks by files in a folder that both see:

```text
start-0   written by the run's process: start fold 0
stop-0    written by it: fold 0 was asked to stop; one that has not begun need not begin
code-0    written by the worker: how the fold's task has ended
```
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from ravenml.common.io import write_json
from ravenml.errors import RavenError
from ravenml.remote.job import Job
from ravenml.remote.layout import RemoteRun
from ravenml.remote.mirror import PERIOD

_LOOK = 0.2  # seconds
_FRESH = 15.0  # seconds; a fold whose heartbeat is younger is being trained, and stops by itself


class FoldTasks:
    """Starts the folds that are asked for, while the block lasts.

    Args:
        function: what trains a fold: job, attempt and fold in, its exit code out.
        retry_on: the exception after which a fold is tried again.
    """

    def __init__(
        self, job: Job, attempt: int, run: RemoteRun, requests: Path, function: Any, retry_on: type[Exception]
    ) -> None:
        import ray

        from ravenml.remote.worker.supervisor import task_options

        self._ray, self._job, self._attempt, self._run, self._requests = ray, job, attempt, run, requests
        requests.mkdir()
        self._task = ray.remote(function).options(
            **task_options(job.resources), max_retries=job.retries, retry_exceptions=[retry_on]
        )
        self._running: dict[int, Any] = {}
        self._looked_at: dict[int, float] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="folds", daemon=True)

    def __enter__(self) -> FoldTasks:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        for reference in self._running.values():  # only where the run's process did not wait for them
            self._ray.cancel(reference, force=True)

    @property
    def any_running(self) -> bool:
        """Whether a fold waits or trains."""
        return bool(self._running)

    def _work(self) -> None:
        while not self._ending.is_set():
            ended = self._wait()
            for ask in sorted(self._requests.glob("start-*")):
                fold = int(ask.name.removeprefix("start-"))
                self._running[fold] = self._task.remote(self._job.as_json(), self._attempt, fold)
                ask.unlink()
            for fold, reference in [*self._running.items()]:
                self._check(fold, reference, reference in ended)

    def _wait(self) -> list[Any]:
        """Wait for a moment, or until a fold has ended; which have."""
        if not self._running:
            self._ending.wait(_LOOK)
            return []
        ended: list[Any] = self._ray.wait([*self._running.values()], timeout=_LOOK)[0]
        return ended

    def _check(self, fold: int, reference: Any, has_ended: bool) -> None:
        if has_ended:
            told: dict[str, Any] = {"code": 1}
            try:
                told["code"] = int(self._ray.get(reference))
            except Exception as error:
                told["why"] = str(error)
            write_json(self._requests / f"code-{fold}", told)
            del self._running[fold]
        elif (self._requests / f"stop-{fold}").exists() and not self._is_training(fold):
            self._ray.cancel(reference, force=True)

    def _is_training(self, fold: int) -> bool:
        """Whether the fold's worker is heard; looked at every two seconds."""
        if time.monotonic() - self._looked_at.get(fold, -PERIOD) < PERIOD:
            return True
        self._looked_at[fold] = time.monotonic()
        try:
            beat = self._run.read_heartbeat(f"heartbeat-{fold}.json") or {}
        except RavenError:
            return True  # nothing is known: leave it
        return beat.get("state") == "running" and time.time() - beat["at"] < _FRESH
