"""Step 7: start the training, and watch it."""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections.abc import Callable
from typing import TYPE_CHECKING

from nicegui import ui

from ravenml.common.io import write_bytes
from ravenml.config.home import runs_dir
from ravenml.dashboard import processes
from ravenml.dashboard.layout import command_box, section, show_error
from ravenml.dashboard.run_files import RunFolder
from ravenml.dashboard.runs import actions
from ravenml.dashboard.runs.evaluation import build_pictures, find_final_pictures
from ravenml.dashboard.runs.state import State, read_state
from ravenml.dashboard.train import launch
from ravenml.dashboard.train.draft import as_command, as_yaml, path_of
from ravenml.dashboard.train.wizard import TITLES, step_of_refusal
from ravenml.dashboard.widgets.artifacts import RUN_LINK, build_files, list_files
from ravenml.dashboard.widgets.charts import PERIOD, Charts, find_sources
from ravenml.dashboard.widgets.console import Console
from ravenml.dashboard.widgets.controls import short_path
from ravenml.dashboard.widgets.previews import PreviewSet, PreviewSlider, find_previews
from ravenml.dashboard.widgets.progress import ProgressBars
from ravenml.errors import RavenError
from ravenml.serve.access import Access, reachable_name

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView

_STATUS = {  # icon, word, colour
    "starting": ("hourglass_empty", "Starting", ""),
    "running": ("autorenew", "Running", ""),
    "waiting": ("schedule", "Waiting in the queue", ""),
    "unreachable": ("cloud_off", "Cannot be reached", "warn"),
    "refused": ("error", "Could not start", "bad"),
    "completed": ("check_circle", "Completed", "good"),
    "interrupted": ("pause_circle", "Paused or stopped", "warn"),
    "failed": ("error", "Failed", "bad"),
    "lost": ("help", "Process lost", "warn"),
}


async def build(view: WizardView) -> None:
    """Make the step."""
    runs = view.wizard.draft.runs
    card = RunCard(view, runs[-1]) if runs else None
    if card is not None:
        await card.build()
        view.tick = card.refresh
    _build_start(view, again=card is not None)
    if len(runs) > 1:
        with section("Earlier runs of this draft"):
            for run_id in reversed(runs[:-1]):
                ui.link(run_id, f"/runs/{run_id}").classes("mono")


def _build_start(view: WizardView, again: bool) -> None:
    draft, wizard = view.wizard.draft, view.wizard
    name = wizard.form["command"] if wizard.form else "train"

    async def start() -> None:
        button.disable()
        await wizard.load()  # files that the settings name may have changed since they were chosen
        view.refresh_around()
        why = wizard.lock_reason("train")
        if why is not None:
            button.enable()
            ui.notify(why, position="top")
            return
        try:
            await to_thread(launch.start, wizard.draft, name)
        except RavenError as error:
            show_error(error)
            button.enable()
            return
        await wizard.load()
        view.refresh_around()
        await view.redo()

    def download() -> None:
        ui.download.content(as_yaml(wizard.draft).encode(), f"training-{draft.id}.yml")

    with section("Train again" if again else "Ready to train"):
        with ui.element("div").classes("line"):
            title = "Start another run" if again else "Start training"
            button = ui.button(title, icon="play_arrow", on_click=start)
            if again:
                button.props("outline")
            ui.button("Download the YAML", icon="download", on_click=download).props("flat")
            ui.label("Training continues when you close the browser or the dashboard.").classes("muted small")
        with ui.expansion("Command line and YAML", icon="terminal").classes("fill"):
            command_box(as_command(draft, name))
            ui.label(short_path(path_of(draft.id).with_suffix(".yml"))).classes("muted small mono wrap")
            with ui.element("pre").classes("yaml"):
                ui.label(as_yaml(draft))


