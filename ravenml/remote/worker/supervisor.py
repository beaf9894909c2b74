"""The entrypoint of a submitted job, on the cluster's head: has the training run on a worker, and watches it.

It runs as long as the training, which is a Ray task with retries; itself it asks for no CPU.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from types import ModuleType

from ravenml.errors import RavenError
from ravenml.remote.job import Job, ray_options
from ravenml.remote.layout import ATTEMPT, HEARTBEAT, RUN, STORE, WAITING, RemoteRun, open_store
from ravenml.remote.mirror import PERIOD
from ravenml.remote.sealing import seal_mirror
from ravenml.remote.worker.ddp_group import ProcessGroup
from ravenml.remote.worker.worker import TrainingLost, train
from ravenml.runs import layout


def main() -> int:
    """Run the job that the environment names."""
    run = RemoteRun(open_store(os.environ[STORE]), os.environ[RUN])
    attempt = int(os.environ[ATTEMPT])
    job = Job.from_json(run.read("job.json"), run.key("job.json"))
    run.write_heartbeat(WAITING, attempt, "waiting")
    import ray

    # Locally, what Ray prints goes to the job's log; the run's own output is in its mirror.
    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    training = ProcessGroup(ray, job, attempt) if job.workers > 1 else SingleProcess(ray, job, attempt)
    begun, asked_to_stop, code = time.time(), False, None
    while (code := training.wait(PERIOD)) is None:
        try:
            asked_to_stop = asked_to_stop or run.read(layout.CONTROL) is not None
            is_running = run.is_running(HEARTBEAT, since=begun)
            if is_running:
                run.write_heartbeat(WAITING, attempt, "running")
            else:
                run.write_heartbeat(WAITING, attempt, "waiting", waits_for=waits_for(ray, job))
        except RavenError as error:  # a store that is away for a while is not a reason to give up
            print(f"The store does not answer: {error}", flush=True)
            continue
        if asked_to_stop and not is_running:  # a live worker stops its training itself, and stores the rest
            training.cancel()
            seal_mirror(run, job, "interrupted", "a request to stop")
            code = 130
            break
    if training.error:
        # Of several processes, the one that failed first knows more than those that then missed it.
        seal_mirror(run, job, "failed", training.error, corrects=job.workers > 1)
    run.write_heartbeat(WAITING, attempt, "ended")
    return code


class SingleProcess:
    """The Ray task of a run that one process trains."""

    def __init__(self, ray: ModuleType, job: Job, attempt: int) -> None:
        self.error = ""
        self._ray, self._job = ray, job
        # A k-fold run's parent only waits: what it asks for is for its folds.
        resources = {"CPU": 0.0} if job.spread_folds else job.resources
        task = ray.remote(train).options(
            **ray_options(resources), name=job.id, max_retries=job.retries, retry_exceptions=[TrainingLost]
        )
        self._task = task.remote(job, attempt)

    def wait(self, patience: float) -> int | None:
        """Wait for a moment; the exit code once there is one."""
        ready, _ = self._ray.wait([self._task], timeout=patience)
        if not ready:
            return None
        try:
            return int(self._ray.get(self._task))
        except Exception as error:
            self.error = describe_loss(error, self._job.retries)
            return 1

    def cancel(self) -> None:
        """Stop it, whatever it does."""
        self._ray.cancel(self._task, force=True)


def describe_loss(error: Exception, retries: int) -> str:
    """Why a task is given up, as a sentence."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if type(error).__name__ in ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "ActorDiedError"):
        return f"The worker was lost, and {retries} retries did not help: {lines[0]}"
    return lines[-1]


def waits_for(ray: ModuleType, job: Job) -> str:
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
