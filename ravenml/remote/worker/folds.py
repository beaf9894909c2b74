"""Folds that train elsewhere on the cluster, as the k-fold run's process sees them.

It asks the worker that has started it by files in a folder that both see, and so needs no Ray in the job's
image.  :class:`FoldTasks` in ``worker.py`` makes Ray tasks of them:

```text
start-0   written by the run's process: start fold 0
stop-0    written by it: fold 0 was asked to stop; one that has not begun need not begin
code-0    written by the worker: how the fold's task has ended
```
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from ravenml.common.io import read_json
from ravenml.errors import RavenError
from ravenml.remote.job import Job
from ravenml.remote.layout import RemoteRun, open_store
from ravenml.remote.mirror import PERIOD, Mirror
from ravenml.remote.restore import Etags, fetch, is_light, is_not_state
from ravenml.remote.sealing import is_sealed
from ravenml.runs import layout

JOB_FILE = "RAVENML_REMOTE_JOB"  # in a k-fold run's environment: what its folds are started with
REQUESTS = "folds"  # that folder, beside that file


def is_cluster_run() -> bool:
    """Whether this process is a k-fold run's that was sent to a cluster."""
    return bool(os.environ.get(JOB_FILE))


def cluster_folds(run_folder: Path) -> ClusterFolds | None:
    """What starts this run's folds on the cluster; None where it was not sent to one."""
    described = os.environ.get(JOB_FILE)
    if not described:
        return None
    job = Job.from_json(json.loads(Path(described).read_bytes()), described)
    return ClusterFolds(job, Path(described).parent / REQUESTS, run_folder)


class ClusterFolds:
    """Has folds started, and brings what they write into the parent's folder."""

    def __init__(self, job: Job, requests: Path, run_folder: Path) -> None:
        self._requests, self._folder = requests, run_folder
        self._run = RemoteRun(open_store(job.store), job.id)
        self._seen: Etags = {}
        self._looked = 0.0
        self._to_stop: set[int] = set()
        self._fetch()  # what earlier attempts have done of the folds
        for one in sorted((run_folder / layout.FOLDS).glob("*/")):
            if is_sealed(one):
                self._fetch_whole(int(one.name))

    def share_plan(self) -> None:
        """Mirror the run, where the folds read the plan, the settings, and what earlier folds have chosen."""
        Mirror(self._run, self._folder, without=("folds/",)).round()

    def launch(self, fold: int, folder: Path) -> ClusterFold:
        """Start a fold; it waits until the cluster has what it asks for."""
        (self._requests / f"start-{fold}").touch()
        return ClusterFold(self, fold, folder)

    def exit_code(self, fold: int) -> int | None:
        """How a fold has ended; None while it has not, or while the store does not give away all of it."""
        ended = (self._requests / f"code-{fold}").exists()
        if ended or time.monotonic() - self._looked > PERIOD:
            self._looked = time.monotonic()
            try:
                for one in [*self._to_stop]:
                    self._run.write(f"control-{one}.json", {"request": "stop"})
                    self._to_stop.discard(one)
                if ended:
                    self._fetch_whole(fold)
                else:
                    self._fetch()
            except (RavenError, OSError) as error:
                if ended:
                    print(f"Fold {fold} has ended, and cannot be brought yet: {error}", flush=True)
                    time.sleep(PERIOD)
                return None
        if not ended:
            return None
        answer = read_json(self._requests / f"code-{fold}")
        if "why" in answer:
            print(f"A fold was lost: {answer['why']}", flush=True)
        return int(answer["code"])

    def ask_to_stop(self, fold: int) -> None:
        """Ask the fold's worker to stop it gracefully."""
        (self._requests / f"stop-{fold}").touch()
        self._to_stop.add(fold)

    def _fetch(self) -> None:
        """What tells how the folds stand; their checkpoints come when they have ended."""
        fetch(self._run, self._folder / layout.FOLDS, self._seen, inside=f"{layout.FOLDS}/", keep=is_light)

    def _fetch_whole(self, fold: int) -> None:
        inside = f"{layout.FOLDS}/{fold}/"
        fetch(self._run, self._folder / inside, self._seen, inside=inside, keep=is_not_state)


class ClusterFold:
    """A fold that trains somewhere on the cluster."""

    def __init__(self, folds: ClusterFolds, fold: int, folder: Path) -> None:
        self.folder = folder
        self._folds, self._fold = folds, fold

    def poll(self) -> int | None:
        """Its exit code; None while it trains or waits."""
        return self._folds.exit_code(self._fold)

    def ask_to_stop(self) -> None:
        """It may save what resuming needs."""
        self._folds.ask_to_stop(self._fold)

    def kill(self) -> None:
        """Its worker does that when its patience is over: it knows whether a checkpoint is on its way."""
