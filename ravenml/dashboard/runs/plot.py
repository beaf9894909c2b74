"""``/runs/plot``: many runs at once, as lines through all that differs, and as points of two values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from nicegui import run, ui
from nicegui.events import GenericEventArguments

from ravenml.common.io import JsonObject
from ravenml.dashboard.layout import empty_state, heading, page_frame, section
from ravenml.dashboard.runs.compare import MOST_COMPARED
from ravenml.dashboard.runs.listing import LISTING
from ravenml.dashboard.runs.query import Query, find
from ravenml.dashboard.widgets.chart import css_variable
from ravenml.dashboard.widgets.controls import count_text, link, search_field, search_form, select_field
from ravenml.runs.events import as_number
from ravenml.runs.filters import Row, lookup
from ravenml.runs.grouping import find_differing, list_choices
from ravenml.runs.overview import full_name, headline

PERIOD = 1.0  # seconds between two looks
_MOST_AXES = 12  # of the lines; more nobody tells apart
_MOST_WORDS = 40  # different texts on one axis, and letters of each
_FEW = 8  # whole numbers that are categories, such as seeds and batch sizes
_SPREAD = 100  # largest over smallest value, from which an axis is logarithmic
_MANY = 2_000  # points from which ECharts draws them in one go
_LOW_TO_HIGH = ("#4457c4", "#1f9e89", "#e0861a")


@dataclass(frozen=True)
class PlotQuery:
    """What is to be drawn; the address of the page.

    Attributes:
        runs: which runs.
        x: the setting, field or metric from left to right; the one with the most values without it.
        y: the metric upwards, which also colours the lines; the runs' score without it.
    """

    runs: Query
    x: str = ""
    y: str = ""

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> PlotQuery:
        """From an address."""
        return cls(Query.parse(values), values.get("x", ""), values.get("y", ""))


@dataclass(frozen=True)
class Axis:
    """A setting or metric of many runs.

    Attributes:
        name: as in a run's settings or metrics.
        values: of each run a number, or one of the words of a category; None where it has none.
        kind: ``value``, ``log`` or ``category``, as ECharts calls them.
        words: the categories, in order.
    """

    name: str
    values: list[float | str | None]
    kind: str
    words: tuple[str, ...] = ()

    def option(self) -> JsonObject:
        """The axis for ECharts."""
        option: JsonObject = {"type": self.kind, "name": self.name}
        if self.kind == "category":
            option["data"] = list(self.words)
        else:
            option["scale"] = True
        return option


def read_axis(rows: Sequence[Row], name: str) -> Axis:
    """What the runs have under a name: numbers, or categories where it is text or a few whole numbers."""
    found = [lookup(row, name) for row in rows]
    numbers = [as_number(value) for value in found]
    if any(value is not None and number is None for value, number in zip(found, numbers, strict=True)):
        texts = [None if value is None else _word(value) for value in found]
        return Axis(
            name, list(texts), "category", tuple(sorted({text for text in texts if text is not None}))
        )
    finite = [number if number is not None and math.isfinite(number) else None for number in numbers]
    known = sorted({number for number in finite if number is not None})
    if len(known) <= _FEW and all(number == int(number) for number in known):
        whole = [None if number is None else f"{number:.0f}" for number in finite]
        return Axis(name, list(whole), "category", tuple(f"{number:.0f}" for number in known))
    wide = bool(known) and known[0] > 0 and known[-1] / known[0] >= _SPREAD
    return Axis(name, list(finite), "log" if wide else "value")


def read_metric(rows: Sequence[Row], name: str) -> Axis:
    """A metric of the runs: numbers on an even scale; None where it is not finite."""
    numbers = [as_number(row["metrics"].get(name)) for row in rows]
    finite = [number if number is not None and math.isfinite(number) else None for number in numbers]
    return Axis(name, list(finite), "value")


def _word(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _MOST_WORDS else f"{text[: _MOST_WORDS - 1]}…"


@dataclass(frozen=True)
class PlotData:
    """Runs that have the metric, and what is drawn of them.

    Attributes:
        rows: those runs.
        y: the metric.
        axes: what differs between them, apart from metrics.
        x: which of all names goes from left to right.
        xs: all that could.
        ys: all metrics.
    """

    rows: list[Row]
    y: Axis
    axes: list[Axis]
    x: Axis
    xs: list[str]
    ys: list[str]


def read_plot(rows: Sequence[Row], query: PlotQuery) -> PlotData | None:
    """What a query asks to draw; None where no run has a metric.  Work for a thread."""
    ys = sorted({name for row in rows for name in row["metrics"]})
    heads = (headline(row["metrics"], row.get("best_metric"))[0] for row in rows)
    y = query.y if query.y in ys else next((name for name in heads if name), "")
    if not y:
        return None
    own = [row for row in rows if as_number(row["metrics"].get(y)) is not None]
    axes = [read_axis(own, name) for name in find_differing([list_choices(row) for row in own])]
    axes = [axis for axis in axes if len(axis.words) <= _MOST_WORDS]
    xs = [*(axis.name for axis in axes), *(name for name in ys if name != y)]
    x = query.x if query.x in xs else max(axes, key=_variety).name if axes else next(iter(xs), y)
    return PlotData(own, read_metric(own, y), axes, read_axis(own, x), xs, ys)


def _variety(axis: Axis) -> int:
    return len(set(axis.values))


def lines_option(data: PlotData) -> JsonObject:
    """ECharts' options of parallel coordinates: a line for each run, coloured by the metric."""
    axes = [*data.axes[: _MOST_AXES - 1], data.y]
    muted, ink = css_variable("--muted"), css_variable("--ink")
    shared = {
        "nameTextStyle": {":color": ink, "fontSize": 12},
        "axisLabel": {":color": muted, "fontSize": 11},
        "axisLine": {"lineStyle": {":color": muted}},
        "nameTruncate": {"maxWidth": 110},
    }
    values = [value for value in data.y.values if isinstance(value, float | int)]
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "parallel": {"left": 50, "right": 90, "top": 40, "bottom": 24},
        "parallelAxis": [{"dim": place, **axis.option(), **shared} for place, axis in enumerate(axes)],
        "visualMap": {
            **{"show": False, "dimension": len(axes) - 1, "inRange": {"color": list(_LOW_TO_HIGH)}},
            **{"min": min(values, default=0), "max": max(values, default=1)},
        },
        "series": {
            "type": "parallel",
            "lineStyle": {"width": 1.5, "opacity": 0.55 if len(data.rows) < 200 else 0.25},
            "inactiveOpacity": 0.03,
            "activeOpacity": 0.9,
            "progressive": 500,
            "data": [list(line) for line in zip(*(axis.values for axis in axes), strict=True)],
        },
    }


