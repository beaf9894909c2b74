"""Stopping a run and going on with it, through the command line."""

from __future__ import annotations

from ravenml.config.home import runs_dir
from ravenml.dashboard.frame import tell
from ravenml.dashboard.processes import start
from ravenml.runs.record import UNDER_WAY, read_record, status

_GRACE = 90.0  # seconds that `raven runs stop` waits; longer than a training takes to save itself
_BEGIN = 60.0  # seconds within which a training that goes on says so


async def stop(run_id: str) -> None:
    """Ask a run to stop, and say what came of it."""
    from nicegui import ui

    ui.notify(f"Asked {run_id} to stop; it saves what resuming needs.", position="bottom")
    asked = start(["runs", "stop", run_id, "--grace", f"{_GRACE:g}"])
    if not await asked.ended(_GRACE + 30):
        return
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        ui.label(f"{run_id} has not stopped").classes("strong")
        ui.label(asked.said()).classes("wrap")
        with ui.element("div").classes("line"):
            ui.button("End it for sure", on_click=lambda: dialog.submit(True)).props(
                "unelevated color=negative"
            )
            ui.button("Let it run", on_click=dialog.close).props("flat autofocus")
    sure = await dialog
    dialog.delete()
    if sure:
        ended = start(["runs", "stop", run_id, "--grace", "1", "--kill"])
        if await ended.ended(60):
            tell(ended.said())


async def resume(run_id: str) -> bool:
    """Go on with a run; whether it does."""
    from nicegui import ui

    ui.notify(f"{run_id} goes on; starting takes a few seconds.", position="bottom")
    going = start(["runs", "resume", run_id])
    waited = 0.0
    while waited < _BEGIN:
        if await going.ended(0.5):
            tell(going.said() or f"{run_id} could not go on; its command ended without a word.")
            return False
        folder = runs_dir() / run_id
        if going.process.poll() == 0 or status(folder, read_record(folder)) in UNDER_WAY:
            return True
        waited += 0.5
    return True
