"""Stopping runs and going on with them, through the command line."""

from __future__ import annotations

import asyncio

from nicegui import ui

from ravenml.config.home import runs_dir
from ravenml.dashboard.layout import show_error
from ravenml.dashboard.processes import Started, start
from ravenml.dashboard.train.launch import looks_for_requests
from ravenml.runs.record import UNDER_WAY, read_record, status

_GRACE = 90.0  # seconds that `raven runs stop` waits; longer than a training takes to save itself
_DEAF = 8.0  # the same of a run that has not looked for requests so far; it may just be starting
_BEGIN = 60.0  # seconds within which a training that goes on says so


async def stop(*run_ids: str) -> None:
    """Ask runs to stop, and say which of them have not."""
    named = run_ids[0] if len(run_ids) == 1 else f"{len(run_ids)} runs"
    ui.notify(f"Stopping {named}; progress is saved first.", position="bottom")
    asked = await asyncio.gather(*(asyncio.to_thread(_ask, run_id) for run_id in run_ids))
    waited = await asyncio.gather(*(command.wait(_GRACE + 30) for command in asked))
    left = [(name, command) for name, command, code in zip(run_ids, asked, waited, strict=True) if code != 0]
    if not left:
        return
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        one = len(left) == 1
        ui.label(f"{left[0][0]} has not stopped" if one else f"{len(left)} runs have not stopped").classes(
            "strong"
        )
        for _, command in left:
            ui.label(command.last_line()).classes("wrap")
        with ui.element("div").classes("line"):
            sure = ui.button("Force stop" if one else "Force stop all")
            sure.on_click(lambda: dialog.submit(True)).props("unelevated color=negative")
            ui.button("Keep running", on_click=dialog.close).props("flat autofocus")
    answer = await dialog
    dialog.delete()
    if answer:
        ended = [start(["runs", "stop", run_id, "--grace", "1", "--kill"]) for run_id, _ in left]
        for command, code in zip(ended, await asyncio.gather(*(c.wait(60) for c in ended)), strict=True):
            if code != 0:
                show_error(command.last_line())


def _ask(run_id: str) -> Started:
    grace = _GRACE if looks_for_requests(runs_dir() / run_id) else _DEAF
    return start(["runs", "stop", run_id, "--grace", f"{grace:g}"])


async def resume(run_id: str) -> bool:
    """Go on with a run; whether it does."""
    ui.notify(f"Resuming {run_id}; this takes a few seconds.", position="bottom")
    going = start(["runs", "resume", run_id])
    waited = 0.0
    while waited < _BEGIN:
        if await going.wait(0.5):
            show_error(
                going.last_line()
                or f"{run_id} could not be resumed; its command exited without an error message."
            )
            return False
        folder = runs_dir() / run_id
        if going.process.poll() == 0 or status(folder, read_record(folder)) in UNDER_WAY:
            return True
        waited += 0.5
    return True
