"""What a table of runs shows: filter, order and page, as they stand in the page's address."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ravenml.errors import InputError
from ravenml.runs.events import as_number
from ravenml.runs.filters import Row, filter_runs, lookup, parse_where
from ravenml.runs.notes import ARCHIVED
from ravenml.runs.overview import headline
from ravenml.runs.record import STATUSES

SIZE = 50  # runs on a page
_MOST_COLUMNS = 60  # that are shown
SCORE = "score"  # the column with the score that names a run in a list
# What can be a column apart from metrics and settings.
FIELDS = (
    *("status", "project", "plugin", "dataset", "created", SCORE, "tags"),
    *("note", "folds", "program", "stored"),
)


@dataclass(frozen=True)
class Query:
    """What is to be shown.

    Attributes:
        where: conditions as ``raven runs list --where`` takes them.
        status: only runs that stand like this.
        tag: only runs with this tag.
        sort: a column, or any metric, setting or field; the newest come first without it.
        up: whether the smallest comes first.
        page: counted from 1.
        text: words that all occur in a run's ID, name, project, plugin, program, dataset, tags or note.
        columns: the columns that somebody chose, in their order; none for the usual ones.
        pinned: those of them that stay in view when the table scrolls sideways.
        group: show groups of runs that agree about this setting; ``-seed`` for all settings but the seed.
        archived: show the runs that are archived, and no others.
    """

    where: str = ""
    status: str = ""
    tag: str = ""
    sort: str = ""
    up: bool = False
    page: int = 1
    text: str = ""
    columns: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    group: str = ""
    archived: bool = False

    @classmethod
    def parse(cls, values: Mapping[str, str], remembered: str = "") -> Query:
        """From an address; what is not understood there is left out.

        Args:
            values: the fields of the address.
            remembered: the columns that this browser was last told to show, as :meth:`chosen_columns` writes
                them; they count where the address names none.
        """
        page = values.get("page", "")
        columns = values if "columns" in values else dict(parse_qsl(remembered))
        names = _split(columns.get("columns", ""))
        return cls(
            where=values.get("where", ""),
            status=values.get("status", "") if values.get("status") in STATUSES else "",
            tag=values.get("tag", ""),
            sort=values.get("sort", ""),
            up=values.get("up", "") == "1",
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
            text=values.get("text", ""),
            columns=names,
            pinned=tuple(name for name in _split(columns.get("pinned", "")) if name in names),
            group=values.get("group", ""),
            archived=values.get("archived", "") == "1",
        )

    def address(self, **changes: Any) -> str:
        """The page's address with these changes; a change of anything but the page leads to the first."""
        new = replace(self, **({"page": 1} | changes))
        text = urlencode({name: value for name, value in new.fields().items() if value})
        return f"/runs?{text}" if text else "/runs"

    def fields(self) -> dict[str, str]:
        """The fields of the address, empty ones too."""
        return {
            "text": self.text,
            "where": self.where,
            "status": self.status,
            "tag": self.tag,
            "archived": "1" if self.archived else "",
            "group": self.group,
            "sort": self.sort,
            "up": "1" if self.up else "",
            "columns": _join(self.columns),
            "pinned": _join(self.pinned),
            "page": str(self.page) if self.page > 1 else "",
        }

    def chosen_columns(self) -> str:
        """The chosen columns, for a browser to remember; empty for the usual ones."""
        if not self.columns:
            return ""
        return urlencode({"columns": _join(self.columns), "pinned": _join(self.pinned)})

    def sorted_by(self, column: str) -> str:
        """The address with the table ordered by a column: first downwards, then upwards, then not."""
        if self.sort != column:
            return self.address(sort=column, up=False)
        return self.address(sort="", up=False) if self.up else self.address(up=True)

    def named_columns(self) -> list[str]:
        """What the conditions and the order name, which gets a column of its own."""
        try:
            conditions = parse_where(self.where) if self.where.strip() else []
        except InputError:
            conditions = []
        named = [name for condition in conditions for name in condition.names]
        return list(dict.fromkeys([*named, *([self.sort] if self.sort else [])]))


def _join(names: Sequence[str]) -> str:
    return ",".join(name.replace("%", "%25").replace(",", "%2C") for name in names)


def _split(text: str) -> tuple[str, ...]:
    names = (name.replace("%2C", ",").replace("%25", "%") for name in text.split(",")[:_MOST_COLUMNS])
    return tuple(dict.fromkeys(name for name in names if name))


@dataclass(frozen=True)
class Page:
    """A page of runs.

    Attributes:
        rows: flat records as ``ravenml.runs.index`` makes them.
        total: how many runs fit the query, on all pages.
        all: how many runs there are.
        pages: how many pages.
        problem: why the conditions cannot be used; everything is shown then.
    """

    rows: list[Row]
    total: int
    all: int
    pages: int
    problem: str | None = None


def select(rows: Sequence[Row], query: Query) -> Page:
    """The runs that a query asks for."""
    found, problem = find(rows, query)
    if query.sort:
        found = _ordered(found, query.sort, query.up)
    pages = max(1, math.ceil(len(found) / SIZE))
    begin = (min(query.page, pages) - 1) * SIZE
    return Page(found[begin : begin + SIZE], len(found), len(rows), pages, problem)


def find(rows: Sequence[Row], query: Query) -> tuple[list[Row], str | None]:
    """The runs that fit a query, on all pages, in the order given; and why its conditions cannot be used."""

    def fitting(where: str) -> list[Row]:
        return filter_runs(
            rows,
            parse_where(where) if where.strip() else [],
            statuses=[query.status] if query.status else (),
            tags=[query.tag] if query.tag else (),
            words=query.text.split(),
            archived=None if query.tag == ARCHIVED else query.archived,
        )

    try:
        return fitting(query.where), None
    except InputError as error:
        return fitting(""), str(error).removeprefix("--where: ")


def column_names(rows: Sequence[Row]) -> list[str]:
    """Everything that can be a column: fields, then metrics, then settings, each by name."""
    metrics = {name for row in rows for name in row["metrics"]}
    settings = {name for row in rows for name in row["settings"]}
    return [*FIELDS, *sorted(metrics), *sorted(settings - metrics - set(FIELDS))]


def _ordered(rows: list[Row], column: str, up: bool) -> list[Row]:
    """By numbers where there are any, else by text; runs without a value come last in either order."""

    def value(row: Row) -> object:
        if column == SCORE:
            name, score = headline(row["metrics"], row.get("best_metric"))
            return score if name else None
        return lookup(row, column)

    numbers, texts, nothing = [], [], []
    for row in rows:
        found = value(row)
        number = as_number(found)
        if number is not None and not math.isnan(number):
            numbers.append((number, row))
        elif found is None or found == [] or number is not None:
            nothing.append(row)
        else:
            texts.append((str(found).lower(), row))
    numbers.sort(key=lambda pair: pair[0], reverse=not up)
    texts.sort(key=lambda pair: pair[0], reverse=not up)
    return [row for _, row in numbers] + [row for _, row in texts] + nothing
