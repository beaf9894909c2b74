"""``/runs``: the table of all runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote

from nicegui import run, ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from ravenml.common.formatting import local_time
from ravenml.common.io import JsonObject
from ravenml.dashboard.layout import empty_state, heading, page_frame
from ravenml.dashboard.runs.bulk import Bulk
from ravenml.dashboard.runs.labels import format_cell, format_elapsed, format_score
from ravenml.dashboard.runs.listing import LISTING
from ravenml.dashboard.runs.query import SCORE, SIZE, Page, Query, select
from ravenml.dashboard.widgets.controls import link, select_field, set_label
from ravenml.runs.filters import Row, lookup
from ravenml.runs.overview import full_name
from ravenml.runs.record import STATUSES

PERIOD = 0.4  # seconds between two looks
_COLUMNS = (  # name, title, whether a phone has room for it
    ("id", "Run", True),
    ("status", "Status", True),
    ("plugin", "Plugin", False),
    ("dataset", "Dataset", False),
    ("created", "Started", False),
    (SCORE, "Score", True),
)
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


class RunsPage:
    """The table on one page."""

    def __init__(self, query: Query, rows: list[Row]) -> None:
        self.query = query
        self._page = select(rows, query)
        self._tags = _tags(rows)
        self._empty = not rows
        self.bulk = Bulk(self._reload)

    def build(self) -> None:
        """Put filter, table and pages on the page."""
        self._filters()
        self._problem = ui.label().classes("bad").props("role=alert")
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
        page = select(rows, self.query)
        if page != self._page:
            self._fill(page)

    async def _reload(self) -> None:
        rows = await run.io_bound(LISTING.rows, True)
        self._fill(select(rows or [], self.query))

    def _filters(self) -> None:
        """A plain form, whose fields become the page's address."""
        with ui.element("form").classes("line").props("action=/runs method=get role=search") as form:
            where = ui.element("input").classes("field grow runs-where").props("type=search name=where")
            where.props.update({"value": self.query.where, "placeholder": f"Filter, for example {_EXAMPLE}"})
            set_label(where, "Filter")
            select_field(
                "Status", "status", {"": "Any status", **{s: s for s in STATUSES}}, self.query.status
            )
            if self._tags:
                tags = {"": "Any tag", **{tag: tag for tag in self._tags}}
                select_field("Tag", "tag", tags, self.query.tag)
            for name, value in (("sort", self.query.sort), ("up", "1" if self.query.up else "")):
                ui.element("input").props(f"type=hidden name={name}").props["value"] = value
        # Empty fields would only lengthen the address.
        form.on("submit", js_handler="(e) => { for (const f of e.target.elements) f.disabled = !f.value; }")

    def _columns(self) -> list[JsonObject]:
        more = [(name, name, True) for name in self._more()]
        order = "ascending" if self.query.up else "descending"
        return [
            {
                **{"name": name, "title": title, "phone": phone, "address": self.query.sorted_by(name)},
                "order": order if self.query.sort == name else "",
            }
            for name, title, phone in (*_COLUMNS, *more, ("tags", "Tags", False))
        ]

    def _more(self) -> list[str]:
        known = {name for name, _, _ in _COLUMNS} | {"tags", "name"}
        return [name for name in self.query.columns() if name not in known]

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
        named_as = full_name(row)
        kind = str(row.get("plugin") or row.get("kind") or "")
        best = format_score(row)
        note = str(row.get("note") or "")
        return {
            "id": row["id"],
            "title": named_as or row["id"],
            "address": f"/runs/{quote(row['id'])}",
            "about": " · ".join([*([row["id"]] if named_as else []), *([note] if note else [])]),
            "status": str(row["status"]),
            "mark": row["status"] if row["status"] in STATUSES else "lost",
            "kind": f"{kind} · {row['folds']} folds" if row.get("folds") else kind,
            "dataset": str(row.get("dataset") or ""),
            "started": local_time(row.get("created"), missing=""),
            "took": format_elapsed(row.get("created"), row["finished"]) if row.get("finished") else "",
            "score": best or str(row.get("error") or ""),
            "wrong": not best,
            "more": [format_cell(lookup(row, name)) for name in self._more()],
            "tags": [
                {"text": tag, "address": self.query.address(tag=tag)}
                for tag in map(str, row.get("tags") or ())
            ],
        }

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


def _tags(rows: list[Row]) -> list[str]:
    return sorted({str(tag) for row in rows for tag in row.get("tags") or ()})


class RunsTable(Element, component="rows.js"):
    """A table of runs: a head, a row for each, a box before it.

    Args:
        columns: ``name``, ``title``, ``address`` (which orders by it), ``order`` and ``phone`` (whether there
            is room for it).
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
