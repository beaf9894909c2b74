"""A task's config against the plugin's ``src/schemas.json``, before anything runs.

The schemas (JSON Schema, draft 4) describe the config after the plugin's own defaults are filled in.  So what
is missing is the plugin's to say; what is there is checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ravenml.agent.plugin_folder import PluginFolder
from ravenml.common.io import JsonObject, read_json
from ravenml.errors import InputError

SCHEMAS = Path("src") / "schemas.json"
_CONFIGS = {"train": "training_config", "inference": "inference_config", "deploy": "inference_config"}
_SHOWN = 3  # faults that are named at once


def check_config(plugin: PluginFolder, mode: str, config: JsonObject, source: str) -> str | None:
    """Check what a task's config holds.

    Args:
        plugin: whose schemas are used; without ``src/schemas.json`` nothing is checked.
        mode: a prediction's schema is for the part ``model`` of its config.
        config: the content of ``task_config.json``.
        source: where it comes from, for people.

    Returns:
        Why it could not be checked, as a sentence; None where it was.

    Raises:
        InputError: a field is unknown, or its value is not allowed; or the schemas cannot be used.
    """
    path = plugin.root / SCHEMAS
    if mode not in _CONFIGS or not path.is_file():
        return None
    schemas = read_json(path)
    schema = schemas.get(_CONFIGS[mode]) if isinstance(schemas, dict) else None
    if not isinstance(schema, dict):
        return None
    part = [] if mode == "train" else ["model"]
    checked: Any = config if mode == "train" else config.get("model")
    if checked is None:
        return None
    try:
        from jsonschema import Draft4Validator, SchemaError
        from referencing import Registry
        from referencing.exceptions import Unresolvable
    except ImportError:
        return f"The config is not checked against {SCHEMAS}, because jsonschema is not installed."
    whole = _without_required({**schema, "definitions": schemas.get("definitions", {})})
    try:
        Draft4Validator.check_schema(whole)
        # With a registry of its own, no schema is fetched from anywhere.
        faults = sorted(Draft4Validator(whole, registry=Registry()).iter_errors(checked), key=_place)
    except (SchemaError, Unresolvable, RecursionError) as error:
        raise InputError(f"{path} is not a usable JSON schema: {_first_line(error)}.") from None
    if faults:
        said = "; ".join(_describe(fault, part) for fault in faults[:_SHOWN])
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise InputError(f"{source}: {said}{more}. {path} says what is allowed.")
    return None


def _without_required(schema: Any) -> Any:
    """The schema for a config that the plugin's defaults are still to be added to."""
    if isinstance(schema, list):
        return [_without_required(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _without_required(value)
        for name, value in schema.items()
        if not (name == "required" and isinstance(value, list))
    }


def _place(fault: Any) -> list[str]:
    return [str(part) for part in fault.absolute_path]


def _describe(fault: Any, part: list[str]) -> str:
    """A fault with its field, such as ``batch_size.train: 0 is less than the minimum of 1``."""
    if fault.validator == "additionalProperties" and isinstance(fault.instance, dict):
        unknown = list(_unknown(fault))
        known = ", ".join(sorted(fault.schema.get("properties") or {})) or "none"
        names = ", ".join(".".join([*part, *_place(fault), name]) for name in unknown)
        return f"{names}: no such field; there is {known}"
    return f"{'.'.join([*part, *_place(fault)]) or 'the config'}: {_first_line(fault.message)}"


def _unknown(fault: Any) -> Iterator[str]:
    known = fault.schema.get("properties") or {}
    yield from (name for name in fault.instance if name not in known)


def _first_line(text: object) -> str:
    line = (str(text).splitlines() or [""])[0].rstrip(".")
    return line if len(line) <= 200 else f"{line[:200]} …"
