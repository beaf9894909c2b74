"""Which runs are meant: ``--where "val/miou>0.5 and lr<=0.01"``, ``--since 2d``, ``--tag``, ``--status``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ravenml.common.formatting import parse_duration, parse_timestamp, utc_timestamp
from ravenml.common.io import JsonObject
from ravenml.errors import InputError

Row = JsonObject

_SEARCHED = ("id", "name", "project", "plugin", "program", "dataset", "tags", "note")
_CONDITION = re.compile(
    r"""\s*(?P<name>[^\s<>=!~"']+)\s*(?P<sign><=|>=|!=|==|=|<|>|~)\s*"""
    r"""(?P<value>"[^"]*"|'[^']*'|[^\s"'<>=!~][^\s]*)\s*(?:$|\band\b(?=\s*\S))""",
    re.IGNORECASE,
)
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    ">": lambda a, b: bool(a > b),
    "<=": lambda a, b: bool(a <= b),
    ">=": lambda a, b: bool(a >= b),
}


@dataclass(frozen=True)
class Condition:
    """One comparison of ``--where``: a metric (``val/miou``), a setting (``lr``) or a field (``plugin``)
    with a value.
    """

    name: str
    sign: str
    value: str

    def matches(self, row: Row) -> bool:
        """Whether it is true of a run; never where the run does not have the name at all."""
        found = lookup(row, self.name)
        if found is None:
            return self.value.lower() in ("none", "null", "") and self.sign == "="
        if self.sign == "~":
            return self.value.lower() in _text(found).lower()
        left, right = _number(found), _number(self.value)
        if left is not None and right is not None:
            return _SIGNS[self.sign](left, right)
        if self.sign in "<>=" and isinstance(found, list):
            return any(_SIGNS[self.sign](str(one), self.value) for one in found)
        return _SIGNS[self.sign](_text(found), self.value)


def lookup(row: Row, name: str) -> object:
    """What a run has under a metric's, a field's or a setting's name; None where it has nothing."""
    for place in (row.get("metrics", {}), row, row.get("settings", {})):
        if name in place and name not in ("metrics", "settings"):
            return place[name]
    return None


def parse_where(text: str) -> list[Condition]:
    """The conditions of ``NAME SIGN VALUE and NAME SIGN VALUE …``; all of them are to hold.

    The signs are ``= != < <= > >=`` and ``~`` (holds this text).  A value with spaces is quoted.

    Raises:
        InputError: it is not written like that; the sentence shows the part.
    """
    found: list[Condition] = []
    place = 0
    while place < len(text) or not found:
        match = _CONDITION.match(text, place)
        if match is None:
            raise InputError(
                f"--where: {text[place:].strip()!r} is not a condition; write NAME SIGN VALUE, such as "
                f'"val/miou>0.5 and lr<=0.01", with one of = != < <= > >= ~ as sign.'
            )
        sign = "=" if match["sign"] == "==" else match["sign"]
        value = match["value"]
        quoted = value[0] in "\"'"
        found.append(Condition(match["name"], sign, value[1:-1] if quoted else value))
        place = match.end()
    return found


def filter_runs(
    rows: Sequence[Row],
    conditions: Sequence[Condition] = (),
    *,
    plugin: str | None = None,
    statuses: Collection[str] = (),
    tags: Collection[str] = (),
    since: datetime | None = None,
    words: Collection[str] = (),
) -> list[Row]:
    """The runs of which all of this is true, in the order given; each of ``words`` occurs, in upper or
    lower case, in its ID, name, project, plugin, program, dataset, tags or note.

    Raises:
        InputError: a condition names something that no run has; the sentence suggests what is near.
    """
    check_names(rows, [condition.name for condition in conditions])
    begin = utc_timestamp(since, milliseconds=False).rstrip("Z") if since is not None else None
    return [
        row
        for row in rows
        if (plugin is None or row.get("plugin") == plugin)
        and (not statuses or row["status"] in statuses)
        and all(tag in row["tags"] for tag in tags)
        and (begin is None or (row.get("created") or "") >= begin)
        and all(condition.matches(row) for condition in conditions)
        and all(_holds(row, word.lower()) for word in words)
    ]


def _holds(row: Row, word: str) -> bool:
    """Whether a lower-case text occurs in what people call a run, or say of it."""
    return any(word in _text(row[name]).lower() for name in _SEARCHED if row.get(name))


def check_names(rows: Iterable[Row], names: Iterable[str]) -> None:
    """Refuse a name that is a metric, setting or field of none of the runs.

    Raises:
        InputError: the sentence suggests the nearest names.
    """
    wanted = set(names)
    known: set[str] = set()
    for row in rows:
        known |= row.keys() | row["metrics"].keys() | row["settings"].keys()
    if not known:
        return
    known -= {"metrics", "settings"}
    for name in sorted(wanted - known):
        within = sorted(one for one in known if one.endswith((f"/{name}", f".{name}")))
        near = (within or difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5))[:3]
        mend = (
            f"did you mean {' or '.join(near)}?"
            if near
            else "a metric's, a setting's or a field's name is needed; `raven runs show ID` shows them."
        )
        raise InputError(f"No run has anything called {name!r}; {mend}")


def parse_since(text: str, now: datetime | None = None) -> datetime:
    """A moment: so long ago (``30min``, ``12h``, ``2d``, ``3w``), or a date in this machine's time
    (``2026-11-01``, ``2026-11-01T08:30``).

    Raises:
        InputError: it is neither.
    """
    with suppress(ValueError):
        return (now or datetime.now(UTC)) - timedelta(seconds=parse_duration(text))
    try:
        return datetime.fromtimestamp(parse_timestamp(text.strip())).astimezone()
    except ValueError:
        raise InputError(
            f"--since: {text!r} is not a time; write 30min, 12h, 2d or 3w (ago), or a date (2026-11-01)."
        ) from None


def _number(value: object) -> float | None:
    """A number, also one that is written as text (``"NaN"``, ``"1e-3"``); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)
