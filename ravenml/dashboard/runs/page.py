"""The addresses of ``/runs``: the table, the comparison, the plot, a run, and its files."""

from __future__ import annotations

from urllib.parse import unquote

from fastapi import Response
from nicegui import app, ui

from ravenml.dashboard import run_files
from ravenml.dashboard.pages import PATIENCE, Nav, Settings
from ravenml.dashboard.runs import compare, plot, run, table
from ravenml.dashboard.runs.query import Query

NAV: Nav | None = Nav("Runs", "/runs", "stacked_line_chart")


def register(settings: Settings) -> None:
    """Declare the pages."""

    @ui.page("/runs", response_timeout=PATIENCE)
    async def show_table() -> None:
        request = ui.context.client.request
        if request is None:
            await table.show(Query())
            return
        remembered = unquote(request.cookies.get(table.COLUMNS, ""))
        await table.show(Query.parse(dict(request.query_params), remembered))

    @ui.page("/runs/compare", response_timeout=PATIENCE)
    async def show_comparison(ids: str = "") -> None:
        await compare.show([one for one in ids.split(",") if one])

    @ui.page("/runs/plot", response_timeout=PATIENCE)
    async def show_plot() -> None:
        request = ui.context.client.request
        values = dict(request.query_params) if request is not None else {}
        await plot.show(plot.PlotQuery.parse(values))

    @ui.page("/runs/{run_id}", response_timeout=PATIENCE)
    async def show_run(run_id: str, fold: int | None = None) -> None:
        await run.show(run_id, fold)

    @app.get(run_files.ARCHIVE, include_in_schema=False)
    def send_archive(run_id: str) -> Response:
        return run_files.serve_archive(run_id)

    @app.get(run_files.ADDRESS, include_in_schema=False)
    def send_file(run_id: str, path: str) -> Response:
        return run_files.serve_file(run_id, path)
