"""Stop and resume runs, through the command line."""

from __future__ import annotations

import asyncio

from nicegui import ui

from ravenml.config.home import runs_dir
from ravenml.dashboard.layout import confirm, show_error
from ravenml.dashboard.processes import Started, start
from ravenml.dashboard.train.launch import looks_for_requests
from ravenml.runs.record import UNDER_WAY, read_record, status

_GRACE = 90.0  # seconds that `raven runs stop` waits; longer than a training takes to save itself
_DEAF = 8.0  # the same of a run that has not looked for requests so far; it may just be starting
_BEGIN = 60.0  # seconds within which a training that is resumed says so


async def stop(*run_ids: str) -> None:
    """Ask runs to stop, and say which of them have not."""
    named = run_ids[0] if len(run_ids) == 1 else f"{len(run_ids)} runs"
    ui.notify(f"Stopping {named}; progress is saved first.", position="bottom")
    asked = await asyncio.gather(*(asyncio.to_thread(_ask, run_id) for run_id in run_ids))
    waited = await asyncio.gather(*(command.wait(_GRACE + 30) for command in asked))
    left = [(name, command) for name, command, code in zip(run_ids, asked, waited, strict=True) if code != 0]
    if not left:
        return
    one = len(left) == 1
    title = f"{left[0][0]} has not stopped" if one else f"{len(left)} runs have not stopped"
    reasons = [command.last_line() for _, command in left]
    if await confirm(title, reasons, "Force stop" if one else "Force stop all", "Keep running"):
        ended = [start(["runs", "stop", run_id, "--grace", "1", "--kill"]) for run_id, _ in left]
        for command, code in zip(ended, await asyncio.gather(*(c.wait(60) for c in ended)), strict=True):
            if code != 0:
                show_error(command.last_line())


def _ask(run_id: str) -> Started:
    grace = _GRACE if looks_for_requests(runs_dir() / run_id) else _DEAF
    return start(["runs", "stop", run_id, "--grace", f"{grace:g}"])


async def resume(run_id: str) -> bool:
    """Resume a run; whether it runs again."""
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
