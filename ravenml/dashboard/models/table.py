"""The table of stored models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import run, ui
from nicegui.events import ValueChangeEventArguments

from ravenml.common.formatting import format_size, local_time
from ravenml.dashboard.layout import empty_state, heading, page_frame, section, show_error
from ravenml.dashboard.models import servers as serving
from ravenml.dashboard.models.upload import UploadForm
from ravenml.dashboard.widgets.controls import link, set_label, table
from ravenml.errors import RavenError
from ravenml.store.factory import bucket, local_models
from ravenml.store.models import ModelRow, list_models, merge_models

PERIOD = 1.0  # seconds between two looks at the servers
_SHOWN = ("val/miou", "val/mdice", "val/map", "val/pixel_accuracy", "val/loss")
_WIDE = ("Architecture", "Plugin", "Dataset", "Size", "Finished", "Where")  # for which a phone has no room
_MOST = 200  # models that are listed; the filter finds the others


def read_models() -> tuple[list[ModelRow], str]:
    """Every stored model, newest first, and why the bucket's are not among them.  Work for a thread."""
    local, remote, problem = list_models(local_models(), "local"), [], ""
    try:
        store = bucket("models")
        remote = list_models(store, "remote") if store is not None else []
    except RavenError as error:
        problem = str(error)
    return merge_models(local, remote), problem


async def show() -> None:
    """Build the page."""
    with page_frame("Models", "/models"):
        heading("Models", "Trained models: try them, serve them, or start a training from them.")
        page = ModelsPage()
        await page.read()
        page.build()
        ui.timer(PERIOD, page.refresh, immediate=False)


class ModelsPage:
    """The page in one browser."""

    def __init__(self) -> None:
        self._models: list[ModelRow] = []
        self._problem = ""
        self._servers: list[serving.Server] = []
        self._words = ""

    async def read(self) -> None:
        """Look at stores and servers."""
        self._models, self._problem = await run.io_bound(read_models) or ([], "")
        self._servers = await run.io_bound(serving.servers) or []

    def build(self) -> None:
        """Put it on the page."""
        self._served = ui.element("div")
        self._list = ui.element("div").classes("stack")
        self._fill_served()
        self._fill()
        with section("Upload a model"):
            UploadForm(self._again).build()

    async def refresh(self) -> None:
        """Bring what has changed of the servers to the page."""
        found = await run.io_bound(serving.servers)
        if found is not None and found != self._servers:
            self._servers = found
            self._fill_served()
            self._fill()

    async def _again(self) -> None:
        await self.read()
        self._fill_served()
        self._fill()

    def _fill_served(self) -> None:
        self._served.clear()
        if self._servers:
            with self._served, section("Running servers"):
                for server in self._servers:
                    server_line(server, self.refresh)

    def _fill(self) -> None:
        self._list.clear()
        with self._list:
            if self._problem:
                ui.label(f"Models in the bucket cannot be listed: {self._problem}").classes("warn wrap")
            if not self._models:
                with empty_state(
                    "layers", "No models yet.", "A model appears here when its training completes."
                ):
                    ui.button("Train a model", on_click=lambda: ui.navigate.to("/train")).props("unelevated")
                return
            if len(self._models) > 8:
                field = ui.input(placeholder="Filter by any word", value=self._words, on_change=self._filter)
                set_label(field.props("outlined dense clearable debounce=300"), "Filter the models")
            self._table = ui.element("section").classes("card flush")
            self._rows()

    def _filter(self, event: ValueChangeEventArguments[Any]) -> None:
        self._words = str(event.value or "")
        self._rows()

    def _rows(self) -> None:
        self._table.clear()
        words = self._words.lower().split()
        found = [one for one in self._models if all(word in _text(one) for word in words)]
        served = {server.model for server in self._servers if server.alive}
        head = ["Model", "Architecture", "Plugin", "Dataset", "Size", "Finished", "Score", "Where", ""]
        with self._table:
            rows = [self._row(one, one.id in served) for one in found[:_MOST]]
            table(
                head,
                rows,
                numbers=False,
                wide=_WIDE,
            )
            if not found:
                ui.label("No models match.").classes("muted pad")
            elif len(found) > _MOST:
                ui.label(f"{len(found) - _MOST:,} more; use the filter to find them.").classes(
                    "muted pad small"
                )

    def _row(self, model: ModelRow, served: bool) -> list[object]:
        def title() -> None:
            link(model.name or model.id, f"/models/{model.id}", "strong")
            if model.name:
                ui.label(model.id).classes("small muted")
            for alias in model.aliases:
                ui.label(alias).classes("chip")
            if model.transfer_only:
                ui.label("for transfer learning only").classes("small warn")
            if model.error:
                ui.label(model.error).classes("small bad wrap")

        def use() -> None:
            if not (model.transfer_only or model.error or served):
                serve_button(model.id, self.refresh)

        name = next((name for name in _SHOWN if isinstance(model.metrics.get(name), int | float)), None)
        folds = f" · {model.folds} folds" if model.folds else ""
        return [
            title,
            f"{model.architecture or ''}{folds}",
            model.plugin or "",
            model.dataset or "",
            format_size(model.size) if model.size is not None else "",
            local_time(model.date),
            f"{name} {model.metrics[name]:.4f}" if name else "",
            model.where,
            use,
        ]


def _text(model: ModelRow) -> str:
    parts = (
        model.id,
        model.name,
        model.architecture,
        model.plugin,
        model.dataset,
        model.created_by,
        model.where,
        *model.aliases,
    )
    return " ".join(str(part) for part in parts if part).lower()


def serve_button(model_id: str, then: Callable[[], Awaitable[None]], words: str = "Try or serve") -> None:
    """Starts a server for a model."""

    async def go() -> None:
        button.disable()
        try:
            await run.io_bound(serving.serve, model_id)
        except (RavenError, OSError) as error:
            show_error(error)
        await then()

    button = ui.button(words, icon="play_arrow", on_click=go).props("flat dense no-wrap")
    set_label(button, f"{words} {model_id}")


def server_line(server: serving.Server, then: Callable[[], Awaitable[None]]) -> None:
    """A server: where it answers, and a button that ends it."""

    async def end() -> None:
        stop.disable()
        try:
            await run.io_bound(serving.stop, server.id)
        except RavenError as error:
            show_error(error)
        await then()

    with ui.element("div").classes("line"):
        link(server.model, f"/models/{server.model}", "strong")
        if server.alive and server.address:
            shown = server.address.partition("?")[0]
            ui.link(f"Open {shown}", server.address, new_tab=True)
            ui.label("Programs can send images to /predict; see /docs.").classes("muted small")
        elif server.alive:
            ui.spinner(size="18px").props('aria-hidden="true"')
            ui.label("starting").classes("muted")
        else:
            ui.label(server.last_line or "The server exited without an error message.").classes(
                "bad wrap grow"
            )
        ui.space()
        stop = ui.button("Stop" if server.alive else "Dismiss", on_click=end).props("flat dense")
