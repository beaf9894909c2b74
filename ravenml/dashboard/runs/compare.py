"""``/runs/compare?ids=…``: several runs over one another, and what they do not agree about."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nicegui import run, ui

from ravenml.common.formatting import format_number
from ravenml.config.home import runs_dir
from ravenml.dashboard.layout import empty_state, heading, page_frame, section
from ravenml.dashboard.run_files import fold_folders
from ravenml.dashboard.runs.labels import format_cell, status_chip
from ravenml.dashboard.widgets.charts import PERIOD, Charts, Source
from ravenml.dashboard.widgets.controls import count_text, link, table
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.comparison import Comparison, compare
from ravenml.runs.events import as_number
from ravenml.runs.record import UNDER_WAY, read_record, status
from ravenml.runs.tables import select_metrics

_MOST = 24  # runs that are compared; more lines than that nobody tells apart


async def show(ids: list[str]) -> None:
    """Build the page."""
    known = set(await run.io_bound(layout.run_ids) or ())
    chosen = [one for one in dict.fromkeys(ids) if one in known][:_MOST]
    missing = [one for one in dict.fromkeys(ids) if one not in known]
    with page_frame("Compare runs", "/runs"):
        heading("Compare runs", f"{count_text(len(chosen), 'run')} side by side.")
        if missing:
            ui.label(f"Not found: {', '.join(missing)}").classes("warn wrap")
        if len(ids) > _MOST:
            ui.label(f"Only the first {_MOST} are compared.").classes("warn")
        if not chosen:
            with empty_state(
                "compare_arrows", "No runs selected.", "Select runs in the table, then choose Compare."
            ):
                ui.link("All runs", "/runs")
            return
        charts = Charts([_source(one) for one in chosen])
        compared = await run.io_bound(_read, chosen, charts)
        with section("Runs"):
            _runs(chosen)
        with section("Charts"):
            charts.build()
        if isinstance(compared, Comparison):
            with section("Differences"):
                _differences(compared)
            with section("Scores"):
                _scores(compared)
        else:
            ui.label(str(compared or "")).classes("bad")

    async def refresh() -> None:
        await charts.refresh()

    if any(_under_way(one) for one in chosen):
        ui.timer(PERIOD, refresh, immediate=False)


def _read(ids: list[str], charts: Charts) -> Comparison | str:
    charts.load()
    try:
        return compare([runs_dir() / one for one in ids])
    except RavenError as error:
        return str(error)


def _source(run_id: str) -> Source:
    folder = runs_dir() / run_id
    return Source(_name(run_id), tuple(fold_folders(folder)) or (folder,))


def _name(run_id: str) -> str:
    try:
        return str(read_record(runs_dir() / run_id).get("name") or run_id)
    except RavenError:
        return run_id


def _under_way(run_id: str) -> bool:
    try:
        return status(runs_dir() / run_id, read_record(runs_dir() / run_id)) in UNDER_WAY
    except RavenError:
        return False


def _runs(ids: list[str]) -> None:
    def first(run_id: str) -> None:
        link(_name(run_id), f"/runs/{run_id}", "strong")

    def stands(run_id: str) -> None:
        try:
            status_chip(status(runs_dir() / run_id, read_record(runs_dir() / run_id)))
        except RavenError:
            status_chip("broken")

    def without(run_id: str) -> None:
        rest = [one for one in ids if one != run_id]
        ui.link("remove", f"/runs/compare?ids={','.join(rest)}").classes("small")

    rows = [
        [lambda one=one: first(one), lambda one=one: stands(one), lambda one=one: without(one)] for one in ids
    ]
    table(["Run", "Status", ""], rows, numbers=False)


def _differences(compared: Comparison) -> None:
    if not compared.differing:
        ui.label("Identical settings.").classes("muted")
        return
    rows = [[name, *map(format_cell, values)] for name, values in compared.differing.items()]
    table(["", *map(_name, compared.ids)], rows, numbers=False)


def _scores(compared: Comparison) -> None:
    names = select_metrics(compared.metrics)
    if not names:
        ui.label("No scores yet.").classes("muted")
        return
    table(["", *map(_name, compared.ids)], [[name, *_marked(name, compared.metrics[name])] for name in names])


def _marked(name: str, values: Sequence[object]) -> list[object]:
    """The values of a score, the best of them in bold: the lowest of a loss, the highest of all else."""
    numbers = [as_number(value) for value in values]
    known = [number for number in numbers if number is not None and number == number]
    best = (min if "loss" in name else max)(known) if len(set(known)) > 1 else None

    def bold(text: str) -> Callable[[], object]:
        return lambda: ui.label(text).classes("strong")

    return [
        bold(format_number(value)) if number is not None and number == best else format_number(value)
        for value, number in zip(values, numbers, strict=True)
    ]
