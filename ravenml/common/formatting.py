"""Sizes, durations, moments and numbers: as people see them, and as files hold them."""

from __future__ import annotations

import math
import re
import time
from datetime import datetime
from typing import TypeGuard

from ravenml.errors import InputError

_DURATION = re.compile(r"(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>min|[hdw])")
_UNITS = {"min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}  # seconds
# What terminals obey, by ECMA-48: control sequences, strings (titles, links, data) with their end, escapes.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,4096}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]+[0-~]"
    r"|\x1b[0-OQ-WYZ\\`-~]"
)
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_latest_second = (-1, "")  # and its text: events come by the thousand, many of them within one second


def terminal_safe(text: str, newlines: bool = False) -> str:
    """A text of somebody else's as a terminal may show it: nothing in it moves the cursor, sets a title,
    turns the direction of writing or hides what follows.

    Complete escape sequences (colours, cursor movements, titles) are left out.  Every other control character
    is shown as it is written in Python, such as ``\\x07``, as are bidirectional controls and invisible
    characters.  Tabs stay.

    Args:
        newlines: whether newlines stay, too.
    """
    if text.isprintable():  # as almost always
        return text
    shown = _UNSAFE.sub(lambda match: ascii(match.group())[1:-1], _SEQUENCE.sub("", text))
    return shown if newlines else shown.replace("\n", "\\n")


def shortened(text: str, longest: int = 300) -> str:
    """A text for a message, which may repeat what a file says: not longer than a few lines.

    Args:
        longest: characters.
    """
    return text if len(text) <= longest else f"{text[:longest]}…"


def format_size(count: float) -> str:
    """A number of bytes, such as ``12.3 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def parse_bytes(text: str, where: str) -> int:
    """A size such as ``5000000``, ``500M`` or ``20GiB`` (powers of 1024), in bytes.

    Raises:
        InputError: it is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text, re.IGNORECASE)
    if match is None:
        raise InputError(f"{where} is {text!r}, which is not a size; write bytes, or something like 20G.")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))


def format_duration(seconds: float) -> str:
    """``12 s``, ``3:05 min``, ``2:10 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def parse_duration(text: str) -> float:
    """Seconds of ``30min``, ``12h``, ``2d`` or ``3w``.

    Raises:
        ValueError: it is not written like that.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration")
    return float(match["count"]) * _UNITS[match["unit"]]


def utc_timestamp(moment: float | datetime | None = None, milliseconds: bool = True) -> str:
    """A moment, or now, as files hold it: ISO 8601 in UTC, such as ``2026-11-01T08:30:00.577Z``.

    Args:
        moment: seconds since 1970, or a datetime.
        milliseconds: whether to write them.
    """
    global _latest_second
    if isinstance(moment, datetime):
        moment = moment.timestamp()
    seconds = time.time() if moment is None else moment
    whole = int(seconds)
    known, text = _latest_second  # one tuple, so that threads may share it
    if whole != known:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        _latest_second = (whole, text)
    return f"{text}.{int((seconds - whole) * 1000):03d}Z" if milliseconds else f"{text}Z"


def parse_timestamp(text: object) -> float:
    """Seconds since 1970 of an ISO 8601 timestamp.

    Raises:
        ValueError: it is not one.
    """
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (OverflowError, OSError) as error:  # of the year 1, say
        raise ValueError(f"{text} is a moment that this machine's clock does not know") from error


def is_timestamp(value: object) -> TypeGuard[str]:
    """Whether it is a text that says a moment for every reader: ISO 8601 with its time zone."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def local_time(text: str | None, missing: str = "-", short: bool = False) -> str:
    """A timestamp by this machine's clock, such as ``2026-11-01 09:30``; what is not one stays as it is.

    Args:
        text: ISO 8601.
        missing: what stands for no text.
        short: leave out the year where it is the current one: ``11-01 09:30``.
    """
    if not text:
        return missing
    try:
        moment = datetime.fromtimestamp(parse_timestamp(text))
    except ValueError:
        return text
    is_short = short and moment.year == datetime.now().year
    return moment.strftime("%m-%d %H:%M" if is_short else "%Y-%m-%d %H:%M")


def format_number(value: object) -> str:
    """A metric in few letters, such as ``0.5123``; ``-`` where there is none, ``not defined`` for NaN."""
    if value == "NaN" or (isinstance(value, float) and math.isnan(value)):
        return "not defined"
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def printable(text: object, limit: int = 500) -> str:
    """Foreign text as one line that a terminal shows and does nothing else with, at most ``limit`` long."""
    line = " ".join(str(text)[: 10 * limit].split())[: limit + 1]
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def describe_error(error: BaseException) -> str:
    """Type and message of an exception as one line, whatever its own methods do."""
    kind = printable(type.__getattribute__(type(error), "__name__"))
    try:
        return f"{kind}: {printable(error)}".rstrip(":. ")
    except BaseException:
        return f"{kind}, whose message cannot be read"
