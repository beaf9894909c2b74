"""What can be done with several runs at once: compare, tag, rename, archive, stop, remove."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from nicegui import run, ui

from ravenml.config.home import runs_dir
from ravenml.dashboard.layout import ask_text, confirm, show_error
from ravenml.dashboard.runs.actions import stop
from ravenml.dashboard.widgets.controls import count_text
from ravenml.errors import RavenError
from ravenml.runs.notes import archive_run, change_tags, rename_run
from ravenml.runs.removal import remove_run


class Bulk:
    """The chosen runs of a table, and the bar with what can be done with them.

    Args:
        reload: called when something was changed.
        archived: whether the table shows archived runs.
    """

    def __init__(self, reload: Callable[[], Awaitable[None]], archived: bool = False) -> None:
        self._reload = reload
        self._archived = archived
        self._chosen: list[str] = []

    def build(self) -> None:
        """Put the bar on the page; it is seen while something is chosen."""
        with (
            ui.element("div")
            .classes("line bulk")
            .props('role=toolbar aria-label="Selected runs"') as self._bar
        ):
            self._count = ui.label().classes("strong")
            self._compare = ui.button("Compare", icon="compare_arrows", on_click=self._go).props("flat dense")
            ui.button("Tag", icon="sell", on_click=self._tag).props("flat dense")
            self._renaming = ui.button("Rename", icon="edit", on_click=self._rename).props("flat dense")
            if self._archived:
                ui.button("Restore", icon="unarchive", on_click=self._archive).props("flat dense")
            else:
                ui.button("Archive", icon="archive", on_click=self._archive).props("flat dense")
            ui.button("Stop", icon="stop", on_click=self._stop).props("flat dense")
            ui.button("Remove", icon="delete", on_click=self._remove).props("flat dense color=negative")
        self._update()

    @property
    def chosen(self) -> list[str]:
        """The ids of the chosen runs."""
        return list(self._chosen)

    def tick(self, ids: Sequence[str], chosen: bool) -> None:
        """Choose these beside the others, or not any more."""
        rest = [one for one in self._chosen if one not in ids]
        self.choose([*rest, *ids] if chosen else rest)

    def choose(self, ids: Sequence[str]) -> None:
        """Choose exactly these."""
        self._chosen = list(ids)
        self._update()

    def keep(self, ids: Sequence[str]) -> None:
        """Forget what is not among these: what cannot be seen is not chosen."""
        self.choose([one for one in self._chosen if one in ids])

    def _update(self) -> None:
        count = len(self._chosen)
        self._count.text = f"{count_text(count, 'run')} selected"
        self._bar.set_visibility(count > 0)
        self._compare.set_enabled(count > 1)
        self._renaming.set_visibility(count == 1)

    def _go(self) -> None:
        ui.navigate.to(f"/runs/compare?ids={','.join(self._chosen)}")

    async def _stop(self) -> None:
        await stop(*self._chosen)

    async def _tag(self) -> None:
        with ui.dialog() as dialog, ui.card().classes("dialog"):
            ui.label("Tag the selected runs").classes("strong")
            field = ui.input("Tags, separated by spaces").props("outlined dense autofocus")
            field.on("keydown.enter", lambda: dialog.submit(("add", field.value)))
            with ui.element("div").classes("line"):
                ui.button("Add", on_click=lambda: dialog.submit(("add", field.value))).props("unelevated")
                ui.button("Remove", on_click=lambda: dialog.submit(("remove", field.value))).props("flat")
                ui.button("Cancel", on_click=dialog.close).props("flat")
        answer = await dialog
        dialog.delete()
        if not answer or not (answer[1] or "").split():
            return
        how, words = answer[0], answer[1].split()
        await self._each(
            lambda run_id: change_tags(runs_dir() / run_id, **{"add" if how == "add" else "remove": words})
        )

    async def _rename(self) -> None:
        hint = "An empty name brings back the one that it began with."
        name = await ask_text(f"Rename {self._chosen[0]}", "Name", "", "Rename", hint)
        if name is not None:
            await self._each(lambda run_id: rename_run(runs_dir() / run_id, name))

    async def _archive(self) -> None:
        await self._each(lambda run_id: archive_run(runs_dir() / run_id, not self._archived))

    async def _remove(self) -> None:
        title = f"Remove {count_text(len(self._chosen), 'run')} permanently?"
        text = "This deletes their folders, including checkpoints and models. Stored models are kept."
        if await confirm(title, [text], "Remove"):
            await self._each(lambda run_id: remove_run(runs_dir() / run_id))

    async def _each(self, change: Callable[[str], object]) -> None:
        """Change the chosen runs one after the other in a thread, and say what could not be changed."""

        def work(ids: list[str]) -> list[str]:
            problems = []
            for run_id in ids:
                try:
                    change(run_id)
                except RavenError as error:
                    problems.append(str(error))
            return problems

        for problem in await run.io_bound(work, list(self._chosen)) or []:
            show_error(problem)
        await self._reload()
