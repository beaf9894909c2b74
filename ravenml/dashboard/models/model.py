"""``/models/<id>``: one stored model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nicegui import run, ui

from ravenml.common.formatting import format_size, local_time
from ravenml.common.io import JsonObject
from ravenml.dashboard.layout import (
    ask_text,
    command_box,
    confirm,
    empty_state,
    heading,
    page_frame,
    section,
    show_error,
)
from ravenml.dashboard.models import servers as serving
from ravenml.dashboard.models.table import PERIOD, serve_button, server_line
from ravenml.dashboard.runs.labels import format_cell
from ravenml.dashboard.widgets.controls import definition_list, link, short_path, table
from ravenml.errors import InputError, RavenError
from ravenml.runs import layout
from ravenml.store.aliases import list_aliases, set_alias
from ravenml.store.base import Entry, Store
from ravenml.store.factory import bucket, local_models
from ravenml.store.models import find_model, model_entries, read_metadata, remove_model, rename_model


def read(model_id: str) -> tuple[str, JsonObject, dict[str, Entry]]:
    """The store's name, the metadata and the files of a model.  Work for a thread.

    Raises:
        RavenError: there is no such model, or it cannot be read.
    """
    store = _find(model_id)
    metadata = read_metadata(store, model_id)
    metadata["aliases"] = sorted(name for name, meant in list_aliases(store).items() if meant == model_id)
    return store.name, metadata, model_entries(store, model_id, metadata)


def _find(model_id: str) -> Store:
    """The store that has a model: this machine's, else the bucket."""
    remote = bucket("models")
    stores: list[Store] = [local_models(), *([remote] if remote is not None else [])]
    store, found = find_model(stores, model_id)
    if found != model_id:
        raise InputError(f"No model is called {model_id!r}.")
    return store


async def show(model_id: str) -> None:
    """Build the page."""
    try:
        found = await run.io_bound(read, model_id)
    except RavenError as error:
        with (
            page_frame("No such model", "/models"),
            empty_state("search_off", "This model does not exist.", str(error)),
        ):
            ui.link("All models", "/models")
        return
    if found is None:
        return
    store, metadata, entries = found
    has_run = model_id in (await run.io_bound(layout.run_ids) or ())
    with page_frame(str(metadata.get("name") or model_id), "/models"):
        with ui.element("div").classes("line head"):
            with ui.element("div").classes("grow"):
                heading(str(metadata.get("name") or model_id), model_id if metadata.get("name") else "")
            _build_changes(model_id, metadata)
        with section("Try or serve"):
            box = ui.element("div").classes("stack")
        _about(model_id, store, metadata, has_run)
        _files(entries)

    shown: list[list[serving.Server]] = []

    async def look() -> None:
        servers = [one for one in await run.io_bound(serving.servers) or [] if one.model == model_id]
        if [servers] == shown:
            return
        shown[:] = [servers]
        box.clear()
        with box:
            for server in servers:
                server_line(server, look)
            if metadata.get("transfer_only"):
                ui.label("Stored for transfer learning only; it cannot predict.").classes("muted")
            elif not any(server.alive for server in servers):
                with ui.element("div").classes("line"):
                    serve_button(model_id, look)
                    ui.label("starts a server on this machine.").classes("muted")
            command_box(f"raven serve {model_id}")
            command_box(f"raven infer {model_id} --data IMAGES --out predictions")

    await look()
    ui.timer(PERIOD, look, immediate=False)


def _build_changes(model_id: str, metadata: JsonObject) -> None:
    """Buttons that rename the model, give it an alias, or remove it."""

    async def rename() -> None:
        asked = await ask_text("Rename the model", "Name", str(metadata.get("name") or ""), "Rename")
        if asked is not None:
            await _change(lambda store: rename_model(store, model_id, asked), model_id)

    async def alias() -> None:
        asked = await ask_text("Let a name mean this model", "Alias, such as production", "", "Set")
        if asked:
            await _change(lambda store: set_alias(store, asked.strip(), model_id), model_id)

    async def remove() -> None:
        texts = [
            "This deletes its file and all that lies beside it in this store. Runs are kept.",
            f"Its aliases are removed too: raven serve {model_id} will not find it.",
        ]
        if await confirm("Remove this model permanently?", texts, "Remove") and await _change(
            lambda store: remove_model(store, model_id), model_id, reload=False
        ):
            ui.navigate.to("/models")

    with ui.element("div").classes("line tight"):
        ui.button("Rename", icon="edit", on_click=rename).props("flat dense")
        ui.button("Alias", icon="label", on_click=alias).props("flat dense")
        ui.button("Remove", icon="delete", on_click=remove).props("flat dense color=negative")


async def _change(change: Callable[[Store], object], model_id: str, reload: bool = True) -> bool:
    """Change a model in the store that has it, and reload the page; whether that worked."""

    def work() -> str | None:
        try:
            change(_find(model_id))
        except RavenError as error:
            return str(error)
        return None

    problem = await run.io_bound(work)
    if problem:
        show_error(problem)
    elif reload:
        ui.navigate.reload()
    return not problem


def _about(model_id: str, store: str, metadata: JsonObject, has_run: bool) -> None:
    dataset = metadata.get("dataset")
    with section("About"):
        definition_list(
            [
                ("Run", (lambda: link(model_id, f"/runs/{model_id}")) if has_run else None),
                ("Aliases", ", ".join(metadata["aliases"])),
                ("Architecture", metadata.get("architecture")),
                ("Plugin", f"{metadata.get('plugin') or ''} {metadata.get('plugin_version') or ''}".strip()),
                ("Dataset", dataset.get("name") if isinstance(dataset, dict) else dataset),
                ("Created by", metadata.get("created_by")),
                ("Comments", metadata.get("comments")),
                ("Finished", local_time(str(metadata.get("finished") or metadata.get("created") or ""))),
                ("Stored in", short_path(store)),
            ]
        )
        metrics = metadata.get("metrics") or {}
        if metrics:
            table(["Score", ""], [[str(name), format_cell(value)] for name, value in metrics.items()])


def _files(entries: Mapping[str, Entry]) -> None:
    rows = [[key, format_size(one.size)] for key, one in entries.items()]
    if rows:
        with section("Files"), ui.expansion(f"All {len(rows)} files").classes("more"):
            table(["File in the store", "Size"], rows)
