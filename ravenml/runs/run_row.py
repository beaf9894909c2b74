"""What a run can be listed, filtered and compared by: one flat record, made from its folder's files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from ravenml.common.io import JsonObject
from ravenml.errors import RavenError

_NO_SETTINGS = ("v", "dataset", "metadata", "plugin")  # fields of a config that say not how was trained
_TEXTS = ("status", "plugin", "kind", "project", "name", "dataset", "created", "finished", "stored", "note")
_COUNTS = ("folds", "fold")
_DEPTH = 32  # of settings within settings


def run_row(record: JsonObject, notes: JsonObject) -> JsonObject:
    """The flat record of a run, from its ``run.json`` and ``notes.json``.

    ``status`` is None as long as the run has no result: it is derived whenever somebody asks.  Both files may
    hold anything; every value of the row can be written as JSON and printed.

    Raises:
        RavenError: a field is not what it should be.
    """
    result = _fields(record, "result")
    row = {
        "id": record["id"],
        "status": result.get("status"),
        "plugin": record.get("plugin"),
        "kind": record.get("kind"),
        "project": record.get("project"),
        "name": record.get("name"),
        "dataset": _fields(record, "dataset").get("name"),
        "folds": _fields(record, "kfold").get("folds"),
        "fold": record.get("fold"),
        "created": record.get("created"),
        "finished": result.get("finished"),
        "stored": result.get("stored"),
        "tags": list(dict.fromkeys([*_texts(record, "tags"), *_texts(notes, "tags")])),
        "note": notes.get("note"),
        "metrics": _fields(result, "metrics"),
        "settings": flat_settings(record),
    }
    for kinds, names in ((str, _TEXTS), (int, _COUNTS)):
        for name in names:
            if row[name] is not None and not isinstance(row[name], kinds):
                raise RavenError(f"its `{name}` is {row[name]!r:.60}")
    return {name: printable(value) for name, value in row.items()}


def printable(value: object) -> object:
    """A value of JSON that can be written as JSON again and printed: lone surrogates are replaced, and whole
    numbers of more than 64 bits, NaN and infinities are texts.
    """
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return f"{value:.4e}" if abs(value) < 10**300 else "a huge number"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [printable(one) for one in value]
    if isinstance(value, dict):
        return {str(printable(name)): printable(one) for name, one in value.items()}
    return value


def _fields(record: JsonObject, name: str) -> JsonObject:
    """The mapping under ``name``; empty where there is none."""
    value = record.get(name) or {}
    if not isinstance(value, dict):
        raise RavenError(f"its `{name}` is {value!r:.60}")
    return value


def _texts(record: JsonObject, name: str) -> list[str]:
    value = record.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise RavenError(f"its `{name}` is {value!r:.60}")
    return value


def flat_settings(record: JsonObject) -> JsonObject:
    """What the run was told to do, flat: the plugin's settings by their own names (``lr``,
    ``input_size.width``), the rest of the config by the config file's (``kfold.folds``, ``jobs``).
    """
    config = _fields(record, "config")
    core = {name: value for name, value in config.items() if name not in _NO_SETTINGS}
    plugin, parameters = _fields(config, "plugin"), _fields(record, "parameters")
    return dict(_flatten(core)) | dict(_flatten(plugin)) | dict(_flatten(parameters))


def _flatten(values: Mapping[str, object], above: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict) and value and depth < _DEPTH:
            yield from _flatten(value, f"{above}{name}.", depth + 1)
        else:
            yield f"{above}{name}", value
