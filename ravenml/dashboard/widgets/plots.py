"""Plots that a program reported: histograms, matrices, scatters, lines and tables, drawn with ECharts.

They come from events (TensorBoard's) and from files below ``artifacts`` (``report_*`` of a `Task`).  Their
content becomes numbers and plain text here, never options of the chart.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from nicegui import ui

from ravenml.common.io import JsonObject
from ravenml.common.parsing import read_json
from ravenml.common.reading import open_file
from ravenml.dashboard.run_files import RunFolder
from ravenml.dashboard.widgets.controls import table
from ravenml.errors import RavenError
from ravenml.runs import layout
from ravenml.runs.curves import COLOURS
from ravenml.runs.events import as_number, read_events

_MOST = 24  # plots on a page
_POINTS = 2_000  # of one series
_SIDE = 100  # rows and columns of a matrix or table
_TEXTS = 20
_LETTERS = 2_000  # of one text
_STEP = re.compile(r"(.*)_(\d{6,})$")

Numbers = list[float | None]


@dataclass(frozen=True)
class PlotData:
    """A plot as it was reported.

    Attributes:
        name: what it is called.
        kind: ``histogram``, ``confusion_matrix``, ``table``, ….
        step: of the newest that was reported under this name.
        data: its content: of events, by step; of a table, rows.
        file: where it lies in the run's folder; None for events.
    """

    name: str
    kind: str
    step: int
    data: Any
    file: str | None = None


def find_plots(folder: Path) -> list[PlotData]:
    """The newest plot of each name.  Work for a thread."""
    by_step: dict[tuple[str, str], dict[int, JsonObject]] = {}
    for event in read_events(folder / layout.EVENTS, "PLOT"):
        name, kind, data = (event.fields.get(field) for field in ("name", "kind", "data"))
        if isinstance(data, dict):
            by_step.setdefault((str(name), str(kind)), {})[event.step or 0] = data
    found = [PlotData(name, kind, max(steps), steps) for (name, kind), steps in by_step.items()]
    return [*found, *_find_files(folder)]


def _find_files(folder: Path) -> Iterator[PlotData]:
    newest: dict[tuple[str, str], tuple[int, Path]] = {}
    for kind in KINDS:
        root = folder / layout.ARTIFACTS / kind
        for path in sorted(root.rglob("*")):
            match = _STEP.fullmatch(path.stem)
            if match and path.is_file() and not path.is_symlink():
                name = f"{path.parent.relative_to(root).as_posix()}/{match[1]}"
                newest[kind, name] = max(newest.get((kind, name), (0, path)), (int(match[2]), path))
    for (kind, name), (step, path) in newest.items():
        try:
            data = _read_rows(path) if path.suffix == ".csv" else read_json(path)
        except (RavenError, OSError, ValueError, csv.Error):
            continue  # it is among the files of the run
        if isinstance(data, dict) or (kind == "table" and isinstance(data, list)):
            yield PlotData(name, kind, step, data, path.relative_to(folder).as_posix())


def _read_rows(path: Path) -> list[list[str]]:
    with open_file(path) as file:
        text = file.read(1 << 20).decode(errors="replace")
    return [row[:_SIDE] for row in islice(csv.reader(text.splitlines()), _SIDE)]


def build_plots(run: RunFolder, plots: Sequence[PlotData]) -> None:
    """Put them on the page."""
    with ui.element("div").classes("charts-grid"):
        for plot in plots[:_MOST]:
            with ui.element("figure").classes("chart"):
                with ui.element("figcaption").classes("chart-head"):
                    ui.label(plot.name).classes("strong cut")
                    ui.label(f"{plot.kind.replace('_', ' ')}, step {plot.step}").classes("small muted")
                _build(run, plot)
    if len(plots) > _MOST:
        ui.label(f"{len(plots) - _MOST} more are among the files and events of the run.").classes(
            "muted small"
        )


def _build(run: RunFolder, plot: PlotData) -> None:
    if plot.kind == "table" and plot.data:
        width = max(map(len, plot.data))
        head, *rows = [[*row, *[""] * (width - len(row))] for row in plot.data]
        table(head, rows, numbers=False)
        return
    options = KINDS[plot.kind](plot) if plot.kind in KINDS else None
    if options is not None:
        with ui.element("div").classes("chart-plot").props("role=img") as box:
            box.props["aria-label"] = f"{plot.name}, {plot.kind}"
            ui.echart(options)
    elif plot.file is not None:
        with ui.element("div").classes("line"):
            ui.label("This plot cannot be drawn here:").classes("muted")
            ui.link(plot.file, run.url(plot.file)).props(add="download")


def find_texts(folder: Path) -> list[tuple[str, int, str]]:
    """Name, step and content of the last texts that were written for TensorBoard.  Work for a thread."""
    found: dict[str, tuple[str, int, str]] = {}
    for event in read_events(folder / layout.EVENTS, "TEXT"):
        if isinstance(name := event.fields.get("name"), str):
            found[name] = (name, event.step or 0, event.message[:_LETTERS])
    return list(found.values())[-_TEXTS:]


def build_texts(texts: Sequence[tuple[str, int, str]]) -> None:
    """Put them on the page, as text."""
    for name, step, content in texts:
        with ui.element("div").classes("line"):
            ui.label(name).classes("strong")
            ui.label(f"step {step}").classes("small muted")
        ui.label(content).classes("wrap").style("white-space: pre-wrap")


# What is drawn, by kind: each makes the chart's options, or None where the data are not of the kind.


def _bands(plot: PlotData) -> JsonObject | None:
    """A histogram over the steps: the middle half, nine tenths and the whole of the values."""
    steps = sorted(plot.data)[-_POINTS:]
    values = [_numbers(plot.data[step].get("values")) for step in steps]
    known = [(step, one) for step, one in zip(steps, values, strict=True) if len(one) == 7]
    if not known:
        return None
    names = ("minimum", "5 %", "25 %", "median", "75 %", "95 %", "maximum")
    weights = (0.3, 0.5, 0.8, 1, 0.8, 0.5, 0.3)
    series = [
        {
            **{"type": "line", "name": name, "symbol": "none" if len(known) > 1 else "circle"},
            "lineStyle": {"color": COLOURS[0], "opacity": weight, "width": 2 if name == "median" else 1},
            "itemStyle": {"color": COLOURS[0]},
            "data": [[step, one[place]] for step, one in known],
        }
        for place, (name, weight) in enumerate(zip(names, weights, strict=True))
    ]
    return _options(
        {"type": "value", "name": "step", "scale": True}, {"type": "value", "scale": True}, series
    )


def _histogram(plot: PlotData) -> JsonObject | None:
    if plot.file is None:
        return _bands(plot)
    values = _first(plot.data, "values", "data")
    several = values if _is_nested(values) else [values]
    labels = _texts(plot.data.get("labels"))
    if not values or not isinstance(values, list):
        return None
    series = [
        {"type": "bar", "name": labels[at] if at < len(labels) else f"{at + 1}", "data": _numbers(one)}
        for at, one in enumerate(several[:20])
    ]
    longest = max(len(one["data"]) for one in series)
    names = _texts(plot.data.get("xlabels")) or [str(at) for at in range(longest)]
    return _options({"type": "category", "data": names[:_POINTS]}, {"type": "value"}, series)


def _matrix(plot: PlotData) -> JsonObject | None:
    rows = _first(plot.data, "matrix", "data")
    if not _is_nested(rows):
        return None
    cells = [_numbers(row)[:_SIDE] for row in rows[:_SIDE]]
    points = [
        [x, y, value] for y, row in enumerate(cells) for x, value in enumerate(row) if value is not None
    ]
    if not points:
        return None
    columns = _texts(plot.data.get("xlabels")) or [str(at) for at in range(max(map(len, cells)))]
    lines = _texts(plot.data.get("ylabels")) or [str(at) for at in range(len(cells))]
    numbers = [value for _, _, value in points]
    small = len(points) <= 100
    options = _options(
        {"type": "category", "data": columns[:_SIDE]},
        {"type": "category", "data": lines[:_SIDE], "inverse": plot.kind != "surface"},
        [{"type": "heatmap", "data": points, "label": {"show": small}}],
    )
    shades = {"inRange": {"color": ["#f2f6ff", COLOURS[0]]}, "show": False}
    return options | {"visualMap": {"min": min(numbers), "max": max(numbers), **shades}}


def _scatter(plot: PlotData) -> JsonObject | None:
    given = _first(plot.data, "scatter", "scatter3d", "data")
    mode = str(plot.data.get("mode") or "lines")
    lines = "lines" in mode and plot.kind != "scatter3d"
    return _points([(str(plot.data.get("series") or ""), given)], lines)


def _lines(plot: PlotData) -> JsonObject | None:
    several = plot.data.get("series")
    several = several if isinstance(several, list) else [several]
    named = [(str(one.get("name") or ""), one.get("data")) for one in several if isinstance(one, Mapping)]
    return _points(named, lines=True)


def _curve(plot: PlotData) -> JsonObject | None:
    if plot.file is not None:
        return None
    newest = plot.data[plot.step]
    points = [list(pair) for pair in zip(_numbers(newest.get("x")), _numbers(newest.get("y")), strict=False)]
    return _points([("precision over recall", points)], lines=True)


def _plotly(plot: PlotData) -> JsonObject | None:
    """The traces of a plotly figure that are lines, points, bars or a heat map."""
    traces = [one for one in plot.data.get("data") or () if isinstance(one, Mapping)]
    kinds = {str(one.get("type") or "scatter") for one in traces}
    if kinds == {"heatmap"}:
        first = traces[0]
        inner = {"matrix": first.get("z"), "xlabels": first.get("x"), "ylabels": first.get("y")}
        return _matrix(PlotData(plot.name, "surface", plot.step, inner, plot.file))
    if kinds == {"bar"}:
        inner = {"values": [one.get("y") for one in traces], "xlabels": traces[0].get("x")}
        return _histogram(PlotData(plot.name, "histogram", plot.step, inner, plot.file))
    if not kinds or not kinds <= {"scatter", "scattergl"}:
        return None
    named = []
    for one in traces:
        x, y = one.get("x"), one.get("y")
        y = y if isinstance(y, list) else []
        x = x if isinstance(x, list) else list(range(len(y)))
        named.append((str(one.get("name") or ""), [list(pair) for pair in zip(x, y, strict=False)]))
    return _points(named, lines=any("lines" in str(one.get("mode") or "lines") for one in traces))


KINDS: dict[str, Callable[[PlotData], JsonObject | None]] = {
    **dict.fromkeys(("histogram", "vector"), _histogram),
    **dict.fromkeys(("matrix", "confusion_matrix", "surface"), _matrix),
    **dict.fromkeys(("scatter2d", "scatter3d"), _scatter),
    "line_plot": _lines,
    "pr_curve": _curve,
    "plotly": _plotly,
    "table": lambda plot: None,
}


def _points(named: Sequence[tuple[str, Any]], lines: bool) -> JsonObject | None:
    series = []
    for at, (name, given) in enumerate(named[:20]):
        if not isinstance(given, list):
            continue
        pairs = [_numbers(one)[:3] for one in given[:_POINTS] if isinstance(one, list) and len(one) >= 2]
        pairs = [one for one in pairs if None not in one[:2]]
        if pairs:
            kind = {"type": "line" if lines else "scatter", "name": name, "symbolSize": 5}
            series.append({**kind, "data": pairs, "itemStyle": {"color": COLOURS[at % len(COLOURS)]}})
    axis = {"type": "value", "scale": True}
    return _options(axis, dict(axis), series) if series else None


def _options(x: JsonObject, y: JsonObject, series: Sequence[JsonObject]) -> JsonObject:
    grey = {"axisLabel": {"color": "#888", "fontSize": 11}}  # readable on light and dark
    look = {**grey, "splitLine": {"lineStyle": {"color": "#8884"}}}
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 8, "right": 18, "top": 14, "bottom": 8, "containLabel": True},
        "tooltip": {"trigger": "item", "confine": True, "renderMode": "richText"},
        "xAxis": {**x, **look},
        "yAxis": {**y, **look},
        "series": list(series),
    }


def _first(data: Any, *names: str) -> Any:
    """The first of these that a plot has: what it was called with by name, or in its place."""
    return next((data[name] for name in names if isinstance(data, dict) and data.get(name) is not None), None)


def _is_nested(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(one, list) for one in values)


def _numbers(values: Any) -> Numbers:
    """Finite numbers; None for anything else."""
    if not isinstance(values, list):
        return []
    found = [as_number(one) for one in values[:_POINTS]]
    return [one if one is not None and abs(one) < float("inf") else None for one in found]


def _texts(values: Any) -> list[str]:
    return [str(one)[:100] for one in values[:_POINTS]] if isinstance(values, list) else []
