"""Folds as Ray tasks: spread over the cluster as their resources come free."""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ravenml.errors import RavenError
from ravenml.remote import worker
from ravenml.remote.job import Job
from ravenml.remote.mirror import PERIOD, Mirror
from ravenml.remote.places import Place
from ravenml.remote.queues import open_store
from ravenml.remote.restore import Seen, bring
from ravenml.remote.supervisor import task_options


def is_cluster_run() -> bool:
    """Whether this process is a k-fold run's that was sent to a cluster."""
    return bool(os.environ.get(worker.JOB_FILE))


def cluster_folds(run_folder: Path) -> ClusterFolds | None:
    """What starts this run's folds on the cluster; None where it was not sent to one."""
    described = os.environ.get(worker.JOB_FILE)
    if not described:
        return None
    content = json.loads(Path(described).read_bytes())
    job = Job.from_json(content["job"], described)
    return ClusterFolds(job, int(content["attempt"]), run_folder)


class ClusterFolds:
    """Starts folds, and brings what they write into the parent's folder."""

    def __init__(self, job: Job, attempt: int, run_folder: Path) -> None:
        import ray

        ray.init(log_to_driver=False, logging_level=logging.ERROR, runtime_env=_own_environment())
        self._ray, self._job, self._attempt, self._folder = ray, job, attempt, run_folder
        self._place = Place(open_store(job.store), job.id)
        self._seen: Seen = {}
        self._looked = 0.0
        self._task = ray.remote(worker.work_fold).options(
            **task_options(job.resources), max_retries=job.retries, retry_exceptions=[worker.Lost]
        )
        self.restore()
        # The folds read the plan and the settings from the mirror.
        Mirror(self._place, run_folder, without=("folds/",)).round()

    def restore(self) -> None:
        """Bring what earlier attempts have done of the folds."""
        self._bring()

    def launch(self, fold: int, folder: Path) -> ClusterChild:
        """Start a fold; it waits until the cluster has what it asks for."""
        reference = self._task.remote(self._job.as_json(), self._attempt, fold)
        return ClusterChild(self, fold, folder, reference)

    def exit_code(self, reference: Any) -> int | None:
        """How a fold has ended; None while it has not."""
        if time.monotonic() - self._looked > PERIOD:
            self._looked = time.monotonic()
            with suppress(RavenError):
                self._bring()
        ready, _ = self._ray.wait([reference], timeout=0)
        if not ready:
            return None
        self._bring()
        try:
            return int(self._ray.get(reference))
        except Exception as error:
            print(f"A fold was lost: {error}", flush=True)
            return 1

    def ask_to_stop(self, fold: int) -> None:
        """Ask the fold's worker to let it stop in good order."""
        self._place.write(f"control-{fold}.json", {"request": "stop"})

    def kill(self, reference: Any) -> None:
        """Stop a fold at once."""
        self._ray.cancel(reference, force=True)

    def _bring(self) -> None:
        bring(self._place, self._folder / "folds", self._seen, inside="folds/")


class ClusterChild:
    """A fold that trains somewhere on the cluster."""

    def __init__(self, folds: ClusterFolds, fold: int, folder: Path, reference: Any) -> None:
        self.folder = folder
        self._folds, self._fold, self._reference = folds, fold, reference

    def poll(self) -> int | None:
        """Its exit code; None while it trains or waits."""
        return self._folds.exit_code(self._reference)

    def ask_to_stop(self) -> None:
        """It may save what resuming needs."""
        self._folds.ask_to_stop(self._fold)

    def kill(self) -> None:
        """At once."""
        self._folds.kill(self._reference)


def _own_environment() -> dict[str, Any]:
    """The runtime environment that this process was started in, for the tasks that it starts."""
    given = os.environ.get(worker.ENVIRONMENT)
    found: dict[str, Any] = json.loads(given) if given else {}
    return found
