"""The page of queues."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nicegui import run, ui

from ravenml.common.schema import read_object
from ravenml.config.config import config_path
from ravenml.config.home import runs_dir
from ravenml.dashboard.layout import command_box, heading, page_frame, section
from ravenml.dashboard.runs.actions import stop
from ravenml.dashboard.runs.labels import format_elapsed, status_chip
from ravenml.dashboard.runs.listing import LISTING
from ravenml.dashboard.widgets.controls import link, short_path, table
from ravenml.errors import RavenError
from ravenml.remote.client.queues import NamedQueue, queues
from ravenml.remote.client.submit import REMOTE, REMOTE_FIELDS
from ravenml.runs.filters import Row
from ravenml.runs.layout import HEARTBEAT
from ravenml.runs.record import UNDER_WAY, heartbeat

PERIOD = 1.0  # seconds between two looks at runs
ASKING = 15.0  # seconds between two questions to the clusters


async def show() -> None:
    """Build the page."""
    page = QueuesPage()
    await page.look()
    with page_frame("Queues", "/queues"):
        heading("Queues", "Where runs are running, and what they are waiting for.")
        page.build()
    await ui.context.client.connected(timeout=60)
    await page.ask()
    if ui.context.client.is_deleted:  # no browser ever came for the page, or it has left
        return
    ui.timer(PERIOD, page.refresh, immediate=False)
    ui.timer(ASKING, page.ask, immediate=False)


class QueuesPage:
    """The page in one browser."""

    def __init__(self) -> None:
        self._jobs: list[PendingRun] = []
        self._places: list[QueueStatus] = []
        self._problem = ""

    async def look(self) -> None:
        """Read which queues there are, and what has not ended."""
        self._jobs = await run.io_bound(lambda: pending_runs(LISTING.rows())) or []
        try:
            self._places = await run.io_bound(queue_statuses, False) or []
        except RavenError as error:
            self._problem = str(error)

    async def ask(self) -> None:
        """Ask the clusters how they are."""
        try:
            self._places = await run.io_bound(queue_statuses, True) or self._places
            self._problem = ""
        except RavenError as error:
            self._problem = str(error)
        self._fill()

    async def refresh(self) -> None:
        """Bring what has changed of the runs to the page."""
        found = await run.io_bound(lambda: pending_runs(LISTING.rows()))
        if found is not None and found != self._jobs:
            self._jobs = found
            self._fill()

    def build(self) -> None:
        """Put it on the page."""
        self._box = ui.element("div").classes("stack sections")
        self._fill()

    def _fill(self) -> None:
        if self._box.is_deleted:
            return
        self._box.clear()
        with self._box:
            if self._problem:
                ui.label(self._problem).classes("bad wrap").props("role=alert")
            with section("This machine"):
                _build_jobs(in_queue(self._jobs, ""), "Nothing is running here.")
            for place in self._places:
                with section(f"Queue {place.name}"):
                    _build_queue(place)
                    _build_jobs(in_queue(self._jobs, place.name), "No unfinished runs in this queue.")
            gone = {job.queue for job in self._jobs} - {place.name for place in self._places} - {""}
            for name in sorted(gone):
                with section(f"Queue {name}"):
                    ui.label("This queue is no longer configured.").classes("warn")
                    _build_jobs(in_queue(self._jobs, name), "")
            if len(self._places) < 2:
                with section("More machines"):
                    ui.label(
                        "A queue is a name for a Ray cluster. Add one to the configuration to send trainings "
                        "to it; the queue `local` lets you try this on one machine."
                    ).classes("wrap")
                    command_box(
                        "queues:\n  gpu:\n    address: http://HOST:8265\n    resources: {CPU: 4, GPU: 1}\n"
                        "    store: s3://BUCKET/runs"
                    )
                    ui.label(f"Add this to {short_path(config_path())}").classes("muted small wrap")


def _build_queue(place: QueueStatus) -> None:
    with ui.element("div").classes("line"):
        ui.label(place.address).classes("mono")
        ui.label(f"{place.asked} per training" if place.asked else "").classes("muted small")
    kind = {True: "good", False: "bad", None: "muted"}[place.answers]
    ui.label(place.message or "Asking…").classes(f"small wrap {kind}")


def _build_jobs(jobs: list[PendingRun], nothing: str) -> None:
    if not jobs:
        ui.label(nothing).classes("muted")
        return

    def row(job: PendingRun) -> list[object]:
        run_id = str(job.row["id"])

        def title() -> None:
            link(str(job.row.get("name") or run_id), f"/runs/{run_id}", "strong")

        def why() -> None:
            text = f"waiting for {job.waits_for}" if job.waits_for else f"on {job.host}" if job.host else ""
            ui.label(text).classes("wrap")

        def end() -> None:
            ui.button("Stop", on_click=lambda: stop(run_id)).props("flat dense")

        about = " · ".join(str(job.row[part]) for part in ("plugin", "dataset") if job.row.get(part))
        since = format_elapsed(job.row.get("created"), None)
        return [title, lambda: status_chip(str(job.row["status"])), about, why, since, end]

    table(
        ["Run", "Status", "What", "Location or reason", "For", ""],
        [row(job) for job in jobs],
        numbers=False,
    )


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
        message: whether it answers, in words.
        answers: None while nobody has asked.
    """

    name: str
    address: str
    asked: str
    message: str = ""
    answers: bool | None = None


def pending_runs(rows: Sequence[Row]) -> list[PendingRun]:
    """The runs among these that have not ended, and where they are."""
    found = []
    for row in rows:
        if row["status"] not in UNDER_WAY:
            continue
        folder = runs_dir() / row["id"]
        queue, beat = "", dict[str, Any]()
        with suppress(RavenError):  # it is over, or broken by now: the next look says so
            beat = heartbeat(folder) if (folder / HEARTBEAT).exists() else {}
            sent = read_object(folder / REMOTE, REMOTE_FIELDS) if (folder / REMOTE).exists() else {}
            queue = sent.get("queue") or ""
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
    found = [_status_of(name, queue) for name, queue in known.items()]
    if ask:
        with ThreadPoolExecutor(max(1, len(found))) as pool:
            list(pool.map(_ask, found, known.values()))
    return found


def _status_of(name: str, queue: NamedQueue) -> QueueStatus:
    asked = ", ".join(f"{amount:g} {what}" for what, amount in queue.settings.resources.items())
    return QueueStatus(name, "this machine" if queue.is_local else queue.settings.address, asked)


def _ask(place: QueueStatus, queue: NamedQueue) -> None:
    try:
        jobs = queue.cluster_if_up()
        if jobs is None:
            place.message = "Not running; starts automatically when a run is submitted."
            return
        version = jobs.version(_PATIENCE)
        has = jobs.resources()
        parts = [f"{has[name]:g} {name}" for name in ("CPU", "GPU") if has.get(name)]
        place.message, place.answers = f"Ray {version} answers: {', '.join(parts) or 'no nodes'}", True
    except (RavenError, KeyError, ValueError) as error:
        place.message, place.answers = str(error), False


def in_queue(jobs: Sequence[PendingRun], queue: str) -> list[PendingRun]:
    """The jobs of one queue, running ones first."""
    mine = [job for job in jobs if job.queue == queue]
    return sorted(mine, key=lambda job: job.row["status"] != "running")