class RunCard:
    """The run on the page; :meth:`refresh` brings what is new."""

    def __init__(self, view: WizardView, run_id: str) -> None:
        self.view = view
        self.access = view.wizard.shared.settings.access
        self.run = RunFolder(run_id, None, runs_dir() / run_id)
        self.state = State(run_id, None, self.run.folder, status="starting")
        self.charts: Charts | None = None
        self._progress = ProgressBars(self.run.folder)
        self._found = PreviewSet()
        self._pausable = False
        self._displayed: tuple[str, bool, str] | None = None  # status, whether it can be paused, refusal
        self._refused = ""  # why its command could not begin
        self._reading = asyncio.Lock()
        self._stamp: object = None

    async def build(self) -> None:
        """Make it."""
        await to_thread(self._read)
        with section("Run"):
            with ui.element("div").classes("line"):
                self._icon = ui.icon("autorenew", size="22px").props('aria-hidden="true"')
                self._word = ui.label().classes("strong").props('role="status"')
                self._link = ui.link(self.run.id, f"/runs/{self.run.id}").classes("mono grow cut")
                self._link.set_visibility(False)  # there is nothing to open before the run has begun
                self._buttons = ui.element("div").classes("line")
            self._message = ui.label().classes("wrap muted")
            self._progress.build()
        self._charts_box = ui.element("div").classes("stack")
        self._previews = PreviewSlider(self.run)
        self._evaluation = ui.element("div")
        with section("Console"):
            self._console = Console(self.run.folder, self._is_resting)
            await self._console.build()
        with section("Files"):
            self._files = ui.element("div").classes("stack")
        await self._show()
        ui.timer(PERIOD, self.refresh)

    @property
    def _is_resting(self) -> bool:
        return not self.state.under_way and (self.state.status != "starting" or bool(self._refused))

    async def refresh(self) -> None:
        """Bring what is new to the page."""
        if self._reading.locked():
            return
        stamp = self.run.stamp()
        if self._is_resting and stamp == self._stamp:
            return  # until somebody resumes it, from wherever
        async with self._reading:
            self._stamp = stamp
            await to_thread(self._read)
            await self._console.refresh()
            await self._show()

    def _read(self) -> None:
        """Take in what is new of all its files."""
        state = read_state(self.run)
        if state.error is not None:
            state.status = "starting"
            self._refused = _read_refusal(self.run.id)
        self.state = state
        self._pausable = launch.looks_for_requests(self.run.folder)
        self._progress.read()
        self._found = find_previews(self.run.folder, self._progress.epochs, folds=True)

    async def _show(self) -> None:
        now = (self.state.status, self._pausable, self._refused)
        if now != self._displayed:
            began = (
                self._displayed is None or self._displayed[0] == "starting"
            ) and self.state.status != "starting"
            self._displayed = now
            self._show_status()
            if began:
                await to_thread(_write_link, self.run, self.access)
            await self._show_files()
        self._progress.show()
        self._previews.show(self._found)
        if self.state.status == "starting":
            self._set_message(self._refused or "Starting the process…")
        elif self.charts is None:
            self.charts = Charts(find_sources(self.run.folder))
            await to_thread(self.charts.load)
            with self._charts_box, section("Charts"):
                self.charts.build()
        else:
            await self.charts.refresh()

    def _show_status(self) -> None:
        status, result = self.state.status, self.state.result
        self._link.set_visibility(status != "starting")
        status = "refused" if status == "starting" and self._refused else status
        icon, word, colour = _STATUS.get(status, ("help", status, ""))
        self._icon.props["name"] = icon
        self._icon.classes(replace=colour)
        self._word.text = word
        self._set_message(str(result.get("error") or result.get("reason") or ""))
        self._buttons.clear()
        with self._buttons:
            if self.state.under_way:
                if self._pausable:
                    pause = ui.button("Pause", icon="pause", on_click=lambda: self._ask(launch.pause))
                    pause.props("outline")
                ui.button("Stop", icon="stop", on_click=lambda: self._ask(launch.stop)).props("flat")
            elif status == "refused":
                step = step_of_refusal(self._refused, self.view.wizard.form)
                ui.button(f"Back to {TITLES[step]}", icon="arrow_back", on_click=lambda: self.view.open(step))
            elif self.state.can_resume:
                ui.button("Resume", icon="play_arrow", on_click=self._resume)

    def _set_message(self, text: str) -> None:
        self._message.text = text
        self._message.set_visibility(bool(text))

    async def _ask(self, ask: Callable[[str], None]) -> None:
        try:
            await to_thread(ask, self.run.id)
            ui.notify("Stopping; progress is saved first.", position="top")
        except RavenError as error:
            show_error(error)

    async def _resume(self) -> None:
        self._buttons.clear()
        self._word.text = "Resuming"
        await actions.resume(self.run.id)
        await to_thread(self._read)
        self._displayed = None
        await self._show()

    async def _show_files(self) -> None:
        files, pictures = await to_thread(
            lambda: (list_files(self.run.folder), find_final_pictures(self.run.folder))
        )
        self._files.clear()
        with self._files:
            if files.sizes:
                build_files(self.run, files)
            else:
                ui.label("Files appear during training.").classes("muted")
        self._evaluation.clear()
        if pictures:
            with self._evaluation, section("Evaluation"):
                build_pictures(self.run, pictures)


def _write_link(run: RunFolder, access: Access) -> None:
    """Write ``open_app.lnk``: the address of the run's page, without a token."""
    address = f"http://{reachable_name(access.host)}:{access.port}/runs/{run.id}\n"
    try:
        write_bytes(run.folder / RUN_LINK, address.encode())
    except RavenError:
        return  # a folder that may only be read: the page itself has the link


def _read_refusal(run_id: str) -> str:
    """Why the command could not begin a run; empty where it still may."""
    log = launch.log_of(run_id)
    if processes.is_printing(log):
        return ""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    last = lines[-1] if lines else "The process ended without a word; start it once more."
    return next((line for line in reversed(lines) if line.startswith("Error:")), last).removeprefix("Error: ")
