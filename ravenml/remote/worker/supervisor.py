"""The job's entrypoint on the head: asks for no CPU, keeps the training going, says what it waits for."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from ravenml.errors import RavenError
from ravenml.remote.job import Job
from ravenml.remote.layout import ATTEMPT, HEARTBEAT, RUN, STORE, WAITING, RemoteRun, open_store
from ravenml.remote.mirror import PERIOD, beat
from ravenml.remote.sealing import seal_mirror
from ravenml.remote.worker.ray_tasks import TrainingLost, work
from ravenml.runs import layout

FRESH = 15.0  # seconds; a training whose heartbeat is younger is running


def main() -> int:
    """Run the job that the environment names."""
    run = RemoteRun(open_store(os.environ[STORE]), os.environ[RUN])
    attempt = int(os.environ[ATTEMPT])
    job = Job.from_json(run.read("job.json"), run.key("job.json"))
    beat(run, WAITING, attempt, "waiting")
    import ray

    # Locally, what Ray prints goes to the job's log; the run's own output is in its mirror.
    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    training = Training(ray, job, attempt)
    begun, asked, code = time.time(), False, None
    while (code := training.ended()) is None:
        try:
            asked = asked or run.read(layout.CONTROL) is not None
            runs = _update_heartbeat(ray, run, job, attempt, begun)
        except RavenError as error:  # a store that is away for a while is no reason to give up
            print(f"The store does not answer: {error}", flush=True)
            continue
        if asked and not runs:  # a worker that is alive stops its training itself, and stores what there is
            training.cancel()
            seal_mirror(run, job, "interrupted", "a request to stop")
            code = 130
            break
    if training.why:
        seal_mirror(run, job, "failed", training.why)
    beat(run, WAITING, attempt, "ended")
    return code


def _update_heartbeat(ray: Any, run: RemoteRun, job: Job, attempt: int, begun: float) -> bool:
    """Write the supervisor's heartbeat; whether the training runs."""
    heartbeat = run.read_heartbeat(HEARTBEAT) or {}
    runs = heartbeat.get("state") == "running" and heartbeat["at"] > max(begun, time.time() - FRESH)
    if runs:
        beat(run, WAITING, attempt, "running")
    else:
        beat(run, WAITING, attempt, "waiting", waits_for=waits_for(ray, job))
    return runs


class Training:
    """The Ray tasks of one run: one, or several that train one model together."""

    def __init__(self, ray: Any, job: Job, attempt: int) -> None:
        self.ray, self.job, self.attempt = ray, job, attempt
        self.why = ""
        self._group: Any = None
        if job.workers > 1:
            from ravenml.remote.worker.ddp_group import Group

            self._group = Group(ray, job, attempt)
            return
        # A k-fold run's parent only waits: what it asks for is for its folds.
        asked = {"CPU": 0.0} if job.spread_folds else job.resources
        task = ray.remote(work).options(
            **task_options(asked), name=job.id, max_retries=job.retries, retry_exceptions=[TrainingLost]
        )
        self._task = task.remote(job.as_json(), attempt)

    def ended(self) -> int | None:
        """Wait for a moment; the exit code once there is one."""
        if self._group is not None:
            code: int | None = self._group.ended(PERIOD)
            self.why = self._group.why
            return code
        ready, _ = self.ray.wait([self._task], timeout=PERIOD)
        if not ready:
            return None
        try:
            return int(self.ray.get(self._task))
        except Exception as error:
            self.why = reason(error, self.job.retries)
            return 1

    def cancel(self) -> None:
        """Stop it, whatever it does."""
        if self._group is not None:
            self._group.cancel()
        else:
            self.ray.cancel(self._task, force=True)


def reason(error: Exception, retries: int) -> str:
    """Why a task is given up, as a sentence."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if type(error).__name__ in ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "ActorDiedError"):
        return f"The worker was lost, and {retries} retries did not help: {lines[0]}"
    return lines[-1]


def task_options(resources: dict[str, float]) -> dict[str, Any]:
    """What a task asks for, as Ray's options."""
    custom = {name: amount for name, amount in resources.items() if name not in ("CPU", "GPU", "memory")}
    options: dict[str, Any] = {"num_cpus": resources.get("CPU", 0), "num_gpus": resources.get("GPU", 0)}
    if resources.get("memory"):
        options["memory"] = resources["memory"]
    return options | ({"resources": custom} if custom else {})


def waits_for(ray: Any, job: Job) -> str:
    """What of the cluster is missing or taken, as half a sentence."""
    if job.spread_folds:
        return "its folds' results"
    total, free = ray.cluster_resources(), ray.available_resources()
    parts = []
    for name, amount in job.resources.items():
        wanted = amount * job.workers
        if wanted > total.get(name, 0):
            parts.append(f"{wanted:g} {name}, of which the cluster has {total.get(name, 0):g} in all")
        elif wanted > free.get(name, 0):
            parts.append(f"{wanted:g} {name}, of which {free.get(name, 0):g} of {total[name]:g} are free")
    return "; ".join(parts) or "a worker to start"


if __name__ == "__main__":
    sys.exit(main())
