"""``/runs/<id>``: a run's page.  Its head and its charts are there at once, the rest follows."""

from __future__ import annotations

from nicegui import run, ui

from ravenml.dashboard.layout import empty_state, page_frame, section
from ravenml.dashboard.run_files import RunFolder, find_folder
from ravenml.dashboard.runs import evaluation, folds, provenance
from ravenml.dashboard.runs.head import Notes, build_head, final_scores, run_facts
from ravenml.dashboard.runs.model_use import ModelUse
from ravenml.dashboard.runs.state import State, read_state
from ravenml.dashboard.widgets.artifacts import build_files, list_files
from ravenml.dashboard.widgets.charts import PERIOD, Charts, find_sources
from ravenml.dashboard.widgets.console import Console
from ravenml.dashboard.widgets.controls import definition_list
from ravenml.dashboard.widgets.plots import build_plots, build_texts, find_plots, find_texts
from ravenml.dashboard.widgets.previews import PreviewSet, PreviewSlider, find_previews, read_epochs
from ravenml.dashboard.widgets.progress import ProgressBars
from ravenml.runs import layout


async def show(run_id: str, fold: int | None) -> None:
    """Build the page."""
    folder = await run.io_bound(find_folder, run_id)
    if folder is not None and fold is not None:
        folder = folder / layout.FOLDS / str(fold)
    if folder is None or not folder.is_dir():
        what = "run" if folder is None else "fold"
        with (
            page_frame(f"No such {what}", "/runs"),
            empty_state("search_off", f"This {what} does not exist.", run_id, whole_page=True),
        ):
            ui.link("All runs", "/runs")
        return
    page = RunPage(RunFolder(run_id, fold, folder))
    await run.io_bound(page.read)
    with page_frame(page.state.record.get("name") or run_id, "/runs"):
        page.build()
    await ui.context.client.connected(timeout=60)
    await page.fill()
    if ui.context.client.is_deleted:  # no browser ever came for the page, or it has left
        return
    ui.timer(PERIOD, page.refresh, immediate=False)


class RunPage:
    """The page in one browser."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.state: State
        self.charts = Charts(find_sources(run.folder))
        self.progress = ProgressBars(run.folder)
        self._console: Console | None = None
        self._previews: PreviewSlider | None = None
        self._stamp: object = None

    def read(self) -> None:
        """What is there at once.  Work for a thread."""
        self._read_state()
        self.charts.load()

    def _read_state(self) -> None:
        self.state = read_state(self.run)
        if self.state.under_way:
            self.progress.read()

    def build(self) -> None:
        """Head and charts, and room for the rest."""
        self._head = ui.element("div").classes("stack")
        with self._head:
            self._build_head()
        if self.state.fold is None:
            Notes(self.state).build()
        with section("Charts"):
            self.charts.build()
        self._rest = ui.element("div").classes("stack sections")
        self._use: ModelUse | None = None

    def _build_head(self) -> None:
        build_head(self.state)
        if self.state.under_way:
            self.progress.build()
        scores = final_scores(self.state)
        if scores:
            with ui.element("div").classes("scores"):
                for name, value in scores[:8]:
                    with ui.element("div").classes("score"):
                        ui.label(value).classes("score-value")
                        ui.label(name).classes("small muted")

    async def fill(self) -> None:
        """The sections below the charts."""
        state, folder = self.state, self.run.folder
        found = await run.io_bound(
            lambda: (
                self._find_previews(),
                provenance.read_diffs(state),
                list_files(folder),
                bool(evaluation.find_final_pictures(folder)),
                find_plots(folder),
                find_texts(folder),
            )
        )
        if found is None or self._rest.is_deleted:
            return
        previews, changes, files, has_pictures, plots, texts = found
        self._console, self._use = None, None
        self._rest.clear()
        with self._rest:
            count = len(self.charts.sources) if self.charts.sources[0].name else 0
            if state.summary is not None or count:
                with section("Folds"):
                    if state.summary is not None:
                        folds.build(state)
                    folds.links(state, count)
            if state.status == "completed" and state.fold is None:
                self._use = ModelUse(self.run, state)
                await self._use.build()
            self._previews = PreviewSlider(self.run, self._previews.chosen if self._previews else None)
            self._previews.show(previews)
            if plots:
                with section("Plots"):
                    build_plots(self.run, plots)
            if texts:
                with section("Texts"):
                    build_texts(texts)
            if evaluation.sections(state) or has_pictures:
                with section("Evaluation"):
                    evaluation.build(state)
            with section("Console"):
                self._console = Console(folder, ended=not state.under_way)
                await self._console.build()
            with section("Provenance"):
                definition_list(run_facts(state))
                provenance.build(state, changes)
            with section("Files"):
                self._files = ui.element("div").classes("stack")
                self._listed = files
                with self._files:
                    build_files(self.run, files)

    async def refresh(self) -> None:
        """Bring what is new to the page."""
        await self.charts.refresh()
        if self._console is not None:
            await self._console.refresh()
        if self._use is not None:
            await self._use.refresh()
        before = self._outline()
        await run.io_bound(self._look)
        if self._outline() != before:
            self._head.clear()
            with self._head:
                self._build_head()
            await self.fill()
        elif self.state.under_way:
            self.progress.show()
            await self._show_files()
            found = await run.io_bound(self._find_previews)
            if found is not None and self._previews is not None:
                self._previews.show(found)

    async def _show_files(self) -> None:
        """The files again, if there are others; a size that grows alone changes nothing."""
        files = await run.io_bound(list_files, self.run.folder)
        if files is None or self._console is None or list(files.sizes) == list(self._listed.sizes):
            return
        self._listed = files
        self._files.clear()
        with self._files:
            build_files(self.run, files)

    def _find_previews(self) -> PreviewSet:
        return find_previews(self.run.folder, self.progress.epochs or read_epochs(self.run.folder))

    def _look(self) -> None:
        """Read what may have changed."""
        stamp = self.run.stamp()
        if self.state.under_way or stamp != self._stamp:
            self._stamp = stamp
            self._read_state()

    def _outline(self) -> object:
        """What decides which parts the page has."""
        state = self.state
        return state.status, state.result, len(state.record.get("attempts") or ()), state.waits_for
