"""The page of queues."""

from __future__ import annotations

from ravenml.config.config import config_path
from ravenml.dashboard.controls import link, short_path, table
from ravenml.dashboard.layout import command_box, heading, page_frame, section
from ravenml.dashboard.queues.state import PendingRun, QueueStatus, in_queue, pending_runs, queue_statuses
from ravenml.dashboard.runs.actions import stop
from ravenml.dashboard.runs.listing import LISTING
from ravenml.dashboard.runs.words import format_elapsed, status_chip
from ravenml.errors import RavenError

PERIOD = 1.0  # seconds between two looks at runs
ASKING = 15.0  # seconds between two questions to the clusters


async def show() -> None:
    """Build the page."""
    from nicegui import ui

    page = QueuesPage()
    await page.look()
    with page_frame("Queues", "/queues"):
        heading("Queues", "What runs where, what waits and why.")
        page.build()
    await ui.context.client.connected(timeout=60)
    await page.ask()
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
        from nicegui import run

        self._jobs = await run.io_bound(lambda: pending_runs(LISTING.rows())) or []
        try:
            self._places = await run.io_bound(queue_statuses, False) or []
        except RavenError as error:
            self._problem = str(error)

    async def ask(self) -> None:
        """Ask the clusters how they are."""
        from nicegui import run

        try:
            self._places = await run.io_bound(queue_statuses, True) or self._places
            self._problem = ""
        except RavenError as error:
            self._problem = str(error)
        self._fill()

    async def refresh(self) -> None:
        """Bring what has changed of the runs to the page."""
        from nicegui import run

        found = await run.io_bound(lambda: pending_runs(LISTING.rows()))
        if found is not None and found != self._jobs:
            self._jobs = found
            self._fill()

    def build(self) -> None:
        """Put it on the page."""
        from nicegui import ui

        self._box = ui.element("div").classes("stack sections")
        self._fill()

    def _fill(self) -> None:
        from nicegui import ui

        if self._box.is_deleted:
            return
        self._box.clear()
        with self._box:
            if self._problem:
                ui.label(self._problem).classes("bad wrap").props("role=alert")
            with section("This machine"):
                _jobs(in_queue(self._jobs, ""), "Nothing runs here at the moment.")
            for place in self._places:
                with section(f"Queue {place.name}"):
                    _place(place)
                    _jobs(in_queue(self._jobs, place.name), "Nothing was sent here that has not ended.")
            gone = {job.queue for job in self._jobs} - {place.name for place in self._places} - {""}
            for name in sorted(gone):
                with section(f"Queue {name}"):
                    ui.label("The configuration does not name it any more.").classes("warn")
                    _jobs(in_queue(self._jobs, name), "")
            if len(self._places) < 2:
                with section("More machines"):
                    ui.label(
                        "A queue is a name for a Ray cluster. Name one in the configuration, and trainings "
                        "can be sent to it; the queue called local tries that out on this machine."
                    ).classes("wrap")
                    command_box(
                        "queues:\n  gpu:\n    address: http://HOST:8265\n    resources: {CPU: 4, GPU: 1}\n"
                        "    store: s3://BUCKET/runs"
                    )
                    ui.label(f"goes into {short_path(config_path())}").classes("muted small wrap")


def _place(place: QueueStatus) -> None:
    from nicegui import ui

    with ui.element("div").classes("line"):
        ui.label(place.address).classes("mono")
        ui.label(f"each training asks for {place.asked}" if place.asked else "").classes("muted small")
    kind = {True: "good", False: "bad", None: "muted"}[place.answers]
    ui.label(place.message or "Asking…").classes(f"small wrap {kind}")


def _jobs(jobs: list[PendingRun], nothing: str) -> None:
    from nicegui import ui

    if not jobs:
        ui.label(nothing).classes("muted")
        return

    def row(job: PendingRun) -> list[object]:
        run_id = str(job.row["id"])

        def title() -> None:
            link(str(job.row.get("name") or run_id), f"/runs/{run_id}", "strong")

        def why() -> None:
            text = f"waits for {job.waits_for}" if job.waits_for else f"on {job.host}" if job.host else ""
            ui.label(text).classes("wrap")

        def end() -> None:
            ui.button("Stop", on_click=lambda: stop(run_id)).props("flat dense")

        about = " · ".join(str(job.row[part]) for part in ("plugin", "dataset") if job.row.get(part))
        since = format_elapsed(job.row.get("created"), None)
        return [title, lambda: status_chip(str(job.row["status"])), about, why, since, end]

    table(
        ["Run", "Status", "What", "Where, or why not yet", "For", ""],
        [row(job) for job in jobs],
        numbers=False,
    )
