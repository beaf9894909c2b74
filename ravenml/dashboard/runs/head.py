"""The head of a run's page: what it is, how it stands, what can be done with it, what people say of it."""

from __future__ import annotations

from nicegui import ui

from ravenml.common.formatting import local_time
from ravenml.dashboard.layout import show_error
from ravenml.dashboard.runs import actions
from ravenml.dashboard.runs.labels import format_cell, format_elapsed, status_chip
from ravenml.dashboard.runs.provenance import get_dataset
from ravenml.dashboard.runs.state import State
from ravenml.dashboard.widgets.controls import link, set_label, short_path
from ravenml.errors import RavenError
from ravenml.runs.notes import change_note, change_tags
from ravenml.runs.overview import full_name


def build_head(state: State) -> None:
    """Title, status, buttons."""
    name = full_name(state.record)
    with ui.element("div").classes("line head"):
        with ui.element("div").classes("heading grow"):
            with ui.element("h1").classes("wrap"):
                ui.label(name or (state.id if state.fold is None else f"{state.id}, fold {state.fold}"))
            with ui.element("div").classes("line tight"):
                status_chip(state.status)
                ui.label(_about(state, name)).classes("muted small wrap")
        build_buttons(state)
    why = state.error or state.result.get("error") or state.result.get("reason")
    if why:
        ui.label(str(why)).classes("bad wrap" if state.status in ("failed", "broken") else "muted wrap")
    for problem in state.problems:
        ui.label(problem).classes("warn wrap")
    if state.status == "lost":
        ui.label(
            "The process exited without reporting a result: it was killed, or the machine went down."
        ).classes("warn")
    if state.last_heard:
        ui.label(f"Last heard: {state.last_heard}").classes("warn wrap")
    if state.waits_for:
        ui.label(f"Waiting for {state.waits_for}.").classes("muted")


def _about(state: State, name: str) -> str:
    record = state.record
    parts = [
        state.id if name else "",
        f"{record.get('plugin') or record.get('kind') or ''} {record.get('plugin_version') or ''}".strip(),
        f"on {get_dataset(record).get('name')}" if get_dataset(record) else "",
        f"started {local_time(record.get('created'))}" if record.get("created") else "",
    ]
    if state.result.get("finished"):
        parts.append(f"took {format_elapsed(record.get('created'), state.result['finished'])}")
    return "  ·  ".join(part for part in parts if part)


def build_buttons(state: State) -> None:
    """What can be done with the run."""

    async def stop() -> None:
        stopping.disable()
        await actions.stop(state.id)
        if not stopping.is_deleted:  # it was let run
            stopping.enable()

    async def resume() -> None:
        going.disable()
        if await actions.resume(state.id):
            ui.navigate.reload()
        going.enable()

    with ui.element("div").classes("line tight"):
        if state.fold is not None:
            link("Whole run", f"/runs/{state.id}")
            return
        if state.under_way:
            stopping = ui.button("Stop", icon="stop", on_click=stop).props("outline dense padding='4px 12px'")
        elif state.record.get("resume") and state.status in ("interrupted", "failed", "lost"):
            going = ui.button("Resume", icon="play_arrow", on_click=resume)
            going.props("unelevated dense padding='4px 12px'")
        if state.record.get("plugin"):
            with ui.link(target=f"/train?from={state.id}").classes("button"):
                ui.icon("content_copy").props('aria-hidden="true"')
                ui.label("Clone")


class Notes:
    """Tags and the note of a run, to be edited where they stand."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tags = [str(tag) for tag in state.notes.get("tags") or ()]
        self._own = [str(tag) for tag in state.record.get("tags") or () if tag not in self._tags]

    def build(self) -> None:
        """Put them on the page."""
        with ui.element("div").classes("stack"):
            self._build()

    def _build(self) -> None:
        with ui.element("div").classes("line tags"):
            self._line = ui.element("div").classes("line tight")
            with self._line:
                self._fill()
            # Beside what is made anew with every change, so that nothing is lost that is being typed.
            self._field = ui.input(placeholder="Add a tag").props("dense borderless").classes("tag-field")
            set_label(self._field, "Add a tag")
            self._field.on("keydown.enter", lambda: self._change(add=(self._field.value or "").split()))
        with ui.element("div").classes("line"):
            self._note = ui.textarea(placeholder="Add a note", value=str(self._state.notes.get("note") or ""))
            self._note.props("outlined dense autogrow rows=1 debounce=600").classes("grow")
            set_label(self._note, "Note")
            self._note.on_value_change(self._write)
            self._saved = ui.label().classes("small muted").props('role="status"')

    def _fill(self) -> None:
        for tag in self._own:
            ui.label(tag).classes("chip")
        for tag in self._tags:
            with ui.element("span").classes("chip"):
                ui.label(tag)
                remove = ui.element("button").classes("chip-remove").props("type=button")
                remove.on("click", lambda tag=tag: self._change(remove=[tag]))
                set_label(remove, f"Remove the tag {tag}")
                with remove:
                    ui.icon("close").props('aria-hidden="true"')

    def _change(self, add: list[str] | None = None, remove: list[str] | None = None) -> None:
        try:
            self._tags = change_tags(self._state.folder, add or [], remove or [])
        except RavenError as error:
            show_error(error)
            return
        if add:
            self._field.value = ""
        self._line.clear()
        with self._line:
            self._fill()

    def _write(self) -> None:
        try:
            change_note(self._state.folder, self._note.value or "")
        except RavenError as error:
            show_error(error)
            return
        self._saved.text = "Saved"


def final_scores(state: State) -> list[tuple[str, str]]:
    """The final scores that a person looks at first."""
    metrics = state.result.get("metrics") or {}
    names = [name for name in metrics if name.startswith("val/") and name.count("/") == 1] or [
        name for name in metrics if name.count("/") == 1
    ]
    return [(name, format_cell(metrics[name])) for name in names]


def run_facts(state: State) -> list[tuple[str, object]]:
    """What is known about how the run came to be, as names and values."""
    record = state.record
    dataset = get_dataset(record)
    split = record.get("split") or {}
    kfold = record.get("kfold") or {}
    origin = (record.get("origin") or {}).get("clone_of")
    return [
        ("Dataset", f"{dataset.get('name')}, {dataset.get('images')} images" if dataset else None),
        ("Split", f"{split.get('train')} train, {split.get('val')} validation" if split else None),
        ("Folds", kfold.get("folds")),
        ("Attempts", len(record.get("attempts") or ()) if len(record.get("attempts") or ()) > 1 else None),
        ("Clone of", (lambda: link(origin, f"/runs/{origin}")) if origin else None),
        ("Stored", state.result.get("stored")),
        ("Folder", short_path(state.folder)),
    ]
