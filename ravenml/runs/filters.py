"""Which runs are meant: ``--where "val/miou>0.5 and lr<=0.01 or plugin=mine"``, ``--since 2d``, ``--tag``,
``--status``.
"""

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
from ravenml.runs.notes import ARCHIVED

Row = JsonObject

_SEARCHED = ("id", "name", "project", "plugin", "program", "dataset", "tags", "note")
_CONDITION = re.compile(
    r"""\s*(?P<name>[^\s<>=!~"']+)\s*(?P<sign><=|>=|!=|==|=|<|>|~)\s*"""
    r"""(?P<value>"[^"]*"|'[^']*'|[^\s"'<>=!~][^\s]*)\s*(?P<joint>$|\b(?:and|or)\b(?=\s*\S))""",
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

    @property
    def names(self) -> list[str]:
        """The metric, setting or field that it asks for."""
        return [self.name]

    def __str__(self) -> str:
        mark = "'" if '"' in self.value else '"'
        return f"{self.name}{self.sign}{mark}{self.value}{mark}"


@dataclass(frozen=True)
class AnyOf:
    """Conditions joined by ``or``: a run matches if all conditions of one alternative are true of it."""

    alternatives: tuple[tuple[Condition, ...], ...]

    def matches(self, row: Row) -> bool:
        """Whether one of the alternatives is true of a run."""
        return any(all(one.matches(row) for one in conditions) for conditions in self.alternatives)

    @property
    def names(self) -> list[str]:
        """The metrics, settings and fields that it asks for."""
        return list(dict.fromkeys(one.name for conditions in self.alternatives for one in conditions))


def lookup(row: Row, name: str) -> object:
    """What a run has under a metric's, a field's or a setting's name; None where it has nothing."""
    for place in (row.get("metrics", {}), row, row.get("settings", {})):
        if name in place and name not in ("metrics", "settings"):
            return place[name]
    return None


def parse_where(text: str) -> list[Condition | AnyOf]:
    """The conditions of ``NAME SIGN VALUE and NAME SIGN VALUE or …``; all that are returned are to hold.

    The signs are ``= != < <= > >=`` and ``~`` (holds this text).  A value with spaces is quoted.  As in
    Python, ``and`` binds more tightly than ``or``.

    Raises:
        InputError: it is not written like that; the sentence shows the part.
    """
    alternatives: list[list[Condition]] = [[]]
    place = 0
    while place < len(text) or not alternatives[0]:
        match = _CONDITION.match(text, place)
        if match is None:
            raise InputError(
                f"--where: {text[place:].strip()!r} is not a condition; write NAME SIGN VALUE, such as "
                f'"val/miou>0.5 and lr<=0.01", with one of = != < <= > >= ~ as sign.'
            )
        sign = "=" if match["sign"] == "==" else match["sign"]
        value = match["value"]
        quoted = value[0] in "\"'"
        alternatives[-1].append(Condition(match["name"], sign, value[1:-1] if quoted else value))
        if match["joint"].lower() == "or":
            alternatives.append([])
        place = match.end()
    if len(alternatives) > 1:
        return [AnyOf(tuple(map(tuple, alternatives)))]
    return list(alternatives[0])


def narrow_where(text: str, more: Sequence[Condition]) -> str:
    """The conditions of ``text`` and these as well, as :func:`parse_where` reads them.

    Raises:
        InputError: ``text`` cannot be read.
    """
    before = parse_where(text) if text.strip() else []
    joined = [tuple(one for one in before if isinstance(one, Condition))]
    for one in before:
        if isinstance(one, AnyOf):
            joined = list(one.alternatives)
    return " or ".join(" and ".join(map(str, (*conditions, *more))) for conditions in joined)


def filter_runs(
    rows: Sequence[Row],
    conditions: Sequence[Condition | AnyOf] = (),
    *,
    plugin: str | None = None,
    statuses: Collection[str] = (),
    tags: Collection[str] = (),
    since: datetime | None = None,
    words: Collection[str] = (),
    archived: bool | None = None,
) -> list[Row]:
    """The runs of which all of this is true, in the order given.

    Each of ``words`` occurs, in upper or lower case, in a run's ID, name, project, plugin, program, dataset,
    tags or note.  With ``archived``, only runs that are archived (True) or that are not (False).

    Raises:
        InputError: a condition names something that no run has; the sentence suggests what is near.
    """
    check_names(rows, [name for condition in conditions for name in condition.names])
    begin = utc_timestamp(since, milliseconds=False).rstrip("Z") if since is not None else None
    return [
        row
        for row in rows
        if (plugin is None or row.get("plugin") == plugin)
        and (not statuses or row["status"] in statuses)
        and all(tag in row["tags"] for tag in tags)
        and (archived is None or (ARCHIVED in row["tags"]) == archived)
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
    if not wanted:
        return
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
