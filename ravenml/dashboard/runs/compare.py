"""``/runs/compare?ids=…``: several runs over one another, and what they do not agree about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from nicegui import run, ui

from ravenml.common.formatting import format_number
from ravenml.config.home import runs_dir
from ravenml.dashboard.layout import empty_state, heading, page_frame, section
from ravenml.dashboard.run_files import RunFolder
from ravenml.dashboard.runs.labels import format_cell, status_chip
from ravenml.dashboard.runs.state import State, read_state
from ravenml.dashboard.widgets.charts import PERIOD, Charts, Source
from ravenml.dashboard.widgets.controls import count_text, link, table
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.comparison import Comparison, best_value, compare
from ravenml.runs.events import as_number
from ravenml.runs.tables import select_metrics

MOST_COMPARED = 24  # runs that are compared; more lines than that nobody tells apart


async def show(ids: list[str]) -> None:
    """Build the page."""
    known = set(await run.io_bound(layout.run_ids) or ())
    chosen = [one for one in dict.fromkeys(ids) if one in known][:MOST_COMPARED]
    missing = [one for one in dict.fromkeys(ids) if one not in known]
    with page_frame("Compare runs", "/runs"):
        heading("Compare runs", f"{count_text(len(chosen), 'run')} side by side.")
        if missing:
            ui.label(f"Not found: {', '.join(missing)}").classes("warn wrap")
        if len(ids) > MOST_COMPARED:
            ui.label(f"Only the first {MOST_COMPARED} are compared.").classes("warn")
        if not chosen:
            with empty_state(
                "compare_arrows", "No runs selected.", "Select runs in the table, then choose Compare."
            ):
                ui.link("All runs", "/runs")
            return
        states = await run.io_bound(_read_states, chosen) or []
        charts = Charts([Source(_name(state), _folders(state)) for state in states])
        compared = await run.io_bound(_read, states, charts)
        with section("Runs"):
            _build_runs(states)
        with section("Charts"):
            charts.build()
        if isinstance(compared, Comparison):
            names = ["", *map(_name, states)]
            with section("Differences"):
                _build_differences(compared, names)
            with section("Scores"):
                _build_scores(compared, names)
        else:
            ui.label(str(compared or "")).classes("bad")

    async def refresh() -> None:
        await charts.refresh()

    if any(state.under_way for state in states):
        ui.timer(PERIOD, refresh, immediate=False)


def _read_states(ids: list[str]) -> list[State]:
    return [read_state(RunFolder(run_id, None, runs_dir() / run_id)) for run_id in ids]


def _read(states: list[State], charts: Charts) -> Comparison | str:
    charts.load()
    try:
        return compare([state.folder for state in states])
    except RavenError as error:
        return str(error)


def _name(state: State) -> str:
    return str(state.record.get("name") or state.id)


def _folders(state: State) -> tuple[Path, ...]:
    return tuple(layout.fold_folders(state.folder)) or (state.folder,)


def _build_runs(states: list[State]) -> None:
    def remove(run_id: str) -> None:
        rest = [state.id for state in states if state.id != run_id]
        link("remove", f"/runs/compare?ids={','.join(rest)}", "small")

    rows = [
        [
            partial(link, _name(state), f"/runs/{state.id}", "strong"),
            partial(status_chip, state.status),
            partial(remove, state.id),
        ]
        for state in states
    ]
    table(["Run", "Status", ""], rows, numbers=False)


def _build_differences(compared: Comparison, names: list[str]) -> None:
    if not compared.differing:
        ui.label("Identical settings.").classes("muted")
        return
    rows = [[name, *map(format_cell, values)] for name, values in compared.differing.items()]
    table(names, rows, numbers=False)


def _build_scores(compared: Comparison, head: list[str]) -> None:
    names = select_metrics(compared.metrics)
    if not names:
        ui.label("No scores yet.").classes("muted")
        return
    table(head, [[name, *_marked(name, compared.metrics[name])] for name in names])


def _marked(name: str, values: Sequence[object]) -> list[object]:
    """The values of a score, the best of them in bold."""
    best = best_value(name, values)

    def bold(text: str) -> Callable[[], object]:
        return lambda: ui.label(text).classes("strong")

    return [
        bold(format_number(value)) if best is not None and as_number(value) == best else format_number(value)
        for value in values
    ]
