"""A script's parameters: recorded, and overridden by those that ``raven runs clone --set`` hands over.

argparse and Click are watched from the moment at which ``Task`` is first used, so that a script's own
arguments need no line of code.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ravenml.capture.imports import when_imported
from ravenml.capture.reporting import to_plain
from ravenml.common.io import JsonObject, read_json
from ravenml.common.parsing import parse_json
from ravenml.common.secrets import redact
from ravenml.errors import InputError
from ravenml.runs.replay import PARAMETERS

ARGUMENTS = "Args"  # ClearML's section of what stands on the command line; a plain `connect` is "General"
known: JsonObject = {}  # what was seen so far, by name
sections: dict[str, str] = {}  # of names that stand in none here, the section that ClearML has them in
_listeners: list[Callable[[JsonObject, dict[str, str]], None]] = []


def overrides() -> JsonObject:
    """The values that override the script's own, by name (``lr``, ``Optimizer.lr``).

    Raises:
        InputError: the variable holds no JSON object.
    """
    text = os.environ.get(PARAMETERS, "")
    if not text:
        return {}
    try:
        found = read_json(Path(text[1:])) if text.startswith("@") else parse_json(text, PARAMETERS)
    except InputError as error:
        raise InputError(
            f"{PARAMETERS} is neither a JSON object nor the name of a JSON file: {error}."
        ) from None
    if not isinstance(found, dict):
        raise InputError(f'{PARAMETERS} must hold a JSON object, such as {{"lr": 0.1}}.')
    return found


def listen(listener: Callable[[JsonObject, dict[str, str]], None]) -> None:
    """Be told of all parameters and their sections now, and whenever there are more.

    Of what an earlier task of this process connected, nothing is told; the command line is that of both.
    """
    for name in [name for name in known if sections.get(name) != ARGUMENTS]:
        if _listeners:
            del known[name]
    _listeners[:] = [listener]
    if known:
        listener(known, sections)


def record(values: Mapping[str, object], section: str | None = None, as_arguments: bool = False) -> None:
    """Record parameters; secrets by their names.

    Args:
        values: by name.
        section: what stands before the names; None, and ``General``, are the names alone.
        as_arguments: they stand on the command line.
    """
    if not values:
        return
    plain_values = redact({str(name): to_plain(value) for name, value in values.items()})
    if section and section != "General":
        inner = known.setdefault(section, {})
        if isinstance(inner, dict):
            inner.update(plain_values)
    else:
        known.update(plain_values)
        for name in plain_values:
            if as_arguments:
                sections[name] = ARGUMENTS
            elif isinstance(plain_values[name], dict):
                sections[name] = "General"
            else:
                sections.pop(name, None)
    for listener in _listeners:
        listener(known, sections)


def find_overridden(values: Mapping[str, object], section: str | None = None) -> JsonObject:
    """Those of ``values`` that stand under another value in the overrides, with that value."""
    given = overrides()
    prefix = f"{section}." if section and section != "General" else ""
    names = [name for name in values if isinstance(name, str)]
    return {name: cast(given[prefix + name], values[name]) for name in names if prefix + name in given}


def cast(value: object, like: object) -> object:
    """A value that may have come as text, as the type of the one that it replaces."""
    if not isinstance(value, str) or isinstance(like, str):
        return str(value) if isinstance(like, str) else value
    if isinstance(like, bool):
        return value.strip().lower() in ("1", "true", "yes", "on")
    try:
        if isinstance(like, int | float):
            number = float(value)
            return int(value) if isinstance(like, int) and number == int(number) else number
        return parse_json(value, "")
    except (ValueError, OverflowError):
        return value


_depth = 0


def _watch_argparse() -> None:
    original = argparse.ArgumentParser.parse_known_args

    @functools.wraps(original)
    def parse_known_args(self: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
        global _depth
        _depth += 1  # a parser's subparsers are called from within
        try:
            namespace, rest = original(self, *args, **kwargs)
        finally:
            _depth -= 1
        if _depth == 0:
            _take_namespace(self, namespace)
        return namespace, rest

    argparse.ArgumentParser.parse_known_args = parse_known_args  # type: ignore[method-assign]


def _take_namespace(parser: argparse.ArgumentParser, namespace: argparse.Namespace) -> None:
    given = overrides()
    for action in parser._actions:
        if action.dest in given and hasattr(namespace, action.dest):
            value = given[action.dest]
            if isinstance(value, str) and action.type is not None and action.nargs in (None, "?"):
                value = parser._get_value(action, value)  # as if it stood on the command line
                parser._check_value(action, value)
            else:
                value = cast(value, getattr(namespace, action.dest))
            setattr(namespace, action.dest, value)
    record({name: value for name, value in vars(namespace).items() if not callable(value)}, as_arguments=True)


def _watch_click(click: Any) -> None:
    original = click.Command.invoke

    @functools.wraps(original)
    def invoke(self: Any, ctx: Any) -> Any:
        given = overrides()
        for parameter in self.params:
            if parameter.name in given and parameter.name in ctx.params:
                ctx.params[parameter.name] = parameter.type_cast_value(ctx, given[parameter.name])
        record(ctx.params, as_arguments=True)
        return original(self, ctx)

    click.Command.invoke = invoke


@functools.cache
def watch() -> None:
    """Watch argparse, and Click once it is loaded."""
    if "ravenml.cli" not in sys.modules:
        _watch_argparse()
        when_imported("click", _watch_click)
