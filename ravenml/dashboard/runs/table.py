"""``/runs``: the table of all runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ravenml.dashboard.controls import checkbox, choice, link, named
from ravenml.dashboard.frame import empty, frame, heading
from ravenml.dashboard.runs.bulk import Bulk
from ravenml.dashboard.runs.listing import LISTING
from ravenml.dashboard.runs.query import SCORE, SIZE, STATUSES, Page, Query, select
from ravenml.dashboard.runs.words import cell, lasted, moment, score, status_chip
from ravenml.runs.where import Row, lookup

PERIOD = 0.8  # seconds between two looks
_COLUMNS = (  # name, title, whether a phone has room for it
    ("id", "Run", True),
    ("status", "Status", True),
    ("plugin", "Plugin", False),
    ("dataset", "Dataset", False),
    ("created", "Begun", False),
    (SCORE, "Score", True),
)
_EXAMPLE = "val/miou>0.5 and lr<=0.01"


async def show(query: Query) -> None:
    """Build the page."""
    from nicegui import run, ui

    rows = await run.io_bound(LISTING.rows)
    with frame("Runs", "/runs"):
        heading("Runs", "Everything that was trained or run here, newest first.")
        if not rows:
            with empty("science", "Nothing was trained yet.", "A run appears here as soon as it begins."):
                ui.button("Train a model", on_click=lambda: ui.navigate.to("/train")).props("unelevated")
                ui.label("or, on the command line: raven train --dataset NAME unet train").classes(
                    "mono muted"
                )
        table = Table(query, rows or [])
        if rows:
            table.build()
    ui.timer(PERIOD, table.refresh, immediate=False)


class Table:
    """The table on one page."""

    def __init__(self, query: Query, rows: list[Row]) -> None:
        self.query = query
        self._page = select(rows, query)
        self._tags = _tags(rows)
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._elements: dict[str, Any] = {}
        self._empty = not rows
        self.bulk = Bulk(self._again)

    def build(self) -> None:
        """Put filter, table and pages on the page."""
        from nicegui import ui

        self._filters()
        self._problem = ui.label().classes("bad").props("role=alert")
        self.bulk.build()
        with ui.element("section").classes("card flush"):
            with ui.element("div").classes("scroll-x"), ui.element("table").classes("table runs-table"):
                with ui.element("thead"):
                    self._head()
                self._body = ui.element("tbody")
            self._none = ui.label("No run is like that.").classes("muted pad")
        self._foot = ui.element("nav").classes("line").props('aria-label="Pages of the table"')
        self._fill(self._page)

    async def refresh(self) -> None:
        """Bring what has changed to the page."""
        from nicegui import run, ui

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

    async def _again(self) -> None:
        from nicegui import run

        rows = await run.io_bound(LISTING.rows, True)
        self._fill(select(rows or [], self.query))

    def _filters(self) -> None:
        """A plain form, whose fields become the page's address."""
        from nicegui import ui

        with ui.element("form").classes("line").props("action=/runs method=get role=search") as form:
            where = ui.element("input").classes("field grow runs-where").props("type=search name=where")
            where.props.update({"value": self.query.where, "placeholder": f"Filter, such as {_EXAMPLE}"})
            named(where, "Filter")
            choice("Status", "status", {"": "Any status", **{s: s for s in STATUSES}}, self.query.status)
            if self._tags:
                tags = {"": "Any tag", **{tag: tag for tag in self._tags}}
                choice("Tag", "tag", tags, self.query.tag)
            for name, value in (("sort", self.query.sort), ("up", "1" if self.query.up else "")):
                ui.element("input").props(f"type=hidden name={name}").props["value"] = value
        # Empty fields would only lengthen the address.
        form.on("submit", js_handler="(e) => { for (const f of e.target.elements) f.disabled = !f.value; }")

    def _head(self) -> None:
        from nicegui import ui

        with ui.element("tr"):
            with ui.element("th").props("scope=col").classes("tick"):
                checkbox("Select all of this page", False, self._all)
            more = [(name, name, True) for name in self._more()]
            for name, title, phone in (*_COLUMNS, *more, ("tags", "Tags", False)):
                order = {True: "ascending", False: "descending"}[self.query.up]
                with ui.element("th").props("scope=col").classes("" if phone else "wide") as head:
                    if self.query.sort == name:
                        head.props["aria-sort"] = order
                    with ui.link(target=self.query.sorted_by(name)).classes("sort"):
                        ui.label(title)
                        if self.query.sort == name:
                            icon = "arrow_upward" if self.query.up else "arrow_downward"
                            ui.icon(icon).props('aria-hidden="true"')

    def _more(self) -> list[str]:
        known = {name for name, _, _ in _COLUMNS} | {"tags", "name"}
        return [name for name in self.query.columns() if name not in known]

    def _fill(self, page: Page) -> None:
        """Show a page of runs; of runs that stood here before, only those that changed are sent."""
        self._page = page
        ids = [row["id"] for row in page.rows]
        self.bulk.keep(ids)
        contents = {row["id"]: self._content(row) for row in page.rows}
        if ids != list(self._shown):
            self._body.clear()
            self._elements = {}
            with self._body:
                for row in page.rows:
                    self._elements[row["id"]] = self._row(contents[row["id"]])
        else:
            for row in page.rows:
                if contents[row["id"]] != self._shown[row["id"]]:
                    self._rewrite(contents[row["id"]])
        self._shown = contents
        self._none.set_visibility(not ids)
        self._problem.text = page.problem or ""
        self._problem.set_visibility(bool(page.problem))
        self._pages(page)

    def _content(self, row: Row) -> tuple[Any, ...]:
        """What a row shows: all of it plain text."""
        named_as = " / ".join(str(row[part]) for part in ("project", "name") if row.get(part))
        kind = str(row.get("plugin") or row.get("kind") or "")
        folds = f"{kind} · {row['folds']} folds" if row.get("folds") else kind
        return (
            *(row["id"], named_as, str(row["status"]), folds, str(row.get("dataset") or "")),
            *(moment(row.get("created")), lasted(row.get("created"), row.get("finished"))),
            row.get("finished") is not None,
            score(row) or str(row.get("error") or ""),
            tuple(cell(lookup(row, name)) for name in self._more()),
            tuple(map(str, row.get("tags") or ())),
            str(row.get("note") or ""),
        )

    def _row(self, content: tuple[Any, ...]) -> Any:
        from nicegui import ui

        with ui.element("tr") as element:
            self._cells(content)
        return element

    def _rewrite(self, content: tuple[Any, ...]) -> None:
        element = self._elements[content[0]]
        element.clear()
        with element:
            self._cells(content)

    def _cells(self, content: tuple[Any, ...]) -> None:
        from nicegui import ui

        run_id, name, status, kind, dataset, begun, took, ended, best, more, tags, note = content

        def put(make: Callable[[], Any], classes: str = "") -> None:
            with ui.element("td").classes(classes):
                make()

        def title() -> None:
            link(name or run_id, f"/runs/{run_id}", "strong")
            about = [run_id] if name else []
            if about or note:
                ui.label(" · ".join([*about, *([note] if note else [])])).classes("small muted cut note")

        def when() -> None:
            ui.label(begun).classes("nowrap")
            if ended:
                ui.label(took).classes("small muted")

        def labels() -> None:
            for tag in tags:
                link(tag, self.query.address(tag=tag), "chip")

        put(lambda: self.bulk.tick(run_id), "tick")
        put(title)
        put(lambda: status_chip(status))
        put(lambda: ui.label(kind), "wide")
        put(lambda: ui.label(dataset), "wide")
        put(when, "wide")
        put(lambda: ui.label(best).classes("nowrap" if len(best) < 40 else "bad small"))
        for text in more:
            put(lambda text=text: ui.label(text))  # type: ignore[misc]
        put(labels, "wide")

    def _pages(self, page: Page) -> None:
        from nicegui import ui

        self._foot.clear()
        with self._foot:
            now = min(self.query.page, page.pages)
            first = (now - 1) * SIZE + 1
            of = f"{page.total:,}" + (f" of {page.all:,}" if page.total != page.all else "")
            said = (
                f"{first:,}-{first + len(page.rows) - 1:,} of {of} runs"
                if page.rows
                else f"0 of {page.all:,} runs"
            )
            ui.label(said).classes("muted small")
            if page.pages > 1:
                ui.space()
                if now > 1:
                    link("← Newer" if not self.query.sort else "← Before", self.query.address(page=now - 1))
                ui.label(f"page {now} of {page.pages}").classes("muted small")
                if now < page.pages:
                    link("Older →" if not self.query.sort else "Next →", self.query.address(page=now + 1))

    def _all(self, event: Any) -> None:
        self.bulk.choose([row["id"] for row in self._page.rows] if event.args else [])
        for row in self._page.rows:
            self._rewrite(self._shown[row["id"]])


def _tags(rows: list[Row]) -> list[str]:
    return sorted({str(tag) for row in rows for tag in row.get("tags") or ()})
