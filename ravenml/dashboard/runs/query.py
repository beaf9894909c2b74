"""What a table of runs shows: filter, order and page, as they stand in the page's address."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from ravenml.errors import InputError
from ravenml.runs.events import as_number
from ravenml.runs.filters import Row, filter_runs, lookup, parse_where
from ravenml.runs.overview import headline
from ravenml.runs.record import STATUSES

SIZE = 50  # runs on a page
SCORE = "score"  # the column with the score that names a run in a list


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
    """

    where: str = ""
    status: str = ""
    tag: str = ""
    sort: str = ""
    up: bool = False
    page: int = 1

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Query:
        """From an address; what is not understood there is left out."""
        page = values.get("page", "")
        return cls(
            values.get("where", ""),
            values.get("status", "") if values.get("status") in STATUSES else "",
            values.get("tag", ""),
            values.get("sort", ""),
            values.get("up", "") == "1",
            max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
        )

    def address(self, **changes: Any) -> str:
        """The page's address with these changes; a change of anything but the page leads to the first."""
        new = replace(self, **({"page": 1} | changes))
        given = {
            "where": new.where,
            "status": new.status,
            "tag": new.tag,
            "sort": new.sort,
            "up": "1" if new.up else "",
            "page": str(new.page) if new.page > 1 else "",
        }
        text = urlencode({name: value for name, value in given.items() if value})
        return f"/runs?{text}" if text else "/runs"

    def sorted_by(self, column: str) -> str:
        """The address with the table ordered by a column: first downwards, then upwards, then not."""
        if self.sort != column:
            return self.address(sort=column, up=False)
        return self.address(sort="", up=False) if self.up else self.address(up=True)

    def columns(self) -> list[str]:
        """What the conditions and the order name, which gets a column of its own."""
        try:
            named = [condition.name for condition in parse_where(self.where)] if self.where.strip() else []
        except InputError:
            named = []
        return list(dict.fromkeys([*named, *([self.sort] if self.sort else [])]))


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
    found, problem = list(rows), None
    try:
        conditions = parse_where(query.where) if query.where.strip() else []
        found = filter_runs(
            found,
            conditions,
            statuses=[query.status] if query.status else (),
            tags=[query.tag] if query.tag else (),
        )
    except InputError as error:
        problem = str(error).removeprefix("--where: ")
    if query.sort:
        found = _ordered(found, query.sort, query.up)
    pages = max(1, math.ceil(len(found) / SIZE))
    begin = (min(query.page, pages) - 1) * SIZE
    return Page(found[begin : begin + SIZE], len(found), len(rows), pages, problem)


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
