"""The addresses of ``/runs``: the table, the comparison, a run, and its files."""

from __future__ import annotations

from nicegui import app, ui

from ravenml.dashboard.pages import Nav, Settings

NAV: Nav | None = Nav("Runs", "/runs", "stacked_line_chart")
PATIENCE = 60.0  # seconds that a page may read before it is sent


def register(settings: Settings) -> None:
    """Declare the pages."""
    from ravenml.dashboard import run_files as files

    @ui.page("/runs", response_timeout=PATIENCE)
    async def runs() -> None:
        from ravenml.dashboard.runs.query import Query
        from ravenml.dashboard.runs.table import show

        request = ui.context.client.request
        await show(Query.parse(dict(request.query_params) if request is not None else {}))

    @ui.page("/runs/compare", response_timeout=PATIENCE)
    async def compare(ids: str = "") -> None:
        from ravenml.dashboard.runs.compare import show

        await show([one for one in ids.split(",") if one])

    @ui.page("/runs/{run_id}", response_timeout=PATIENCE)
    async def run(run_id: str, fold: int | None = None) -> None:
        from ravenml.dashboard.runs.run import show

        await show(run_id, fold)

    @app.get(files.ADDRESS, include_in_schema=False)
    def file(run_id: str, path: str) -> object:
        return files.serve_file(run_id, path)
