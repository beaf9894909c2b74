"""Step 7: start the training, and watch it."""

from __future__ import annotations

from asyncio import to_thread
from typing import TYPE_CHECKING

from ravenml.dashboard.controls import short_path
from ravenml.dashboard.layout import command_box, section, show_error
from ravenml.dashboard.train.draft import as_command, as_yaml, path_of
from ravenml.dashboard.train.run_card import RunCard
from ravenml.dashboard.train.starting import start
from ravenml.errors import RavenError

if TYPE_CHECKING:
    from ravenml.dashboard.train.view import WizardView


async def build(view: WizardView) -> None:
    """Make the step."""
    runs = view.wizard.draft.runs
    card = RunCard(view, runs[-1]) if runs else None
    if card is not None:
        await card.build()
    _start(view, again=card is not None)
    if len(runs) > 1:
        _earlier(runs[:-1])
    if card is not None:
        view.tick = card.refresh


def _start(view: WizardView, again: bool) -> None:
    from nicegui import ui

    draft, wizard = view.wizard.draft, view.wizard
    name = wizard.form["command"] if wizard.form else "train"

    async def go() -> None:
        why = wizard.lock_reason("train")
        if why is not None:
            ui.notify(why, position="top")
            return
        button.disable()
        try:
            await to_thread(start, wizard.draft, name)
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
            button = ui.button(
                "Start another run" if again else "Start training", icon="play_arrow", on_click=go
            )
            if again:
                button.props("outline")
            ui.button("Download the YAML", icon="download", on_click=download).props("flat")
            ui.label("Closing the browser or the dashboard stops nothing.").classes("muted small")
        with ui.expansion("As a command line, and as YAML", icon="terminal").classes("fill"):
            command_box(as_command(draft, name))
            ui.label(short_path(path_of(draft.id).with_suffix(".yml"))).classes("muted small mono wrap")
            with ui.element("pre").classes("yaml"):
                ui.label(as_yaml(draft))


def _earlier(runs: list[str]) -> None:
    from nicegui import ui

    with section("Earlier runs of this draft"):
        for run_id in reversed(runs):
            ui.link(run_id, f"/runs/{run_id}").classes("mono")