def points_option(data: PlotData) -> JsonObject:
    """ECharts' options of a scatter: a point for each run, named by it."""
    muted, rule = css_variable("--muted"), css_variable("--line")
    shared = {
        "nameLocation": "middle",
        "nameTextStyle": {":color": muted, "fontSize": 12},
        "axisLabel": {":color": muted, "fontSize": 11},
        "splitLine": {"lineStyle": {":color": rule}},
    }
    names = [full_name(row) or row["id"] for row in data.rows]
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 24, "right": 20, "top": 14, "bottom": 34, "containLabel": True},
        "tooltip": {
            **{"trigger": "item", "confine": True, "renderMode": "richText", "transitionDuration": 0},
            ":backgroundColor": css_variable("--card"),
            ":borderColor": rule,
            "textStyle": {":color": css_variable("--ink"), "fontSize": 12},
        },
        "xAxis": {**data.x.option(), **shared, "nameGap": 26},
        "yAxis": {**data.y.option(), **shared, "nameGap": 44},
        "series": {
            "type": "scatter",
            "symbolSize": 9 if len(data.rows) < _MANY else 4,
            "large": len(data.rows) >= _MANY,
            "itemStyle": {":color": css_variable("--accent"), "opacity": 0.7},
            "encode": {"x": 0, "y": 1, "itemName": 2, "tooltip": [0, 1]},
            "dimensions": [data.x.name, data.y.name, "run"],
            "data": [list(point) for point in zip(data.x.values, data.y.values, names, strict=True)],
        },
    }


async def show(query: PlotQuery) -> None:
    """Build the page."""
    rows = await run.io_bound(LISTING.rows) or []
    with page_frame("Plot runs", "/runs"):
        heading("Plot runs", "What differs between runs, and what came of it.")
        page = PlotPage(query)
        await page.read(rows)
        page.build()
    ui.timer(PERIOD, page.refresh, immediate=False)


