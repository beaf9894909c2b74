"""``/runs/<id>``: a run's page.  Its head and its charts are there at once, the rest follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ravenml.dashboard.charts import PERIOD, Charts, find_sources
from ravenml.dashboard.controls import definition_list
from ravenml.dashboard.layout import empty_state, page_frame, section
from ravenml.dashboard.runs import artifacts, evaluation, folds, provenance
from ravenml.dashboard.runs.console import Console
from ravenml.dashboard.runs.files import find_folder
from ravenml.dashboard.runs.head import Notes, build_head, final_scores, run_facts
from ravenml.dashboard.runs.previews import Previews, PreviewSet, find_final_pictures, find_previews
from ravenml.dashboard.runs.progress import ProgressBars
from ravenml.dashboard.runs.state import State, read_state
from ravenml.runs import layout


async def show(run_id: str, fold: int | None) -> None:
    """Build the page."""
    from nicegui import run, ui

    folder = await run.io_bound(find_folder, run_id)
    if folder is not None and fold is not None:
        folder = folder / layout.FOLDS / str(fold)
    if folder is None or not folder.is_dir():
        what = "run" if folder is None else "fold"
        with (
            page_frame(f"No such {what}", "/runs"),
            empty_state("search_off", f"There is no such {what} here.", run_id),
        ):
            ui.link("All runs", "/runs")
        return
    page = RunPage(run_id, fold, folder)
    await run.io_bound(page.read)
    with page_frame(page.state.record.get("name") or run_id, "/runs"):
        page.build()
    await ui.context.client.connected(timeout=60)
    await page.fill()
    if page.live:
        ui.timer(PERIOD, page.refresh, immediate=False)


class RunPage:
    """The page in one browser."""

    def __init__(self, run_id: str, fold: int | None, folder: Path) -> None:
        self.id, self.fold, self.folder = run_id, fold, folder
        self.state = State(run_id, fold, folder)
        self.charts = Charts(find_sources(folder))
        self.progress = ProgressBars(folder)
        self.live = True
        self._gallery = PreviewSet()
        self._console: Console | None = None
        self._resting: str | None = None

    def read(self) -> None:
        """What is there at once.  Work for a thread."""
        self.state = read_state(self.id, self.fold, self.folder)
        self.charts.load()
        if self.state.under_way:
            self.progress.read()

    def build(self) -> None:
        """Head and charts, and room for the rest."""
        from nicegui import ui

        self._head = ui.element("div").classes("stack")
        with self._head:
            self._build_head()
        if self.state.fold is None:
            Notes(self.state).build()
        with section("Charts"):
            self.charts.build()
        self._rest = ui.element("div").classes("stack sections")

    def _build_head(self) -> None:
        from nicegui import ui

        state = self.state
        build_head(state)
        if state.under_way:
            self.progress.build()
        final = final_scores(state)
        if final:
            with ui.element("div").classes("scores"):
                for name, value in final[:8]:
                    with ui.element("div").classes("score"):
                        ui.label(value).classes("score-value")
                        ui.label(name).classes("small muted")

    async def fill(self) -> None:
        """The sections below the charts."""
        from nicegui import run, ui

        state = self.state
        found = await run.io_bound(
            lambda: (
                find_previews(self.folder),
                provenance.read_diffs(state),
                artifacts.list_files(self.folder),
                bool(find_final_pictures(self.folder)),
            )
        )
        if found is None or self._rest.is_deleted:
            return
        self._gallery, changes, (files, left), ended = found
        self._console = None
        self._rest.clear()
        with self._rest:
            count = len(self.charts.sources) if self.charts.sources[0].name else 0
            if state.summary is not None or count:
                with section("Folds"):
                    if state.summary is not None:
                        folds.build(state)
                    folds.links(state, count)
            self._pictures = ui.element("div")
            self._fill_pictures()
            if evaluation.sections(state) or ended:
                with section("Evaluation"):
                    evaluation.build(state)
            with section("Console"):
                self._console = Console(state)
                await self._console.build()
            with section("Where it comes from"):
                definition_list(run_facts(state))
                provenance.build(state, changes)
            with section("Files"):
                artifacts.build(state, files, left)

    def _fill_pictures(self) -> None:
        self._pictures.clear()
        if self._gallery.rows:
            with self._pictures, section("Predictions over time"):
                Previews(self.state, self._gallery).build()

    async def refresh(self) -> None:
        """Bring what is new to the page."""
        from nicegui import run

        await self.charts.refresh()
        if self._console is not None:
            await self._console.refresh()
        before = self._shown()
        if await run.io_bound(self._look) is None:
            return
        if self._shown() != before:
            self._head.clear()
            with self._head:
                self._build_head()
            await self.fill()
        elif self.state.under_way:
            self.progress.show()
            found = await run.io_bound(find_previews, self.folder)
            if found is not None and found != self._gallery:
                self._gallery = found
                self._fill_pictures()

    def _look(self) -> bool:
        """Read what may have changed."""
        if self.state.under_way or self._record() != self._resting:
            self._resting = self._record()
            self.state = read_state(self.id, self.fold, self.folder)
            if self.state.under_way:
                self.progress.read()
        return True

    def _record(self) -> str:
        """What changes whenever the run's record does."""
        try:
            found = (self.folder / layout.RUN_JSON).stat()
        except OSError:
            return ""
        return f"{found.st_ino} {found.st_mtime_ns}"

    def _shown(self) -> Any:
        state = self.state
        return state.status, state.result, len(state.record.get("attempts") or ()), state.waits_for
