"""What runs have recorded, under ClearML's names: parameters, artifacts, statuses; and finding runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ravenml.common.io import JsonObject, resolve_inside
from ravenml.config.home import runs_dir
from ravenml.runs import layout
from ravenml.runs.events import read_events
from ravenml.runs.index import list_rows
from ravenml.runs.process.inbox import INBOX
from ravenml.runs.process.kept_models import MODELS
from ravenml.task.artifacts import Artifact

# What ClearML calls a run's status.
STATUSES = {
    "running": "in_progress",
    "waiting": "queued",
    "interrupted": "stopped",
    "lost": "failed",
    "broken": "unknown",
}
ARGUMENTS = "Args"  # ClearML's section of what stands on the command line; a plain `connect` is "General"
MODEL_KINDS = ("model", "input model")  # of artifacts: one that the run saved, and one that it was given


def list_parameters(parameters: Mapping[str, Any], sections: Mapping[str, str], cast: bool) -> JsonObject:
    """Parameters under ClearML's names, flat.

    Args:
        parameters: as ``run.json`` has them; a section is a mapping.
        sections: the section of each name outside of any mapping; default: ``General``.
        cast: keep the values' types; without it they are texts.
    """
    flat: JsonObject = {}
    for name, value in parameters.items():
        section = sections.get(name)
        if section == ARGUMENTS:  # one option each, whatever its value
            flat[f"{section}/{name}"] = value if cast else _to_text(value, str)
        else:
            path = (
                f"{section}/{name}" if section else name if isinstance(value, Mapping) else f"General/{name}"
            )
            found = _flatten(path, value)
            flat |= found if cast else {key: _to_text(one, json.dumps) for key, one in found.items()}
    return flat


def _to_text(value: object, write: Callable[[object], str]) -> str:
    """A value as ClearML spells it: a list of the command line as Python does, any other as JSON."""
    if isinstance(value, list | dict):
        return write(value)
    return "" if value is None else str(value)


def _flatten(path: str, value: Any) -> JsonObject:
    if not isinstance(value, Mapping) or not value:
        return {path: value}
    return {
        name: one for key, inner in value.items() for name, one in _flatten(f"{path}/{key}", inner).items()
    }


def sections_of(record: JsonObject) -> Mapping[str, str]:
    """The sections that a `Task` recorded; without one, all that `raven run` captured are arguments."""
    if record.get("captured") not in (None, "task") and not record.get("sections"):
        return dict.fromkeys(record.get("parameters") or (), "Args")
    return record.get("sections") or {}


def read_artifacts(folder: Path) -> list[Artifact]:
    """What a run has announced: the newest of each name, in the order of their names' first mention."""
    found: dict[str, Artifact] = {}
    told = (path for path in (folder / layout.EVENTS, folder / INBOX) if path.exists())
    for event in (event for path in told for event in read_events(path, "ARTIFACT")):
        fields = event.fields
        if fields.get("kind") not in (None, *MODEL_KINDS):  # a plot, which is no artifact
            continue
        file, uri = fields.get("file"), fields.get("uri")
        name = fields.get("name")
        if not isinstance(file, str):  # it has arrived at `output_uri`, under its place there
            parts = str(name).split("/", 1)
            known = found.get(parts[1].rpartition("/")[0] if parts[0] == layout.ARTIFACTS else parts[-1])
            if known is not None and isinstance(uri, str) and len(parts) == 2:
                known.url = uri
                continue
        path = resolve_inside(folder, file) if isinstance(file, str) else None
        if not isinstance(file, str) and not isinstance(uri, str):
            continue
        name = name if isinstance(name, str) else str(file).removeprefix(f"{layout.ARTIFACTS}/")
        metadata = fields.get("metadata")
        size = fields.get("sizeb")
        found[name] = Artifact(
            name,
            path,
            kind=str(fields.get("type") or fields.get("kind") or _guess_kind(path)),
            url=uri if isinstance(uri, str) else str(path or file),
            size=size if isinstance(size, int) else 0,
            metadata=metadata if isinstance(metadata, dict) else {},
        )
    return list(found.values())


def is_model(artifact: Artifact, folder: Path) -> bool:
    """Whether an artifact is a saved model."""
    inside = artifact.path is not None and artifact.path.is_relative_to(
        (folder / layout.ARTIFACTS / MODELS).resolve()
    )
    return inside or artifact.kind == "model"


def _guess_kind(path: Path | None) -> str:
    """Of artifacts that older versions have kept, by the file's name."""
    kinds = {".json": "json", ".npz": "array", ".txt": "text", ".zip": "folder", ".pkl": "pickle"}
    if path is None or path.parent.name != layout.ARTIFACTS:
        return "file"
    return kinds.get(path.suffix, "file")


def find_runs(
    project: str | None = None,
    name: str | None = None,
    tags: Sequence[str] | str | None = None,
    statuses: Sequence[str] = (),
    exact: bool = True,
) -> list[Path]:
    """The folders of the runs that match, newest first.

    Args:
        name: the whole name, or where not ``exact``, a regular expression that is found in it.
        tags: each must be there; one that begins with ``-`` must not.
        statuses: under ClearML's names.
    """
    wanted = [tags] if isinstance(tags, str) else list(tags or ())
    refused = [tag[1:] for tag in wanted if tag.startswith("-")]
    wanted = [tag for tag in wanted if not tag.startswith(("-", "__$"))]
    found = []
    for row in list_rows():
        fits_name = name is None or (
            row.get("name") == name if exact else re.search(name, row.get("name") or "") is not None
        )
        has = row.get("tags") or ()
        spelled = {*has, *(tag.replace("_", " ") for tag in has)}  # a tag's spaces are recorded as _
        if (
            fits_name
            and (project is None or row.get("project") == project)
            and spelled.issuperset(wanted)
            and not spelled & {*refused, *(() if "archived" in wanted else ("archived",))}
            and (not statuses or STATUSES.get(row["status"], row["status"]) in statuses)
        ):
            found.append(runs_dir() / row["id"])
    return found
