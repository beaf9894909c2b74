"""A run that the wizard started: what it does, what it says, and what can be asked of it."""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ravenml.common.formatting import format_duration
from ravenml.config.home import runs_dir
from ravenml.dashboard.charts import Charts, find_sources
from ravenml.dashboard.layout import section, show_error
from ravenml.dashboard.runs.actions import looks_for_requests
from ravenml.dashboard.train import starting
from ravenml.dashboard.train.artifacts import artifacts, write_link
from ravenml.dashboard.train.live import Live, Part
from ravenml.dashboard.train.over_time import OverTime
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.record import UNDER_WAY

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView

_FASTER = 0.5  # seconds between two looks while it runs
STATUS = {
    "starting": ("hourglass_empty", "Starting"),
    "running": ("autorenew", "Running"),
    "waiting": ("schedule", "Waiting in the queue"),
    "completed": ("check_circle", "Completed"),
    "interrupted": ("pause_circle", "Paused or stopped"),
    "failed": ("error", "Failed"),
    "lost": ("help", "Its process is gone"),
}
_COLOURS = {"completed": "good", "interrupted": "warn", "failed": "bad", "lost": "warn"}


class RunCard:
    """The run on the page; :meth:`refresh` brings what is new."""

    def __init__(self, view: WizardView, run_id: str) -> None:
        self.view = view
        self.run_id = run_id
        self.live = Live(runs_dir() / run_id)
        self.charts: Charts | None = None
        self._status = ""
        self._pausable: bool | None = None
        self._reading = asyncio.Lock()
        self._resting: list[int] = []

    async def build(self) -> None:
        """Make it."""
        from nicegui import ui

        await to_thread(self.live.read)
        with section("Run") as self._box:
            with ui.element("div").classes("line"):
                self._icon = ui.icon("autorenew", size="22px").props('aria-hidden="true"')
                self._word = ui.label().classes("strong").props('role="status"')
                ui.link(self.run_id, f"/runs/{self.run_id}").classes("mono grow cut")
                self._buttons = ui.element("div").classes("line")
            self._message = ui.label().classes("wrap muted")
            self._bars = ui.element("div").classes("progress")
        self._charts_box = ui.element("div").classes("stack")
        self._over_time = OverTime(self.run_id)
        self._over_time.build()
        with section("Console"):
            self._console = ui.log(max_lines=400).classes("console").props('role="log" aria-label="Console"')
            for line in self.live.lines:
                self._console.push(line)
        with section("Artifacts"):
            self._artifacts = ui.element("div").classes("artifacts")
        await self._show()
        ui.timer(_FASTER, self.refresh)

    async def refresh(self) -> None:
        """Bring what is new to the page."""
        if self._reading.locked():
            return
        if self._status not in ("", "starting", *UNDER_WAY) and self._record() == self._resting:
            return  # until somebody goes on with it, from wherever
        async with self._reading:
            self._resting = self._record()
            await to_thread(self.live.read)
            for line in self.live.new_lines:
                self._console.push(line)
            await self._show()

    def _record(self) -> list[int]:
        """What changes whenever it is heard that the run goes on, or has ended."""
        found = []
        for name in (layout.RUN_JSON, layout.HEARTBEAT):
            with suppress(OSError):
                found.append((self.live.folder / name).stat().st_mtime_ns)
        return found

    async def _show(self) -> None:

        live = self.live
        pausable = await to_thread(looks_for_requests, live.folder)
        if live.status != self._status or pausable != self._pausable:
            began = self._status in ("", "starting") and live.status != "starting"
            self._status, self._pausable = live.status, pausable
            self._show_status()
            if began:
                await to_thread(write_link, live.folder, self.view.wizard.shared.settings.access)
            await self._list()
        self._show_progress()
        if live.status != "starting":
            if self.charts is None:
                self.charts = Charts(find_sources(live.folder))
                await to_thread(self.charts.load)
                with self._charts_box, section("Charts"):
                    self.charts.build()
            elif len(self.charts.sources) != len(find_sources(live.folder)):
                self.charts = None
                self._charts_box.clear()
            else:
                await self.charts.refresh()
        self._over_time.show([picture for part in live.parts for picture in part.pictures], live.parts)
        if live.status == "starting":
            self._set_message(await to_thread(_refusal, self.run_id) or "The process begins.")
            if self._message.text.startswith("Error"):
                self._word.text = "It could not begin"
                self._status = "refused"

    def _show_status(self) -> None:
        from nicegui import ui

        icon, word = STATUS.get(self._status, ("help", self._status))
        self._icon.props["name"] = icon
        self._icon.classes(replace=_COLOURS.get(self._status, ""))
        self._word.text = word
        result = self.live.record.get("result") or {}
        self._set_message(str(result.get("error") or result.get("reason") or ""))
        self._buttons.clear()
        with self._buttons:
            if self._status in UNDER_WAY:
                if self._pausable:
                    ui.button("Pause", icon="pause", on_click=lambda: self._ask(starting.pause)).props(
                        "outline"
                    )
                ui.button("Stop", icon="stop", on_click=lambda: self._ask(starting.stop)).props("flat")
            elif self._status in ("interrupted", "failed", "lost") and self.live.record.get("resume"):
                ui.button("Resume", icon="play_arrow", on_click=self._resume)

    def _set_message(self, text: str) -> None:
        self._message.text = text
        self._message.set_visibility(bool(text))

    async def _ask(self, ask: Callable[[str], None]) -> None:
        from nicegui import ui

        try:
            await to_thread(ask, self.run_id)
            ui.notify("Asked; it saves what it has and ends.", position="top")
        except RavenError as error:
            show_error(error)

    async def _resume(self) -> None:
        await to_thread(starting.resume, self.run_id)
        self._buttons.clear()
        self._word.text = "Going on"
        for _ in range(60):  # until the process holds the run's lock
            await asyncio.sleep(0.5)
            await to_thread(self.live.read)
            if self.live.status in UNDER_WAY:
                break
        self._status = ""
        await self._show()

    def _show_progress(self) -> None:
        from nicegui import ui

        parts = [part for part in self.live.shown_parts() if part.subtasks]
        if len(self._bars.default_slot.children) != 3 * len(parts):
            self._bars.clear()
            with self._bars:
                for _ in parts:
                    ui.label().classes("small")
                    ui.linear_progress(0, show_value=False).props("rounded size=8px")
                    ui.label().classes("muted small number")
        cells = self._bars.default_slot.children
        for number, part in enumerate(parts):
            words, bar, left = cells[3 * number : 3 * number + 3]
            words.text = _counts(part, len(parts) > 1)  # type: ignore[attr-defined]
            bar.value = round(part.done() or 0.0, 4)  # type: ignore[attr-defined]
            seconds = part.seconds_left() if self._status in UNDER_WAY else None
            left.text = f"{format_duration(seconds)} left" if seconds and seconds > 0 else ""  # type: ignore[attr-defined]

    async def _list(self) -> None:
        from nicegui import ui

        found = await to_thread(artifacts, self.live.folder)
        self._artifacts.clear()
        with self._artifacts:
            if not found:
                ui.label("They appear during the training.").classes("muted")
            for one in found or []:
                ui.link(one.name, one.file_url).classes("mono cut")
                ui.label(one.size).classes("muted small number")


def _counts(part: Part, several: bool) -> str:
    parts = [f"fold {part.folder.name}"] if several else []
    for name in ("Epoch", "Iteration"):
        progress = part.subtasks.get(name)
        if progress is not None and progress.total:
            parts.append(f"{name.lower()} {progress.current:,} of {progress.total:,}")
    if not parts or (several and len(parts) == 1):
        name, progress = next(reversed(part.subtasks.items()))
        parts.append(f"{name} {progress.current:,} of {progress.total:,}")
    return " · ".join(parts)


def _refusal(run_id: str) -> str:
    """What the command said where it could not begin a run."""
    try:
        lines = starting.log_of(run_id).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line.startswith(("Error:", "Usage:"))), "")
