"""``/runs``: the table of all runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from nicegui import run, ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments, ValueChangeEventArguments

from ravenml.common.formatting import local_time
from ravenml.common.io import JsonObject
from ravenml.dashboard.layout import empty_state, heading, page_frame
from ravenml.dashboard.runs.bulk import Bulk
from ravenml.dashboard.runs.compare import MOST_COMPARED
from ravenml.dashboard.runs.labels import format_cell, format_elapsed, format_score
from ravenml.dashboard.runs.listing import LISTING
from ravenml.dashboard.runs.query import FIELDS, SCORE, SIZE, Page, Query, column_names, find, select
from ravenml.dashboard.widgets.controls import (
    count_text,
    link,
    search_field,
    search_form,
    select_field,
    set_label,
    table,
)
from ravenml.errors import InputError
from ravenml.runs.filters import Condition, Row, lookup, narrow_where
from ravenml.runs.grouping import Group, find_differing, group_rows, list_choices
from ravenml.runs.notes import ARCHIVED
from ravenml.runs.overview import full_name, headline
from ravenml.runs.record import STATUSES

PERIOD = 0.4  # seconds between two looks
COLUMNS = "raven-columns"  # the cookie that remembers the chosen columns; not secret
_TITLES = {SCORE: "Score", "created": "Started", "program": "Program", "stored": "Stored in"}
_USUAL = ("status", "plugin", "dataset", "created", SCORE)  # the columns of whoever has chosen none
_PHONE = ("status", SCORE)  # for which a phone has room, as for what somebody asked for
_MOST_GROUPS = 100  # that are shown
_EXAMPLE = "val/miou>0.5 and lr<=0.01"


async def show(query: Query) -> None:
    """Build the page."""
    rows = await run.io_bound(LISTING.rows)
    with page_frame("Runs", "/runs"):
        heading("Runs", "All trainings and runs, newest first.")
        if not rows:
            with empty_state("science", "No runs yet.", "A run appears here as soon as it starts."):
                ui.button("Train a model", on_click=lambda: ui.navigate.to("/train")).props("unelevated")
                ui.label("Or on the command line: raven train --dataset NAME unet train").classes(
                    "mono muted"
                )
        table = RunsPage(query, rows or [])
        if rows:
            table.build()
    ui.timer(PERIOD, table.refresh, immediate=False)


@dataclass(frozen=True)
class Grouped:
    """Runs in groups, as they are shown.

    Attributes:
        groups: the best first.
        metrics: the scores that are shown of each.
        problem: why the conditions or the grouping cannot be used.
    """

    groups: list[Group]
    metrics: list[str]
    problem: str | None


class RunsPage:
    """The table on one page."""

    def __init__(self, query: Query, rows: list[Row]) -> None:
        self.query = query
        self._all = rows
        self._page = select(rows, query)
        self._empty = not rows
        self._grouped: Grouped | None = None
        self.bulk = Bulk(self._reload, query.archived)

    def build(self) -> None:
        """Put filter, table and pages on the page."""
        self._filters()
        self._problem = ui.label().classes("bad").props("role=alert")
        if self.query.group:
            self._groups = ui.element("section").classes("card flush")
            self._fill_groups(self._group())
            return
        self.bulk.build()
        with ui.element("section").classes("card flush"):
            with ui.element("div").classes("scroll-x"):
                self._rows = RunsTable(self._columns(), self._tick)
            self._none = ui.label("No runs match.").classes("muted pad")
        self._foot = ui.element("nav").classes("line").props('aria-label="Pages of the table"')
        self._fill(self._page)

    async def refresh(self) -> None:
        """Bring what has changed to the page."""
        rows = await run.io_bound(LISTING.rows)
        if rows is None:
            return
        if self._empty:
            if rows:
                ui.navigate.reload()
            return
        if rows is self._all:
            return
        self._all = rows
        if self.query.group:
            grouped = await run.io_bound(self._group)
            if grouped is not None:
                self._fill_groups(grouped)
            return
        page = select(rows, self.query)
        if page != self._page:
            self._fill(page)

    async def _reload(self) -> None:
        self._all = await run.io_bound(LISTING.rows, True) or []
        self._fill(select(self._all, self.query))

    def _filters(self) -> None:
        """A plain form, whose fields become the page's address."""
        shown = {"text", "where", "status", "tag", "archived", "group", "page"}
        with search_form("/runs"):
            search_field("Search", "text", self.query.text, "Search names, data, tags, notes")
            search_field("Filter", "where", self.query.where, f"Filter, for example {_EXAMPLE}")
            select_field(
                "Status", "status", {"": "Any status", **{s: s for s in STATUSES}}, self.query.status
            )
            tags = sorted({str(tag) for row in self._all for tag in row.get("tags") or ()} - {ARCHIVED})
            if tags:
                select_field("Tag", "tag", {"": "Any tag", **{tag: tag for tag in tags}}, self.query.tag)
            groups = find_differing([list_choices(row) for row in self._all])
            if groups:
                by = {name: f"Group by {name}" for name in groups}
                rest = {f"-{name}": f"Group by all but {name}" for name in groups if name.endswith("seed")}
                select_field("Group by", "group", {"": "Not grouped", **rest, **by}, self.query.group)
            if self.query.archived or any(ARCHIVED in row["tags"] for row in self._all):
                kept = {"": "Not archived", "1": "Archived"}
                select_field("Archived", "archived", kept, "1" if self.query.archived else "")
            ui.button("Columns", icon="view_column", on_click=self._choose_columns).props(
                "flat dense type=button"
            )
            link("Plot", self._plot_address())
            for name, value in self.query.fields().items():
                if name not in shown:
                    ui.element("input").props(f"type=hidden name={name}").props["value"] = value

    def _plot_address(self) -> str:
        """Where the runs of this query are drawn."""
        wanted = {"text", "where", "status", "tag", "archived"}
        fields = {name: value for name, value in self.query.fields().items() if value and name in wanted}
        return f"/runs/plot?{urlencode(fields)}" if fields else "/runs/plot"

    def _names(self) -> list[str]:
        """The columns behind the run's own, in their order; pinned ones come first."""
        if self.query.columns:
            chosen = [*self.query.pinned, *self.query.columns]
        else:
            project = ["project"] if any(row.get("project") for row in self._all) else []
            chosen = [*project, *_USUAL, *self.query.named_columns(), "tags"]
        return [name for name in dict.fromkeys([*chosen, *self.query.named_columns()]) if name != "name"]

    def _columns(self) -> list[JsonObject]:
        order = "ascending" if self.query.up else "descending"
        asked = {*self.query.columns, *self.query.named_columns()}
        return [
            {
                "name": name,
                "title": title,
                "address": self.query.sorted_by(name),
                "order": order if self.query.sort == name else "",
                "wide": name not in ("id", *_PHONE) and name not in asked,
                "pinned": name == "id" or name in self.query.pinned,
            }
            for name, title in (("id", "Run"), *((name, _title(name)) for name in self._names()))
        ]

    async def _choose_columns(self) -> None:
        names = await run.io_bound(column_names, self._all) or []
        chosen = await ColumnChooser(names, self._names(), self.query.pinned).ask()
        if chosen is None:
            return
        changed = self.query.address(columns=chosen[0], pinned=chosen[1])
        remembered = replace(self.query, columns=chosen[0], pinned=chosen[1]).chosen_columns()
        age = 31536000 if remembered else 0
        ui.run_javascript(
            f"document.cookie = '{COLUMNS}={quote(remembered)}; path=/; max-age={age}; samesite=strict';"
            f"location.assign({json.dumps(changed)})"
        )

    def _group(self) -> Grouped:
        """The runs in groups: what each is, how many runs, the mean of each score."""
        found, problem = find(self._all, self.query)
        scores = [name for name in self._names() if any(name in row["metrics"] for row in found)]
        heads = [name for row in found if (name := headline(row["metrics"], row.get("best_metric"))[0])]
        metrics = list(dict.fromkeys([*heads, *scores]))
        groups: list[Group] = []
        try:
            groups = group_rows(found, [self.query.group], metrics) if found else []
            if metrics:
                groups.sort(key=partial(_rank, metrics[0]))
        except InputError as error:
            problem = problem or str(error).removeprefix("--group-by: ")
        return Grouped(groups, metrics, problem)

    def _fill_groups(self, grouped: Grouped) -> None:
        """Show them; what is the same stays as it is, with the focus that it may have."""
        if grouped == self._grouped:
            return
        self._grouped = grouped
        self._problem.text = grouped.problem or ""
        self._problem.set_visibility(bool(grouped.problem))
        self._groups.clear()
        with self._groups:
            if not grouped.groups:
                ui.label("No runs match.").classes("muted pad")
                return
            names = list(grouped.groups[0].values)
            rows = [
                [
                    *(format_cell(value) or "–" for value in one.values.values()),
                    partial(link, count_text(len(one.ids), "run"), _address_of(one, self.query)),
                    *(str(one.metrics.get(name) or "") for name in grouped.metrics),
                ]
                for one in grouped.groups[:_MOST_GROUPS]
            ]
            table([*names, "Runs", *grouped.metrics], rows, texts=[*names[1:], "Runs"])
            if len(grouped.groups) > _MOST_GROUPS:
                left_out = f"The first {_MOST_GROUPS} of {len(grouped.groups):,} groups."
                ui.label(left_out).classes("muted pad")

    def _fill(self, page: Page) -> None:
        """Show a page of runs."""
        self._page = page
        self.bulk.keep([row["id"] for row in page.rows])
        self._rows.show([self._content(row) for row in page.rows])
        self._rows.choose(self.bulk.chosen)
        self._none.set_visibility(not page.rows)
        self._problem.text = page.problem or ""
        self._problem.set_visibility(bool(page.problem))
        self._pages(page)

    def _tick(self, ids: list[str], chosen: bool) -> None:
        self.bulk.tick(ids, chosen)
        self._rows.choose(self.bulk.chosen)

    def _content(self, row: Row) -> JsonObject:
        """What a row shows: plain text, and addresses that are made here."""
        named_as = str(row.get("name") or "") if "project" in self._names() else full_name(row)
        note = str(row.get("note") or "")
        return {
            "id": row["id"],
            "title": named_as or row["id"],
            "address": f"/runs/{quote(row['id'])}",
            "about": " · ".join([*([row["id"]] if named_as else []), *([note] if note else [])]),
            "cells": [self._cell(row, name) for name in self._names()],
        }

    def _cell(self, row: Row, name: str) -> JsonObject:
        """A cell: ``text``, and what else there is to it."""
        if name == "status":
            return {
                "text": str(row["status"]),
                "mark": row["status"] if row["status"] in STATUSES else "lost",
            }
        if name == "plugin":
            kind = str(row.get("plugin") or row.get("kind") or "")
            return {"text": f"{kind} · {row['folds']} folds" if row.get("folds") else kind}
        if name == "created":
            took = format_elapsed(row.get("created"), row["finished"]) if row.get("finished") else ""
            return {"text": local_time(row.get("created"), missing=""), "more": took, "whole": True}
        if name == SCORE:
            best = format_score(row)
            return {"text": best or str(row.get("error") or ""), "wrong": not best, "whole": bool(best)}
        if name == "tags":
            tags = map(str, row.get("tags") or ())
            return {"tags": [{"text": tag, "address": self.query.address(tag=tag)} for tag in tags]}
        if name in ("dataset", "project"):  # names are shown whole, as long as they are
            return {"text": str(row.get(name) or "")}
        return {"text": format_cell(lookup(row, name))}

    def _pages(self, page: Page) -> None:
        self._foot.clear()
        with self._foot:
            now = min(self.query.page, page.pages)
            first = (now - 1) * SIZE + 1
            of = f"{page.total:,}" + (f" of {page.all:,}" if page.total != page.all else "")
            range_text = (
                f"{first:,}-{first + len(page.rows) - 1:,} of {of} runs"
                if page.rows
                else f"0 of {page.all:,} runs"
            )
            ui.label(range_text).classes("muted small")
            if page.pages > 1:
                ui.space()
                if now > 1:
                    link("← Newer" if not self.query.sort else "← Before", self.query.address(page=now - 1))
                ui.label(f"page {now} of {page.pages}").classes("muted small")
                if now < page.pages:
                    link("Older →" if not self.query.sort else "Next →", self.query.address(page=now + 1))


