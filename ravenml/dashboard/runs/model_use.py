"""What can be done once a training has ended: try and serve its model, predict with it, take it along."""

from __future__ import annotations

from nicegui import run, ui

from ravenml.dashboard.layout import command_box, section
from ravenml.dashboard.models import servers as serving
from ravenml.dashboard.models.table import serve_button, server_line
from ravenml.dashboard.run_files import RunFolder
from ravenml.dashboard.runs.state import State
from ravenml.runs import layout


class ModelUse:
    """The section on the current page."""

    def __init__(self, folder: RunFolder, state: State) -> None:
        self._run, self._state = folder, state
        self._servers: list[serving.Server] | None = None

    async def build(self) -> None:
        """Put it on the page."""
        has_model = (self._run.folder / layout.MODEL_STATE).is_file()
        self._box: ui.element | None = None
        with section("What now"):
            if has_model:
                self._box = ui.element("div").classes("stack")
            with ui.element("div").classes("line"):
                _button("download", "Download everything", f"/runs/{self._run.id}/download", file=True)
                if self._state.record.get("plugin"):
                    _button("model_training", "Train again with…", f"/train?from={self._run.id}")
            if has_model:
                with ui.expansion("Serve it, or predict on other images", icon="terminal").classes("fill"):
                    command_box(f"raven serve {self._run.id}")
                    command_box(f"raven infer {self._run.id} --data IMAGES --out predictions")
        await self.refresh()

    async def refresh(self) -> None:
        """Bring what has changed of its servers to the page."""
        if self._box is None:
            return
        servers = [one for one in await run.io_bound(serving.servers) or [] if one.model == self._run.id]
        if servers == self._servers or self._box.is_deleted:
            return
        self._servers = servers
        self._box.clear()
        with self._box:
            for server in servers:
                server_line(server, self.refresh)
            if not any(server.alive for server in servers):
                with ui.element("div").classes("line"):
                    serve_button(self._run.id, self.refresh, "Try the model")
                    ui.label("starts a server on this machine, with a page to try it on.").classes("muted")


def _button(icon: str, text: str, target: str, *, file: bool = False) -> None:
    with ui.link(target=target).classes("button") as made:
        ui.icon(icon).props('aria-hidden="true"')
        ui.label(text)
    if file:
        made.props(add="download")
