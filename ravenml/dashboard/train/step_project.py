"""Step 1: the project and the plugin, and a look at the images."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata
from typing import TYPE_CHECKING

from nicegui import ui

from ravenml.config.home import datasets_dir
from ravenml.dashboard import processes
from ravenml.dashboard.layout import empty_state, section, show_error
from ravenml.dashboard.train.dataset_stats import DatasetStats
from ravenml.dashboard.train.draft import Draft, SplitOptions, put
from ravenml.dashboard.train.fields import add_cards
from ravenml.dashboard.train.gallery import ImageGallery
from ravenml.dashboard.widgets.controls import count_text, short_path
from ravenml.data.project import Project
from ravenml.data.registry import known_datasets
from ravenml.errors import RavenError
from ravenml.plugin.discovery import Plugin, plugins

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView

_WRITING = 120.0  # seconds in which the demo project is written on any machine
_CARDS = 12  # known datasets that are shown before a search is needed


async def build(view: WizardView) -> None:
    """Make the step."""
    _choose_project(view)
    _choose_plugin(view)
    if view.wizard.draft.dataset:
        ProjectStats(view).build()


def _choose_project(view: WizardView) -> None:
    draft = view.wizard.draft
    known = known_datasets()

    async def choose(dataset: str) -> None:
        try:
            root = view.wizard.shared.root_of(dataset)
            dataset = dataset if dataset in known else str(root)  # `~` and relative paths are spelled out
        except RavenError as error:
            path.error = str(error)
            return

        def change(d: Draft) -> None:
            if d.dataset != dataset:  # choices of classes and tags were about another project
                d.dataset, d.split = dataset, SplitOptions()
                field = view.wizard.field("classes")
                if field is not None:
                    put(d.settings, field["name"], None)

        if await view.change(change):
            await view.redo()

    async def typed() -> None:
        text = (path.value or "").strip()
        if text and text != view.wizard.draft.dataset:
            await choose(text)

    async def demo() -> None:
        button.props("loading")
        writing = processes.start(["data", "demo", str(datasets_dir() / "demo")])
        if await writing.wait(_WRITING) != 0:
            button.props(remove="loading")
            show_error(writing.last_line() or "The demo project could not be written.")
            return
        await choose("demo")

    with section("Project"):
        if known:
            cards = [(name, name, short_path(known[name])) for name in list(known)[:_CARDS]]
            add_cards("Known datasets", cards, draft.dataset, choose)
        else:
            with empty_state(
                "photo_library", "No known datasets yet", "A dataset is a folder in Supervisely format."
            ):
                button = ui.button("Create the demo project", icon="auto_awesome", on_click=demo)
        with ui.element("div").classes("line"):
            if len(known) > _CARDS:
                more = ui.select(list(known), with_input=True, label="All known datasets")
                more.props("dense outlined").on_value_change(lambda event: choose(event.value)).classes(
                    "wide"
                )
            other = draft.dataset if draft.dataset and draft.dataset not in known else ""
            path = ui.input("Or a project's folder", value=other).props("dense outlined clearable")
            path.classes("grow").on("keydown.enter", typed).on("blur", typed)
            path.props("hide-bottom-space")


def _choose_plugin(view: WizardView) -> None:
    draft = view.wizard.draft
    known = plugins()

    async def choose(name: str) -> None:
        def change(d: Draft) -> None:
            if d.plugin != name:
                d.plugin, d.preset, d.settings = name, None, {}

        if await view.change(change):
            await view.redo()

    with section("Plugin"):
        if not known:
            empty_state(
                "extension_off",
                "No training plugin is installed",
                "Run ./install_all.sh to install the included plugins.",
            )
            return
        faults = {name: plugin.fault() for name, plugin in known.items()}
        texts = [(name, name, faults[name] or _describe(p)) for name, p in known.items()]
        for name, card in add_cards("Plugins", texts, draft.plugin, choose).items():
            if faults[name] is not None:
                card.classes("broken").props("disabled aria-disabled=true")


def _describe(plugin: Plugin) -> str:
    """What the plugin says that it does, and its version."""
    version = f"{plugin.distribution} {plugin.version}"
    try:
        about = metadata(plugin.distribution)
    except PackageNotFoundError:
        return version
    return f"{about['Summary'].rstrip('.')} · {version}" if "Summary" in about else version


class ProjectStats:
    """What is in the project, as far as it is counted, and its gallery."""

    def __init__(self, view: WizardView) -> None:
        self.view = view
        self.gallery: ImageGallery | None = None
        self._stage = ""
        self._facts: ui.element

    def build(self) -> None:
        """Make it; it grows as the project is counted."""
        self._box = ui.element("div").classes("stack wide-gap")
        self.view.tick = self.refresh
        self._show()

    async def refresh(self) -> None:
        """What is new since the last second."""
        job = self.view.wizard.job
        if self._now() != self._stage:
            self._show()
        elif job is not None and not job.ended and job.total:
            self._bar.value = round(job.done / job.total, 3)
            self._words.text = f"Counting: {job.done:,} of {count_text(job.total, 'image')}"

    def _now(self) -> str:
        job = self.view.wizard.job
        if job is None or job.error is not None:
            return "failed"
        return "opening" if job.project is None else "counting" if job.stats is None else "done"

    def _show(self) -> None:
        self._stage = self._now()
        job = self.view.wizard.job
        if self._stage == "done" and self.gallery is not None and job is not None and job.project is not None:
            self._facts.clear()
            with self._facts:
                _figures(job.project, job.stats)
            self.gallery.show_counts()
            return
        self._box.clear()
        with self._box:
            if self._stage == "failed":
                with empty_state(
                    "error_outline", "This project cannot be used", (job.error or "") if job else ""
                ):
                    return
            with section("Contents"):
                self._facts = ui.element("div").classes("stack")
                with self._facts:
                    if job is not None and job.project is not None:
                        _figures(job.project, job.stats)
                    if self._stage != "done":
                        self._bar = ui.linear_progress(0, show_value=False).props(
                            'rounded aria-label="Images counted"'
                        )
                        self._words = ui.label("Opening the project …").classes("muted small")
            if job is not None and job.project is not None:
                self.gallery = ImageGallery(self.view.wizard, job)
                with section("Images"):
                    self.gallery.build()


def _figures(project: Project, stats: DatasetStats | None) -> None:
    with ui.element("div").classes("figures"):
        figure(f"{len(project.items):,}", "images")
        figure(f"{len(project.datasets):,}", "datasets")
        figure(f"{len(project.classes):,}", "classes")
        if stats is not None:
            figure(f"{int(stats.objects.sum()):,}", "objects")
    if stats is None:
        return
    if stats.tags:
        with ui.element("div").classes("line"):
            ui.label("Image tags:").classes("muted")
            for column, tag in enumerate(stats.tags):
                ui.label(f"{tag}: {int(stats.tagged[:, column].sum()):,}").classes("chip")
    if stats.faults:
        with ui.expansion(f"{count_text(len(stats.faults), 'problem')} in the annotations", icon="warning"):
            for fault in stats.faults:
                ui.label(fault).classes("small wrap")


def figure(number: str, word: str) -> None:
    """A number with its word below."""
    with ui.element("div").classes("figure"):
        ui.label(number).classes("figure-number")
        ui.label(word).classes("muted small")
