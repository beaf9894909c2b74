"""A script's parameters: recorded, and overridden by those that ``raven runs clone --set`` hands over.

argparse, Click, Hydra, Fire, absl and jsonargparse are watched from the moment at which ``Task`` is first
used, so that a script's own arguments need no line of code.
"""

from __future__ import annotations

import argparse
import copy
import enum
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from ravenml.capture.imports import when_imported
from ravenml.capture.reporting import arguments as read_namespace
from ravenml.capture.reporting import is_of_the_program, to_plain
from ravenml.capture.reporting import listen as listen_to_hooks
from ravenml.common.io import JsonObject, read_json
from ravenml.common.parsing import parse_json
from ravenml.common.secrets import redact
from ravenml.errors import InputError
from ravenml.runs.replay import PARAMETERS
from ravenml.task.recorded import ARGUMENTS

PERIOD = 0.2  # seconds between two times at which what changes often is written
known: JsonObject = {}  # what was seen so far, by name
sections: dict[str, str] = {}  # ClearML's section of each name that has no section here
captured: list[str] = []  # the libraries below that have parsed the command line
_LIBRARIES = {  # by module: the function of `ravenml.capture.other_settings` that watches it
    "hydra.core.utils": "watch_hydra",
    "fire.core": "watch_fire",
    "absl.flags._flagvalues": "watch_absl",
    "jsonargparse._core": "watch_jsonargparse",
}
_SECTIONS = {"hydra": "Hydra", "absl": "TF_DEFINE"}  # ClearML's, of what is not in "Args"
_listeners: list[Callable[[JsonObject, dict[str, str]], None]] = []
_namespaces: list[tuple[argparse.Namespace, frozenset[str]]] = []  # what was parsed, and which names it had
_PLAIN = (str, int, float, bool, list, type(None))  # of a namespace's later attributes, what is a setting


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
    of_the_process = (ARGUMENTS, *_SECTIONS.values())
    for name in [name for name in known if sections.get(name) not in of_the_process]:
        if _listeners:
            del known[name]
    _listeners.clear()
    for namespace, parsed in _namespaces:  # a script may have set attributes before it began its task
        current = read_namespace(namespace)
        settings = {n: value for n, value in current.items() if n in parsed or type(value) in _PLAIN}
        record(settings, arguments=ARGUMENTS)
    _listeners[:] = [listener]
    if known:
        listener(known, sections)


def record(
    values: Mapping[str, object],
    section: str | None = None,
    arguments: str | None = None,
    *,
    often: bool = False,
) -> None:
    """Record parameters; secrets by their names.

    Args:
        values: by name.
        section: what stands before the names; None, and ``General``, are the names alone.
        arguments: they stand on the command line; ClearML's section of them.
        often: there may be more in a moment, so that they need not be written one by one.
    """
    if not values:
        return
    plain_values = redact({str(name): to_plain(value) for name, value in values.items()})
    with _telling.lock:
        before = copy.deepcopy((known, sections)) if often else None
        _add(plain_values, section, arguments)
        if before == (known, sections):
            return
    _telling.tell(often)


def flush() -> None:
    """Tell what was recorded a moment ago."""
    _telling.flush()


def _add(plain_values: JsonObject, section: str | None, arguments: str | None) -> None:
    if section and section != "General":
        inner = known.setdefault(section, {})
        if isinstance(inner, dict):
            inner.update(plain_values)
    else:
        known.update(plain_values)
        for name in plain_values:
            if arguments:
                sections[name] = arguments
            elif isinstance(plain_values[name], dict):
                sections[name] = "General"
            else:
                sections.pop(name, None)


class _Telling:
    """Hands what is known to the listeners: at once, or at most every :data:`PERIOD` seconds."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # of what is known
        self._pid = os.getpid()
        self._told_at = -PERIOD
        self._timer: threading.Timer | None = None

    def tell(self, often: bool) -> None:
        """Tell now, or soon where it is ``often`` and was done a moment ago."""
        with self.lock:
            wait = self._told_at + PERIOD - time.monotonic()
            # Nothing runs at the end of a forked process, so there nothing waits.
            if often and wait > 0 and os.getpid() == self._pid:
                if self._timer is None:
                    self._timer = threading.Timer(wait, self.flush)
                    self._timer.daemon = True
                    self._timer.start()
                return
            self._tell()

    def flush(self) -> None:
        """Tell now what waits."""
        with self.lock:
            if self._timer is not None and os.getpid() == self._pid:
                self._tell()

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._told_at = None, time.monotonic()
        for listener in _listeners:
            listener(known, sections)

    def after_fork(self) -> None:
        """In the child: another thread of the parent may have held the lock."""
        self.lock = threading.RLock()


_telling = _Telling()
os.register_at_fork(after_in_child=_telling.after_fork)


def find_overridden(values: Mapping[str, object], section: str | None = None) -> JsonObject:
    """Those of ``values`` that stand under another value in the overrides, with that value."""
    given = overrides()
    prefix = f"{section}." if section and section != "General" else ""
    names = [name for name in values if isinstance(name, str)]
    return {name: cast(given[prefix + name], values[name]) for name in names if prefix + name in given}


def cast(value: object, like: object) -> object:
    """A value that may have come as text, as the type of the one that it replaces."""
    if isinstance(like, enum.Enum):
        members = type(like).__members__
        return members.get(str(value).rpartition(".")[2], value)
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
            _take_namespace(self, namespace, sys._getframe(1))
        return namespace, rest

    argparse.ArgumentParser.parse_known_args = parse_known_args  # type: ignore[method-assign]


def _take_namespace(parser: argparse.ArgumentParser, namespace: argparse.Namespace, frame: FrameType) -> None:
    while frame.f_back is not None and frame.f_globals.get("__name__") == "argparse":
        frame = frame.f_back
    if not is_of_the_program(frame.f_globals):  # Hydra's and Fire's own flags
        return
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
    values = read_namespace(namespace)
    _namespaces.append((namespace, frozenset(values)))
    record(values, arguments=ARGUMENTS)


def _watch_click(click: Any) -> None:
    original = click.Command.invoke

    @functools.wraps(original)
    def invoke(self: Any, ctx: Any) -> Any:
        given = overrides()
        for parameter in self.params:
            if parameter.name in given and parameter.name in ctx.params:
                ctx.params[parameter.name] = parameter.type_cast_value(ctx, given[parameter.name])
        record(ctx.params, arguments=ARGUMENTS)
        return original(self, ctx)

    click.Command.invoke = invoke


@functools.cache
def watch() -> None:
    """Watch argparse, and the other libraries once they are loaded."""
    if "ravenml.cli" in sys.modules:
        return
    _watch_argparse()
    when_imported("click", _watch_click)
    listen_to_hooks(_take_captured)
    for module, function in _LIBRARIES.items():
        when_imported(module, functools.partial(_watch_library, function))


def _watch_library(function: str, module: Any) -> None:
    from ravenml.capture import other_settings

    getattr(other_settings, function)(module)


def _take_captured(values: dict[str, object], by: str) -> None:
    captured[:] = [by]
    if by == "jsonargparse":  # which names what is nested with a dot
        values = dict(_flatten(values))
    record(values, arguments=_SECTIONS.get(by, ARGUMENTS))


def _flatten(values: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
