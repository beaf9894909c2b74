"""The settings that a command line shows, for programs that tell nothing of themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from ravenml.common.io import JsonObject

_OPTION = re.compile(r"--?([A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)
_PAIR = re.compile(r"\+{0,2}([A-Za-z][\w./-]*)=(.*)", re.DOTALL)  # Hydra's and make's
_INTEGER = re.compile(r"[-+]?[0-9]{1,15}")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,2})?")
_INTERPRETERS = re.compile(r"(python|pypy|bash|sh|zsh|perl|ruby|Rscript|node|julia)[\d.]*")
_OWN_OPTIONS = {"python": "mcWX", "bash": "c", "sh": "c", "zsh": "c", "perl": "e", "ruby": "e", "node": "e"}


def read_settings(arguments: Sequence[str]) -> JsonObject:
    """The options of a command line as settings.

    ``--lr 0.1``, ``--lr=0.1`` and ``lr=0.1`` are ``lr``; an option without a value is true, one that comes
    twice a list; what stands alone is listed under ``arguments``.

    Args:
        arguments: the program, perhaps behind an interpreter, and its arguments.
    """
    found: JsonObject = {}
    alone: list[str] = []
    waiting: str | None = None
    for argument in _behind_program(arguments):
        option, pair = _OPTION.fullmatch(argument), _PAIR.fullmatch(argument)
        if waiting is not None and option is None:
            _add(found, waiting, argument)
            waiting = None
            continue
        if waiting is not None:
            _add(found, waiting, True)
            waiting = None
        if option is not None and option[2] is None:
            waiting = option[1]
        elif found_pair := option or pair:
            _add(found, found_pair[1], found_pair[2])
        else:
            alone.append(argument)
    if waiting is not None:
        _add(found, waiting, True)
    return {**found, **({"arguments": alone} if alone else {})}


def _behind_program(arguments: Sequence[str]) -> Sequence[str]:
    """What stands behind the program's name, or behind the script that an interpreter runs."""
    name = _INTERPRETERS.fullmatch(PurePath(arguments[0]).name)
    rest = list(arguments[1:])
    if name is None:
        return rest
    with_value = _OWN_OPTIONS.get(name[1], "")
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        option = rest.pop(0)
        if option[1] in with_value and len(option) == 2:
            ends = option[1] in "mce"  # a module or the code itself: what follows is its own
            del rest[:1]
            if ends:
                return rest
    return rest[1:]


def _add(found: JsonObject, name: str, value: object) -> None:
    name = name.replace("-", "_")
    value = _number(value) if isinstance(value, str) else value
    if name in found:
        known = found[name]
        value = [*(known if isinstance(known, list) else [known]), value]
    found[name] = value


def _number(text: str) -> object:
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
