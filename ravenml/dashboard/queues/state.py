"""What runs on this machine and in the queues.  Reading it is work for threads."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ravenml.common.io import read_json
from ravenml.config.home import runs_dir
from ravenml.errors import RavenError
from ravenml.remote.client.queues import NamedQueue, queues
from ravenml.remote.client.submit import REMOTE
from ravenml.runs.filters import Row
from ravenml.runs.record import UNDER_WAY, heartbeat

_PATIENCE = 4.0  # seconds that a cluster has to answer


@dataclass(frozen=True)
class PendingRun:
    """A run that has not ended.

    Attributes:
        row: its flat record.
        queue: which it was sent to; empty for this machine.
        host: where it runs.
        waits_for: why it does not yet run.
    """

    row: Row
    queue: str
    host: str
    waits_for: str


@dataclass
class QueueStatus:
    """A queue.

    Attributes:
        told: whether it answers, in words.
        answers: None while nobody has asked.
    """

    name: str
    address: str
    asked: str
    message: str = ""
    answers: bool | None = None
    jobs: list[PendingRun] = field(default_factory=list)


def pending_runs(rows: Sequence[Row]) -> list[PendingRun]:
    """The runs among these that have not ended, and where they are."""
    found = []
    for row in rows:
        if row["status"] not in UNDER_WAY:
            continue
        folder = runs_dir() / row["id"]
        queue, beat = "", heartbeat(folder)
        try:
            queue = str(read_json(folder / REMOTE).get("queue") or "") if (folder / REMOTE).exists() else ""
        except (RavenError, AttributeError):
            queue = ""
        waits = str(beat.get("waits_for") or "") if row["status"] == "waiting" else ""
        found.append(PendingRun(row, queue, str(beat.get("host") or ""), waits))
    return found


def queue_statuses(ask: bool) -> list[QueueStatus]:
    """Every queue.

    Args:
        ask: whether clusters are asked how they are, which may take seconds.

    Raises:
        RavenError: the configuration is not usable.
    """
    known = queues()
    found = [_place(name, queue) for name, queue in known.items()]
    if ask:
        with ThreadPoolExecutor(max(1, len(found))) as pool:
            list(pool.map(_ask, found, known.values()))
    return found


def _place(name: str, queue: NamedQueue) -> QueueStatus:
    asked = ", ".join(f"{amount:g} {what}" for what, amount in queue.settings.resources.items())
    return QueueStatus(name, "this machine" if queue.is_local else queue.settings.address, asked)


def _ask(place: QueueStatus, queue: NamedQueue) -> None:
    try:
        jobs = queue.cluster_if_up()
        if jobs is None:
            place.message = "Not running; it starts by itself when something is sent to it."
            return
        version = jobs.version(_PATIENCE)
        has = jobs.resources()
        parts = [f"{has[name]:g} {name}" for name in ("CPU", "GPU") if has.get(name)]
        place.message, place.answers = f"Ray {version} answers: {', '.join(parts) or 'no nodes'}", True
    except (RavenError, KeyError, ValueError) as error:
        place.message, place.answers = str(error), False


def in_queue(jobs: Sequence[PendingRun], queue: str) -> list[PendingRun]:
    """The jobs of one queue, running ones first."""
    mine: list[Any] = [job for job in jobs if job.queue == queue]
    return sorted(mine, key=lambda job: job.row["status"] != "running")
