"""What a run can be listed, filtered and compared by: one flat record, made from its folder's files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from ravenml.common.io import JsonObject
from ravenml.common.schema import describe_huge

# Fields of a config that say nothing of how the model was trained.
_NO_SETTINGS = ("v", "dataset", "name", "metadata", "plugin")
_PROGRAM = 500  # characters of a command line that can be searched


def run_row(record: JsonObject, notes: JsonObject) -> JsonObject:
    """The flat record of a run, from its ``run.json`` and ``notes.json`` as they were read and checked.

    ``status`` is None as long as the run has no result: it is derived whenever somebody asks.  Every value of
    the row can be written as JSON and printed.
    """
    result = record.get("result") or {}
    row = {
        "id": record["id"],
        "status": result.get("status"),
        "plugin": record.get("plugin"),
        "kind": record.get("kind"),
        "project": record.get("project"),
        "name": notes.get("name") or record.get("name"),
        "program": " ".join(program_of(record))[:_PROGRAM] or None,
        "dataset": (record.get("dataset") or {}).get("name"),
        "folds": (record.get("kfold") or {}).get("folds"),
        "fold": record.get("fold"),
        "created": record.get("created"),
        "finished": result.get("finished"),
        "stored": result.get("stored"),
        "tags": list(dict.fromkeys([*(record.get("tags") or ()), *(notes.get("tags") or ())])),
        "note": notes.get("note"),
        "best_metric": record.get("best_metric"),
        "metrics": result.get("metrics") or {},
        "settings": flat_settings(record),
    }
    return {name: printable(value) for name, value in row.items()}


def program_of(record: JsonObject) -> list[str]:
    """The command line of a program that was not started by ``raven train``; empty for a training."""
    command: list[str] = record.get("command") or []
    if record.get("plugin"):
        return []
    return command[command.index("--") + 1 :] if "--" in command else command


def printable(value: object) -> object:
    """A value of JSON that can be written as JSON again and printed: lone surrogates are replaced, and whole
    numbers of more than 64 bits, NaN and infinities are texts.
    """
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return describe_huge(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [printable(one) for one in value]
    if isinstance(value, dict):
        return {str(printable(name)): printable(one) for name, one in value.items()}
    return value


def flat_settings(record: JsonObject) -> JsonObject:
    """What the run was told to do, flat: the plugin's settings by their own names (``lr``,
    ``input_size.width``), the rest of the config by the config file's (``kfold.folds``, ``jobs``).
    """
    config = record.get("config") or {}
    core = {name: value for name, value in config.items() if name not in _NO_SETTINGS}
    plugin, parameters = config.get("plugin") or {}, record.get("parameters") or {}
    if not isinstance(plugin, dict):  # a list, as plugins for ravenML 1 may have
        plugin = {"plugin": plugin}
    return dict(_flatten(core)) | dict(_flatten(plugin)) | dict(_flatten(parameters))


def _flatten(values: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
