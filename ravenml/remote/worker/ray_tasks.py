"""What Ray runs on a worker.  A worker's own modules are imported there, and not by whoever starts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class TrainingLost(Exception):
    """The training was killed by something else than itself: worth another try."""


def work(
    job: dict[str, Any], attempt: int, rank: int = 0, environment: Mapping[str, str] | None = None
) -> int:
    """A run, or one process of several that train one model; its exit code."""
    from ravenml.remote.job import Job
    from ravenml.remote.worker.worker import Worker

    known = Job.from_json(job, "the task")
    return Worker(known, attempt, mirrored=rank == 0, environment=dict(environment or {})).run()


def work_fold(job: dict[str, Any], attempt: int, fold: int) -> int:
    """One fold of a k-fold run; its exit code."""
    from ravenml.remote.job import Job
    from ravenml.remote.worker.worker import Worker
    from ravenml.runs.launcher import FOLD

    inside, control = f"folds/{fold}/", f"control-{fold}.json"
    return Worker(
        Job.from_json(job, "the task"), attempt, inside, control, environment={FOLD: str(fold)}
    ).run()
