"""Configs against a plugin's ``src/schemas.json``: JSON Schema, draft 4, a schema for each kind of config.

The agent checks what a person wrote, to which the plugin adds its defaults later: what is missing there is no
fault.  The plugin itself checks the whole, and has the schemas' own defaults filled in.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from ravenml.common.io import JsonObject, read_json
from ravenml.errors import InputError

_DEFINITIONS = "definitions"  # beside the schemas; they belong to all of them


class ConfigSchemas:
    """The schemas of a plugin's configs.

    Args:
        path: the file.

    Raises:
        InputError: it cannot be read, or is not JSON.
    """

    def __init__(self, path: Path) -> None:
        content = read_json(path)
        self.path = path
        self._schemas: JsonObject = content if isinstance(content, dict) else {}

    def has(self, kind: str) -> bool:
        """Whether there is a schema for a kind of config."""
        return kind != _DEFINITIONS and isinstance(self._schemas.get(kind), dict)

    def find_faults(self, kind: str, config: Any, complete: bool, part: str = "") -> list[str]:
        """What is wrong with a config, each with its field: ``batch_size.train: 0 is less than …``.

        Args:
            kind: a kind that there is a schema for: ``training_config`` or ``inference_config``.
            config: what is checked.
            complete: whether nothing may be missing; defaults are then filled into ``config``.
            part: what comes before the names of its fields.

        Raises:
            InputError: the schema is none, or refers to one that the file does not have.
        """
        from jsonschema import Draft4Validator, validators
        from referencing import Registry

        own, shared = self._schemas[kind], self._schemas.get(_DEFINITIONS, {})
        schema = {**own, _DEFINITIONS: {**own.get(_DEFINITIONS, {}), **shared}}
        validator = Draft4Validator
        if complete:
            validator = validators.extend(Draft4Validator, {"properties": _fill_in_defaults})
        else:
            schema = _without_required(schema)
        try:
            # With a registry of its own, no schema is fetched from anywhere.
            found = sorted(validator(schema, registry=Registry()).iter_errors(config), key=_place)
        except Exception as error:  # the schema is data: what it makes the validator do is its fault
            raise InputError(f"{self.path} is not a usable JSON schema: {_why(schema, error)}.") from None
        return [_describe(fault, [part] if part else []) for fault in found]


def _why(schema: JsonObject, error: Exception) -> str:
    """Why a schema cannot be used.

    One that can be is not held to the standard first: real ones have ``"required": []``.
    """
    from jsonschema import Draft4Validator, SchemaError

    try:
        Draft4Validator.check_schema(schema)
    except SchemaError as fault:
        return f"{'.'.join(map(str, fault.absolute_path))}: {_first_line(fault.message)}".removeprefix(": ")
    return _first_line(error)


def _fill_in_defaults(validator: Any, properties: JsonObject, config: Any, schema: Any) -> Iterator[Any]:
    """The keyword ``properties``, whose defaults become part of the config before it is checked."""
    from jsonschema import Draft4Validator

    if isinstance(config, dict):
        for name, inner in properties.items():
            if isinstance(inner, dict) and "default" in inner:
                config.setdefault(name, deepcopy(inner["default"]))
    yield from Draft4Validator.VALIDATORS["properties"](validator, properties, config, schema)


def _without_required(schema: Any) -> Any:
    """The schema for a config that defaults are still to be added to."""
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
    if fault.validator == "additionalProperties" and isinstance(fault.instance, dict):
        names = fault.schema.get("properties") or {}
        known = ", ".join(sorted(names)) or "none"
        unknown = (".".join([*part, *_place(fault), name]) for name in fault.instance if name not in names)
        return f"{', '.join(unknown)}: no such field; there is {known}"
    return f"{'.'.join([*part, *_place(fault)]) or 'the config'}: {_first_line(fault.message)}"


def _first_line(text: object) -> str:
    line = (str(text).splitlines() or [""])[0].rstrip(".")
    return line if len(line) <= 200 else f"{line[:200]} …"
