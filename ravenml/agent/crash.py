"""How a plugin's program failed: the exception and its stack, from what it printed.

``main_wrapper`` catches every exception and prints it as one line of JSON, the stack as a list in it.  Here
it becomes lines that people read, in the console log as in what is said of the run.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ravenml.common.io import JsonObject
from ravenml.runs import layout
from ravenml.runs.events import read_events

_LINES = 60  # of a stack, the last ones: what went wrong stands at its end
_WIDTH = 300  # characters of a line
_TAIL = 32 << 10  # bytes of the console log that are searched
_BEGIN = "Traceback (most recent call last):"


@dataclass(frozen=True)
class Crash:
    """An exception that ended a program.

    Attributes:
        exception: its type and message, in one line; the message alone where no stack was printed.
        stack: the traceback, line by line, the exception last.
    """

    exception: str
    stack: list[str]


def spell_out(item: JsonObject | str) -> str | None:
    """What the console log holds of an event or a line: a logged stack as the lines that it is made of.

    Returns:
        The text without a newline at its end; None for an event that has none, which is in the events.
    """
    fields = item
    if isinstance(item, str):
        if not (item.startswith("{") and '"stack"' in item):
            return item
        with suppress(ValueError, RecursionError):
            fields = json.loads(item)
    if isinstance(fields, dict):
        stack = _stack(fields)
        if stack:
            level = str(fields.get("level") or "error").upper()
            return "\n".join([f"{level}: {fields.get('message') or ''}", *stack])
        if fields.get("event_type") == "EventType.TASK_CRASHED":
            return f"CRITICAL: {fields.get('message') or ''} {fields.get('exc_str') or ''}".rstrip()
    return item if isinstance(item, str) else None


def find_crash(run: Path, exit_code: int | None) -> Crash | None:
    """Why a program failed: what it reported, or the traceback that its output ends with.

    Args:
        run: the run's folder.
        exit_code: the program's; Python ends with 1 after an exception that nobody caught.
    """
    for event in reversed(list(read_events(run / layout.EVENTS, "TASK_CRASHED"))):
        stack, said = _stack(event.fields), str(event.fields.get("exc_str") or "")
        if stack or said:
            return Crash(_exception(stack) or _short(said), stack)
    stack = _last_traceback(run / layout.CONSOLE) if exit_code == 1 else []
    return Crash(_exception(stack), stack) if stack else None


def _stack(fields: JsonObject) -> list[str]:
    lines = fields.get("stack")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        return []
    return [_cut(one) for line in lines for one in line.splitlines() if one.strip()][-_LINES:]


def _last_traceback(log: Path) -> list[str]:
    """The traceback that a console log ends with, where at most a few lines follow."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    begin = _last_begin(lines)
    end = _end(lines, begin)
    if begin < 0 or end == len(lines) or len(lines) - end > 5:
        return []
    return [_cut(line) for line in lines[begin : end + 1]][-_LINES:]


def _exception(stack: list[str]) -> str:
    """The exception's type and message, whose further lines follow the first that is not indented."""
    end = _end(stack, _last_begin(stack))
    return _short(" ".join(stack[end:])) or (_short(stack[-1]) if stack else "")


def _last_begin(lines: list[str]) -> int:
    return max((number for number, line in enumerate(lines) if line == _BEGIN), default=-1)


def _end(lines: list[str], begin: int) -> int:
    """Where the frames end that follow ``begin``."""
    return next((n for n in range(begin + 1, len(lines)) if not lines[n].startswith(" ")), len(lines))


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]} …"


def _short(text: str) -> str:
    return _cut(" ".join(text.split()))
