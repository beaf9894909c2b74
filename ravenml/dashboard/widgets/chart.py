"""A chart of curves that may be long and may grow: the browser is given what it can draw, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps

from nicegui import run, ui
from nicegui.events import GenericEventArguments

from ravenml.common.io import JsonObject
from ravenml.dashboard.drawing import ChartLine, ChartView, Drawing, DrawnCurve, draw, find_extent
from ravenml.runs.curves import COLOURS

_MARKED = 60  # points that are marked one by one


class Chart:
    """A titled chart on the current page.  It is made with its first content, so that it is there at once.

    Later content comes with :meth:`show`, at most as often as the caller wants; the caller computes nothing:
    smoothing and thinning are done in a thread.  Zooming in (with the slider below, Ctrl and the wheel, or
    the keys + - ← → 0) brings the visible range in full detail.

    Args:
        title: what is drawn; plain text.
        lines: the curves.
        view: how they are looked at.
        legend: whether the chart's head lists the lines by name; it does so only if there are several.
        drawing: ``draw(lines, view)`` where that is known already.
    """

    def __init__(
        self,
        title: str,
        lines: Sequence[ChartLine] = (),
        view: ChartView | None = None,
        *,
        legend: bool = True,
        drawing: Drawing | None = None,
    ) -> None:
        self.title, self.lines, self.view = title, list(lines), view or ChartView()
        self._legend = legend
        self._drawn = drawing or draw(self.lines, self.view)
        self._drawn_styles = self._styles()
        self._current = self._fingerprint()
        self._follows = True
        self._named: list[tuple[str, int, bool]] = []
        with ui.element("figure").classes("chart") as self.element:
            with ui.element("figcaption").classes("chart-head"):
                ui.label(title).classes("strong cut")
                self._names = ui.element("div").classes("chart-names")
                self._left_out = ui.label().classes("small muted")
            with ui.element("div").classes("chart-plot").props("tabindex=0 role=img") as self._box:
                self._plot = ui.echart(self._options())
        # What is visible is the browser's to say, in values: the axis may have grown since the last drawing.
        # Keys that follow each other quickly are not answered from here, but on the spot.
        self._plot.on(
            "chart:datazoom",
            self._on_zoom,
            throttle=0.2,
            leading_events=False,
            js_handler=f"() => emit(charts.visible({self._plot.id}))",
        )
        self._box.on("keydown", js_handler=f"(event) => charts.press(event, {self._plot.id})")
        self._describe()

    async def update(self, lines: Sequence[ChartLine] | None = None, view: ChartView | None = None) -> None:
        """Draw other lines, or look at them in another way; what is None stays."""
        if lines is not None:
            self.lines = list(lines)
        if view is not None:
            self.view = ChartView(view.smoothing, view.log, self.view.window)
        extent = find_extent(self.lines)
        if self._follows and self.view.window is not None and extent is not None:
            self.view = ChartView(self.view.smoothing, self.view.log, (self.view.window[0], extent[1]))
        content = self._fingerprint()
        if content == self._current:
            return
        self._current = content
        drawn = await run.io_bound(draw, list(self.lines), self.view)
        if drawn is None or self._plot.is_deleted:  # the server is ending, or the page is gone
            return
        if content is not self._current:  # something else was asked for meanwhile
            return
        before, self._drawn = self._drawn, drawn
        change: JsonObject = {"yAxis": {"type": self._scale}}
        if self._styles() == self._drawn_styles:
            change["series"] = [_series_data(curve) for curve in drawn.curves]
        else:
            change["series"] = self._series()
        if drawn.extent != before.extent and drawn.extent is not None:
            change["xAxis"] = {"min": drawn.extent[0], "max": drawn.extent[1], "name": self._unit}
            change[":dataZoom"] = f"charts.keep({self._plot.id}, {dumps(drawn.extent[1])})"
        # Not through the element's options: those are observed in the browser, value by value.
        how = {} if len(change["series"]) == 2 * len(self._drawn_styles) else {"replaceMerge": ["series"]}
        self._drawn_styles = self._styles()
        # Nor through a method of the element: that is lost while the browser still loads what draws charts.
        self._plot.client.run_javascript(
            f"charts.change({self._plot.id}, {to_javascript(change)}, {to_javascript(how)})"
        )
        self._describe()

    @property
    def _unit(self) -> str:
        return next((line.points.unit for line in self.lines), "")

    @property
    def _scale(self) -> str:
        return "log" if self.view.log else "value"

    def _fingerprint(self) -> tuple[object, ...]:
        """What differs whenever another drawing is needed."""
        return self.view, self._styles(), [line.points.version for line in self.lines]

    def _styles(self) -> list[tuple[str, int, bool]]:
        """What the lines look like, apart from their course."""
        return [(line.name, line.colour, line.dashed) for line in self.lines]

    def _options(self) -> JsonObject:
        extent = self._drawn.extent or (None, None)
        text, rule = {":color": css_variable("--muted"), "fontSize": 11}, {":color": css_variable("--line")}
        axis = {"axisLabel": dict(text), "splitLine": {"lineStyle": dict(rule)}}
        return {
            "animation": False,
            "color": list(COLOURS),
            "textStyle": {"fontFamily": "inherit"},
            "grid": {"left": 8, "right": 14, "top": 10, "bottom": 34, "containLabel": True},
            "tooltip": {
                "trigger": "axis",
                "confine": True,
                "renderMode": "richText",  # text on a canvas: a name is never markup
                "transitionDuration": 0,
                ":backgroundColor": css_variable("--card"),
                ":borderColor": css_variable("--line"),
                "textStyle": {":color": css_variable("--ink"), "fontSize": 12},
            },
            "xAxis": {
                "type": "value",
                "name": self._unit,
                "nameLocation": "middle",
                "nameGap": 6,
                "nameTextStyle": {
                    **text,
                    "align": "center",
                    "verticalAlign": "top",
                    "padding": [14, 0, 0, 0],
                },
                "min": extent[0],
                "max": extent[1],
                **axis,
                "splitLine": {"show": False},
                "axisLine": {"lineStyle": dict(rule)},
            },
            "yAxis": {"type": self._scale, "scale": True, **axis},
            "dataZoom": [
                {
                    "type": "inside",
                    "zoomOnMouseWheel": "ctrl",
                    "moveOnMouseMove": False,
                    "filterMode": "filter",
                },
                {
                    **{"type": "slider", "height": 12, "bottom": 2, "filterMode": "filter"},
                    **{"showDataShadow": False, "showDetail": False, "brushSelect": False},
                    **{"borderColor": "transparent", ":fillerColor": css_variable("--accent-soft")},
                    **{":backgroundColor": css_variable("--back"), "moveHandleSize": 0},
                },
            ],
            "series": self._series(),
        }

    def _series(self) -> list[JsonObject]:
        series = []
        for number, curve in enumerate(self._drawn.curves):
            line, pale = self.lines[number // 2], number % 2 == 0
            colour = COLOURS[line.colour % len(COLOURS)]
            style = {"color": colour, "width": 1 if pale else 1.6, "opacity": 0.3 if pale else 1}
            series.append(
                {
                    **{"type": "line", "name": line.name, "dimensions": ["x", "y"], **_series_data(curve)},
                    **{"silent": True, "symbol": "circle", "symbolSize": 4},
                    "itemStyle": {"color": colour, "opacity": style["opacity"]},
                    "lineStyle": {**style, "type": "dashed" if line.dashed else "solid"},
                    "tooltip": {"show": not pale},
                    "z": 2 if pale else 3,
                }
            )
        return series

    def _describe(self) -> None:
        """Keep what is said about the chart in step with what is drawn."""
        description = (
            f"Chart of {self.title} over {self._unit or 'time'}. {self._drawn.description or 'no data yet'}."
        )
        if self._box.props.get("aria-label") != description:
            self._box.props["aria-label"] = (
                description  # on the box: an update of the chart would send all of it
            )
        count = self._drawn.left_out
        why = "not positive or not finite" if self.view.log else "NaN or infinite"
        self._left_out.text = f"{count:,} values {why}" if count else ""
        named = self._styles() if self._legend and len(self.lines) > 1 else []
        if named != self._named:
            self._named = named
            self._names.clear()
            with self._names:
                for name, colour, dashed in named:
                    legend_entry(name, colour, dashed)

    async def _on_zoom(self, event: GenericEventArguments) -> None:
        """Fetch the detail of the part that is visible now."""
        seen = event.args
        whole = not isinstance(seen, dict)
        window = None if whole else (float(seen["begin"]), float(seen["end"]))
        self.view = ChartView(self.view.smoothing, self.view.log, window)
        self._follows = whole or bool(seen["newest"])  # whoever looks at the newest point sees what comes
        await self.update()


def _series_data(curve: DrawnCurve) -> JsonObject:
    """A series' points; where they are few, each is marked."""
    return {":data": curve.script, "showSymbol": curve.count <= _MARKED}


def legend_entry(name: str, colour: int, dashed: bool = False) -> None:
    """A line's entry in a legend: its colour, and its name as plain text."""
    with ui.element("span").classes("chart-key"):
        mark = ui.element("span").classes("chart-mark").props("aria-hidden=true")
        mark.style(f"border-top: 3px {'dashed' if dashed else 'solid'} {COLOURS[colour % len(COLOURS)]}")
        ui.label(name).classes("cut")


def to_javascript(value: object) -> str:
    """A value as a script; what a key with a colon before it names is one already, as NiceGUI has it."""
    if isinstance(value, dict):
        parts = (
            f"{dumps(k[1:])}:{v}" if k.startswith(":") else f"{dumps(k)}:{to_javascript(v)}"
            for k, v in value.items()
        )
        return f"{{{','.join(parts)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(to_javascript, value))}]"
    return dumps(value)


def css_variable(variable: str) -> str:
    """A script's expression for a colour of the page's theme."""
    return f"getComputedStyle(document.body).getPropertyValue('{variable}').trim()"
