"""What a JSON file must look like before code relies on it; checked once, where the file is read.

A schema is one of:

- ``str``, ``bool``, ``dict``, ``list``, or ``object`` for anything;
- ``int``: a whole number of at most 64 bits, ``float``: any finite number, neither of them true or false;
- a tuple of texts, one of which it must be;
- ``[schema]``: a list of such values;
- :class:`Fields`: an object with known fields, :class:`Each`: an object with values of one kind.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ravenml.common.io import JsonObject
from ravenml.common.parsing import read_json
from ravenml.errors import RavenError

_WORDS: dict[object, str] = {
    str: "a text",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    int: "a whole number",
    float: "a number",
}


@dataclass(frozen=True)
class Fields:
    """An object whose fields, where they are there and not null, look like this; it may have others.

    Attributes:
        known: the schema of each.
        required: those that must be there.
    """

    known: Mapping[str, Schema]
    required: Collection[str] = ()


@dataclass(frozen=True)
class Each:
    """An object whose values, whatever their names, all look like this or are null."""

    value: Schema


@dataclass(frozen=True)
class OneOf:
    """A value of one of several plain kinds."""

    kinds: tuple[type, ...]


Schema: TypeAlias = type | tuple[str, ...] | list["Schema"] | Fields | Each | OneOf


def read_object(path: Path, schema: Schema, mend: str = "correct or remove the file") -> JsonObject:
    """Read a JSON object that looks like ``schema``.

    Numbers of more than 64 bits become texts, so that whoever reads it can count on numbers to be numbers.

    Args:
        path: the file.
        schema: a :class:`Fields` or :class:`Each`.
        mend: what a person can do about a file that does not.

    Raises:
        RavenError: the file is missing, is not JSON, or does not look like that; the field is named.
    """
    document = _bounded(read_json(path))
    fault = find_fault(document, schema)
    if fault is not None:
        raise RavenError(f"{path}: {fault}; {mend}.")
    found: JsonObject = document
    return found


def find_fault(value: object, schema: Schema, place: str = "") -> str | None:
    """What is wrong with a value, in words that name its place; None where nothing is."""
    if isinstance(schema, Fields):
        if not isinstance(value, dict):
            return _not_a(value, "an object", place)
        for name in schema.required:
            if value.get(name) is None:
                return f"`{_join(place, name)}` is missing"
        inner = ((name, schema.known[name]) for name in value.keys() & schema.known.keys())
        faults = (find_fault(value[n], one, _join(place, n)) for n, one in inner if value[n] is not None)
    elif isinstance(schema, Each):
        if not isinstance(value, dict):
            return _not_a(value, "an object", place)
        faults = (find_fault(v, schema.value, _join(place, n)) for n, v in value.items() if v is not None)
    elif isinstance(schema, OneOf):
        words = " or ".join(_WORDS[kind] for kind in schema.kinds)
        return None if any(fits(value, kind) for kind in schema.kinds) else _not_a(value, words, place)
    elif isinstance(schema, list):
        if not isinstance(value, list):
            return _not_a(value, "a list", place)
        faults = (find_fault(one, schema[0], f"{place}[{index}]") for index, one in enumerate(value))
    elif isinstance(schema, tuple):
        return None if value in schema else _not_a(value, f"one of {', '.join(schema)}", place)
    else:
        return None if fits(value, schema) else _not_a(value, _WORDS[schema], place)
    return next((fault for fault in faults if fault is not None), None)


def fits(value: object, kind: type) -> bool:
    """Whether a value is of a plain kind."""
    if kind is int:
        return type(value) is int and -(1 << 63) <= value < 1 << 63
    if kind is float:
        return fits(value, int) or (type(value) is float and math.isfinite(value))
    return isinstance(value, kind)


def _bounded(value: Any) -> Any:
    """The value with every whole number of more than 64 bits as a text."""
    if isinstance(value, dict):
        return {name: _bounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_bounded(one) for one in value]
    return describe_huge(value) if type(value) is int and not fits(value, int) else value


def describe_huge(number: int) -> str:
    """A whole number of more than 64 bits as a text."""
    return f"{number:.4e}" if abs(number) < 10**300 else "a huge number"


def _not_a(value: object, wanted: str, place: str) -> str:
    shown = reprlib.repr(value)
    return f"`{place}` is {shown}, not {wanted}" if place else f"it holds {shown}, not {wanted}"


def _join(place: str, name: str) -> str:
    # as it is written in Python: a name may hold anything, and is shown to people
    shown = name if name.isidentifier() else reprlib.repr(name)
    return f"{place}.{shown}" if place else shown