class PlotPage:
    """The page in one browser."""

    def __init__(self, query: PlotQuery) -> None:
        self.query = query
        self._rows: list[Row] = []
        self._data: PlotData | None = None
        self._problem: str | None = None
        self._chosen: list[str] = []

    async def read(self, rows: list[Row]) -> None:
        """Work out what is drawn of these runs."""

        def work() -> tuple[PlotData | None, str | None]:
            found, problem = find(rows, self.query.runs)
            return read_plot(found, self.query), problem

        self._rows = rows
        self._data, self._problem = await run.io_bound(work) or (None, None)

    def build(self) -> None:
        """Put the choices and both charts on the page."""
        self._choices()
        if self._problem:
            ui.label(self._problem).classes("bad").props("role=alert")
        data = self._data
        if data is None:
            with empty_state("scatter_plot", "Nothing to plot.", "No run that matches has a score yet."):
                ui.link("All runs", "/runs")
            return
        with section("All that differs"):
            ui.label("Drag along an axis to select runs; click it to select all again.").classes(
                "muted small"
            )
            self._lines = self._chart(lines_option(data), f"A line for each of {len(data.rows):,} runs")
            self._selection = ui.element("div").classes("line tight").props('role="status"')
        left_out = len(data.axes) - (_MOST_AXES - 1)
        if left_out > 0:
            ui.label(f"{count_text(left_out, 'setting')} more differ; choose them below.").classes(
                "muted small"
            )
        with section(f"{data.y.name} by {data.x.name}"):
            ui.label("Click a point to open its run.").classes("muted small")
            self._points = self._chart(points_option(data), f"A point for each of {len(data.rows):,} runs")
        self._lines.on(
            "chart:axisareaselected",
            self._select,
            throttle=0.2,
            leading_events=False,
            js_handler=f"() => emit(getElement({self._lines.id}).chart.getModel().getSeriesByIndex(0)"
            '.getRawIndicesByActiveState("active"))',
        )
        self._points.on("chart:click", self._open, js_handler="(event) => emit(event.dataIndex)")

    async def refresh(self) -> None:
        """Draw runs that have ended or begun since."""
        rows = await run.io_bound(LISTING.rows)
        if rows is None or rows is self._rows:
            return
        before = self._data
        await self.read(rows)
        if (before is None) != (self._data is None):
            ui.navigate.reload()
        elif self._data is not None and before is not None and self._data != before:
            self._lines.options.update(lines_option(self._data))
            self._points.options.update(points_option(self._data))

    def _choices(self) -> None:
        data, runs = self._data, self.query.runs
        with search_form("/runs/plot"):
            search_field("Search", "text", runs.text, "Search names, data, tags, notes")
            search_field("Filter", "where", runs.where, "Filter, for example lr<=0.01")
            if data is not None:
                select_field("Up", "y", {name: f"↑ {name}" for name in data.ys}, data.y.name)
                select_field("Across", "x", {name: f"→ {name}" for name in data.xs}, data.x.name)
            for name in ("status", "tag", "archived"):
                if value := runs.fields()[name]:
                    ui.element("input").props(f"type=hidden name={name}").props["value"] = value
            link("Table", runs.address())

    def _chart(self, options: JsonObject, name: str) -> ui.echart:
        with ui.element("div").classes("chart-plot tall").props("role=img") as box:
            box.props["aria-label"] = name
            return ui.echart(options)

    def _select(self, event: GenericEventArguments) -> None:
        rows = self._data.rows if self._data is not None else []
        places = [place for place in event.args or () if isinstance(place, int) and place < len(rows)]
        self._chosen = [rows[place]["id"] for place in places]
        self._selection.clear()
        if not places or len(places) == len(rows):
            return
        with self._selection:
            ui.label(f"{count_text(len(places), 'run')} selected")
            if len(places) == 1:
                link("Open", f"/runs/{quote(self._chosen[0])}")
            elif len(places) <= MOST_COMPARED:
                link("Compare", f"/runs/compare?ids={','.join(self._chosen)}")
            else:
                ui.label(f"Select {MOST_COMPARED} or fewer to compare them.").classes("muted small")

    def _open(self, event: GenericEventArguments) -> None:
        rows = self._data.rows if self._data is not None else []
        place: Any = event.args
        if isinstance(place, int) and 0 <= place < len(rows):
            ui.navigate.to(f"/runs/{quote(rows[place]['id'])}")
