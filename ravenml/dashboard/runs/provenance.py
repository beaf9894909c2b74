"""Where a run comes from: its command, code, changes, data, packages and machine."""

from __future__ import annotations

import shlex

from nicegui import ui

from ravenml.common.formatting import format_size
from ravenml.common.io import JsonObject, resolve_inside
from ravenml.dashboard.layout import command_box
from ravenml.dashboard.runs.labels import format_cell
from ravenml.dashboard.runs.state import State
from ravenml.dashboard.widgets.controls import definition_list, table
from ravenml.runs.run_row import flat_settings

_DIFF = 400_000  # letters of a diff that are shown


def read_diffs(state: State) -> dict[str, str]:
    """The recorded uncommitted changes, by whose they are.  Work for a thread."""
    found = {}
    for name, code in ((state.record.get("provenance") or {}).get("code") or {}).items():
        path = (
            resolve_inside(state.folder, str(code.get("diff")))
            if isinstance(code, dict) and code.get("diff")
            else None
        )
        if path is not None:
            with path.open("rb") as file:
                text = file.read(_DIFF + 1).decode(errors="replace")
            found[name] = text[:_DIFF] + (
                "\n… truncated; the full diff is in the run's folder" if len(text) > _DIFF else ""
            )
    return found


def build(state: State, changes: dict[str, str]) -> None:
    """Put it on the page."""
    record, known = state.record, state.record.get("provenance") or {}
    if record.get("command"):
        command_box(shlex.join(map(str, record["command"])))
    machine = known.get("machine") or {}
    gpus = ", ".join(
        format_cell(gpu.get("name") if isinstance(gpu, dict) else gpu) for gpu in machine.get("gpus") or ()
    )
    dataset = get_dataset(record)
    rows: list[tuple[str, object]] = [("Working directory", record.get("folder"))]
    for name, code in (known.get("code") or {}).items():
        if isinstance(code, dict):
            rows.append((f"Code: {name}", _code(code)))
    rows += [
        ("Dataset", f"{dataset.get('path')}" if dataset else None),
        ("Dataset SHA-256", dataset.get("sha256")),
        ("Dataset SHA-256 when resumed", (dataset.get("resumed_with") or {}).get("sha256")),
        ("Python", known.get("python")),
        ("Machine", ", ".join(format_cell(machine[k]) for k in ("host", "system", "cpu") if machine.get(k))),
        (
            "Cores, memory",
            f"{machine.get('cores')}, {format_size(machine.get('memory_bytes') or 0)}" if machine else None,
        ),
        ("GPUs", gpus),
    ]
    definition_list(rows)
    for name, text in changes.items():
        with ui.expansion(f"Uncommitted changes: {name}").classes("more"):
            diff(text)
    settings = flat_settings(record)
    if settings:
        with ui.expansion(f"All settings ({len(settings)})").classes("more"):
            table(["Setting", "Value"], [[k, _full(v)] for k, v in settings.items()], numbers=False)
    packages = known.get("packages")
    if isinstance(packages, dict) and packages:
        with ui.expansion(f"Packages ({len(packages)})").classes("more"):
            table(["Package", "Version"], [[k, format_cell(v)] for k, v in packages.items()], numbers=False)


def get_dataset(record: JsonObject) -> JsonObject:
    """What is recorded of the data; empty where there is nothing."""
    found = record.get("dataset")
    return found if isinstance(found, dict) else {}


def diff(text: str) -> None:
    """A diff, its lines coloured by what they do; plain text throughout."""
    kinds: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        kind = "place" if line.startswith(("@@", "diff ", "index ", "+++", "---")) else line[:1]
        name = {"+": "added", "-": "removed", "place": "place"}.get(kind, "same")
        if not kinds or kinds[-1][0] != name:
            kinds.append((name, []))
        kinds[-1][1].append(line)
    with ui.element("div").classes("code").props('tabindex=0 role=region aria-label="Changes"'):
        for name, lines in kinds:
            ui.label("\n".join(lines)).classes(f"diff-{name}")


def _code(code: JsonObject) -> str:
    if code.get("same_as"):
        return f"the same checkout as {code['same_as']}"
    parts = [
        str(code["commit"])[:12] if code.get("commit") else "",
        f"on {code['branch']}" if code.get("branch") else "",
        "with uncommitted changes" if code.get("diff") else "",
        str(code.get("remote") or code.get("root") or ""),
    ]
    return ", ".join(part for part in parts if part)


def _full(value: object) -> str:
    return format_cell(value) if not isinstance(value, str) else value
