"""``/runs/<id>``: a run's page."""

from __future__ import annotations

from ravenml.dashboard.charts import PERIOD, Charts, sources_of
from ravenml.dashboard.frame import empty, frame, heading, section
from ravenml.dashboard.runs.files import folder_of
from ravenml.runs import layout


async def show(run_id: str, fold: int | None) -> None:
    """Build the page."""
    from nicegui import run, ui

    folder = folder_of(run_id)
    if folder is not None and fold is not None:
        folder = folder / layout.FOLDS / str(fold)
    with frame(run_id, "/runs"):
        if folder is None:
            empty("search_off", "There is no such run.")
            return
        heading(run_id)
        charts = Charts(sources_of(folder))
        await run.io_bound(charts.load)
        with section("Charts"):
            charts.build()
        ui.timer(PERIOD, charts.refresh, immediate=False)
