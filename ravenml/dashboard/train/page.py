"""The addresses of ``/train``: the drafts, a draft's wizard, and the pictures of its project."""

from __future__ import annotations

from asyncio import to_thread
from urllib.parse import quote

from fastapi.responses import RedirectResponse
from nicegui import app, ui
from nicegui.events import GenericEventArguments

from ravenml.dashboard.layout import confirm, empty_state, heading, page_frame, section, show_error
from ravenml.dashboard.pages import PATIENCE, Nav, Settings
from ravenml.dashboard.train import pictures
from ravenml.dashboard.train.draft import Draft, list_drafts, new_draft, remove_draft
from ravenml.dashboard.train.draft_import import LARGEST, draft_of_file, draft_of_run
from ravenml.dashboard.train.view import WizardView
from ravenml.dashboard.train.wizard import Shared, Wizard
from ravenml.dashboard.widgets.controls import count_text, set_label
from ravenml.errors import InputError, RavenError
from ravenml.plugin.discovery import plugins

NAV: Nav | None = Nav("Train", "/train", "model_training")
# What is far too large is cut off, and refused by the server; the same file may be chosen once more.
_READ = f"""async (event) => {{
  const field = event.target, file = field.files[0];
  if (file) emit({{ name: file.name, text: await file.slice(0, {LARGEST + 1}).text() }});
  field.value = "";
}}"""


def register(settings: Settings) -> None:
    """Declare the pages."""
    shared = Shared(settings)
    app.on_shutdown(shared.close)

    @ui.page("/train", response_timeout=PATIENCE)
    async def train() -> RedirectResponse | None:
        request = ui.context.client.request
        if request is not None and request.query_params.get("from"):  # a run's button "Clone"
            return RedirectResponse(f"/train/new?clone={quote(request.query_params['from'], safe='')}")
        found = await to_thread(list_drafts)
        with page_frame("Train", "/train"):
            _overview(found, shared)
        return None

    @ui.page("/train/new", response_timeout=PATIENCE)
    async def new(clone: str | None = None) -> RedirectResponse | None:
        """Make a draft, a run's if one is named, and go there."""
        try:
            draft = await draft_of_run(clone, shared) if clone else await to_thread(_fresh)
            return RedirectResponse(f"/train/{draft.id}", 303)
        except RavenError as error:
            _show_problem("Cannot open this run", error)
        return None

    @ui.page("/train/{draft_id}", response_timeout=PATIENCE)
    async def wizard(draft_id: str, step: str | None = None) -> None:
        try:
            state = Wizard(draft_id, shared)
        except InputError as error:
            _show_problem("This draft does not exist", error)
            return
        await state.load()
        with page_frame(state.draft.title or "New training", "/train") as content:
            await WizardView(state, content).build(step)

    pictures.register(app, shared)


def _show_problem(title: str, error: RavenError) -> None:
    with page_frame("Train", "/train"), empty_state("error_outline", title, str(error)):
        ui.link("All drafts", "/train")


def _fresh() -> Draft:
    """A new draft; where there is one plugin alone, it is chosen."""
    known = list(plugins())
    return new_draft(plugin=known[0] if len(known) == 1 else None)


def _overview(drafts: list[Draft], shared: Shared) -> None:
    with ui.element("div").classes("line"):
        with ui.element("div").classes("grow roomy"):
            heading("Train", "From a folder of annotated images to a trained model, in seven steps.")
        _opener(shared)
        ui.button("New training", icon="add", on_click=lambda: ui.navigate.to("/train/new"))
    if not drafts:
        with empty_state(
            "model_training",
            "No trainings yet",
            "Your choices are saved as a draft, so you can close the page and continue later.",
        ):
            pass
        return
    with section("Drafts"):
        for draft in drafts:
            _row(draft)


def _opener(shared: Shared) -> None:
    """A button that makes a draft of a file on the person's own machine."""

    async def opened(event: GenericEventArguments) -> None:
        chosen = event.args if isinstance(event.args, dict) else {}
        try:
            draft = await draft_of_file(str(chosen.get("text") or ""), str(chosen.get("name") or "?"), shared)
        except RavenError as error:
            show_error(error)
            return
        ui.navigate.to(f"/train/{draft.id}?step=project")

    field = ui.element("input").props('type=file accept=".yml,.yaml,.json"').classes("hidden")
    set_label(field, "A training's settings").on("change", opened, js_handler=_READ)
    button = ui.button("Open file", icon="file_open").props("flat")
    button.on("click", js_handler=f"() => getHtmlElement({field.id}).click()")
    with button:
        ui.tooltip("A training's YAML file, or a run's info/ui_state.json")


def _row(draft: Draft) -> None:
    async def remove() -> None:
        title = f"Remove the draft “{draft.title or draft.id}”?"
        if await confirm(title, ["Runs started from it are kept."], "Remove"):
            try:
                await to_thread(remove_draft, draft.id)
                row.delete()
            except RavenError as error:
                show_error(error)

    with ui.element("div").classes("list-row") as row:
        with ui.link(target=f"/train/{draft.id}").classes("grow stack"):
            ui.label(draft.title or "New training").classes("strong cut")
            ui.label(_describe(draft)).classes("muted small cut")
        ui.button(icon="delete_outline", on_click=remove).props(
            'flat round dense aria-label="Remove the draft"'
        ).classes("quiet")


def _describe(draft: Draft) -> str:
    created = draft.created[:16].replace("T", " ")
    runs = count_text(len(draft.runs), "run") if draft.runs else None
    return " · ".join(part for part in (draft.plugin, draft.dataset, f"started {created} UTC", runs) if part)