def _title(name: str) -> str:
    return _TITLES.get(name) or (name.capitalize() if name in FIELDS else name)


def _rank(metric: str, group: Group) -> float:
    """Where a group stands: the best mean first, which of a loss is the lowest; without one, last."""
    spread = group.metrics.get(metric)
    if spread is None or math.isnan(spread.mean):
        return math.inf
    return spread.mean if "loss" in metric else -spread.mean


def _address_of(group: Group, query: Query) -> str:
    """Where the runs of a group are seen: compared where they are few, else in the table."""
    if len(group.ids) == 1:
        return f"/runs/{quote(group.ids[0])}"
    if len(group.ids) <= MOST_COMPARED:
        return f"/runs/compare?ids={','.join(group.ids)}"
    conditions = [
        Condition(name, "=", text) for name, value in group.values.items() if (text := _text(value))
    ]
    with suppress(InputError):
        return query.address(group="", where=narrow_where(query.where, conditions))
    return query.address(group="")


def _text(value: object) -> str:
    """A setting's value as a condition names it; empty where none can."""
    text = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return "" if isinstance(value, list | dict) or ("'" in text and '"' in text) else text


class ColumnChooser:
    """A dialog that asks which columns to show, in which order, and which of them to pin.

    Args:
        names: all columns that there could be.
        shown: those that are shown, in their order.
        pinned: those of them that are pinned.
    """

    def __init__(self, names: Sequence[str], shown: Sequence[str], pinned: Sequence[str]) -> None:
        self._names = list(names)
        self._shown = list(shown)
        self._pinned = set(pinned)

    async def ask(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """The columns and which of them are pinned; nothing for the usual ones, None if it was cancelled."""
        with ui.dialog() as dialog, ui.card().classes("dialog"):
            with ui.element("h2"):
                ui.label("Columns")
            self._list = ui.element("ul").classes("column-list")
            self._add = ui.select([], label="Add a column", with_input=True, on_change=self._added)
            self._add.props("outlined dense")
            self._fill()
            with ui.element("div").classes("line"):
                ui.button("Show", on_click=lambda: dialog.submit("show")).props("unelevated")
                ui.button("Usual columns", on_click=lambda: dialog.submit("usual")).props("flat")
                ui.button("Cancel", on_click=dialog.close).props("flat")
        answer = await dialog
        dialog.delete()
        if answer is None:
            return None
        if answer == "usual" or not self._shown:
            return (), ()
        return tuple(self._shown), tuple(name for name in self._shown if name in self._pinned)

    def _added(self, event: ValueChangeEventArguments[Any]) -> None:
        if event.value:
            self._shown.append(str(event.value))
            self._fill()

    def _fill(self) -> None:
        self._list.clear()
        with self._list:
            for place, name in enumerate(self._shown):
                with ui.element("li").classes("line tight"):
                    ui.label(_title(name)).classes("grow wrap")
                    self._button("arrow_upward", f"Move {name} up", partial(self._move, place, -1))
                    self._button("arrow_downward", f"Move {name} down", partial(self._move, place, 1))
                    pin = self._button("push_pin", f"Pin {name}", partial(self._pin, name))
                    pin.props(f"aria-pressed={str(name in self._pinned).lower()}")
                    self._button("close", f"Remove {name}", partial(self._remove, name))
        rest = [name for name in self._names if name not in self._shown]
        self._add.set_options({name: _title(name) for name in rest}, value=None)

    def _button(self, icon: str, name: str, press: Callable[[], None]) -> ui.button:
        button = ui.button(icon=icon, on_click=press).props("flat dense round size=sm")
        return set_label(button, name)

    def _move(self, place: int, by: int) -> None:
        to = place + by
        if 0 <= to < len(self._shown):
            self._shown[place], self._shown[to] = self._shown[to], self._shown[place]
            self._fill()

    def _pin(self, name: str) -> None:
        self._pinned ^= {name}
        self._fill()

    def _remove(self, name: str) -> None:
        self._shown.remove(name)
        self._fill()


class RunsTable(Element, component="rows.js"):
    """A table of runs: a head, a row for each, a box before it.

    Args:
        columns: ``name``, ``title``, ``address`` (which orders by it), ``order``, ``wide`` (a phone has no
            room for it) and ``pinned`` (it stays in view when the table scrolls sideways).
        tick: called with the ids whose box was changed, and whether they are chosen now.
    """

    def __init__(self, columns: Sequence[JsonObject], tick: Callable[[list[str], bool], None]) -> None:
        super().__init__()
        self.props.update({"columns": list(columns), "rows": [], "chosen": []})

        def ticked(event: GenericEventArguments) -> None:
            known = {row["id"] for row in self.props["rows"]}
            tick([one for one in event.args.get("ids") or () if one in known], bool(event.args.get("on")))

        self.on("tick", ticked)

    def show(self, rows: list[JsonObject]) -> None:
        """Replace the rows; what is the same is not sent."""
        if rows != self.props["rows"]:
            self.props["rows"] = rows

    def choose(self, ids: Sequence[str]) -> None:
        """Say which boxes are ticked."""
        if list(ids) != self.props["chosen"]:
            self.props["chosen"] = list(ids)
