"""The charts of one run, or of several over one another: all their metrics, live, and their controls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nicegui import run, ui
from nicegui.events import GenericEventArguments, ValueChangeEventArguments

from ravenml.dashboard.drawing import ChartLine, ChartView, Drawing, draw
from ravenml.dashboard.metric_cache import METRICS
from ravenml.dashboard.metric_column import Points, mean
from ravenml.dashboard.widgets.chart import Chart, legend_entry
from ravenml.dashboard.widgets.controls import slider
from ravenml.runs import layout

PERIOD = 0.5  # seconds between two looks at a run that is under way
_AT_FIRST = 12  # charts that are shown before somebody asks for more


@dataclass(frozen=True)
class Source:
    """Whose curves are drawn.

    Attributes:
        name: what it is called where several are drawn over one another.
        folders: the run's, or the folds' whose means stand for a k-fold run.
    """

    name: str
    folders: tuple[Path, ...]

    def points(self) -> dict[str, Points]:
        """Its curves by address, as of the last look."""
        found = [METRICS.get(folder).points() for folder in self.folders]
        if len(found) == 1:
            return found[0]
        found = [one for one in found if one]
        shared = [name for name in (found[0] if found else {}) if all(name in one for one in found)]
        return {name: mean([one[name] for one in found]) for name in shared}


def find_sources(folder: Path) -> list[Source]:
    """A run as one source, or its folds as several."""
    folds = layout.fold_folders(folder)
    return [Source(f"fold {path.name}", (path,)) for path in folds] or [Source("", (folder,))]


class Charts:
    """Charts on the current page.

    Make it, :meth:`load` it, :meth:`build` it where it is to stand, and call :meth:`refresh` as long as
    something may be new (:data:`PERIOD`).
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)
        self.view = ChartView()
        self._charts: dict[str, Chart] = {}
        self._versions: list[int] = []
        self._points: list[dict[str, Points]] = []
        self._drawings: dict[str, Drawing] = {}
        self._wanted = _AT_FIRST
        self._filter_text = ""
        self._outdated = False  # whether what is on the page was made of other sources

    def load(self) -> bool:
        """Read what is new, which may take long: call it in a thread.  Whether anything was."""
        sources = self._sources_now()
        versions = [METRICS.get(folder).refresh() for source in sources for folder in source.folders]
        if (sources, versions) == (self.sources, self._versions):
            return False
        points = [source.points() for source in sources]
        self._outdated |= sources != self.sources  # folds that have begun since
        self._versions = versions
        self.sources, self._points = sources, points  # together: the page looks at both meanwhile
        self._drawings = {p.title: draw(self._lines(p), self.view) for p in self._chosen() if self._is_new(p)}
        return True

    def build(self) -> None:
        """Put controls and charts on the page."""
        with ui.element("div").classes("charts-controls") as self._controls:
            self._make_controls()
        self._legend = ui.element("div").classes("charts-legend")
        self._fill_legend()
        self._grid = ui.element("div").classes("charts-grid")
        with ui.element("div"):
            self._more = ui.button(on_click=self._show_more).props("flat")
        self._nothing = ui.label("No metrics yet.").classes("muted")
        self._arrange()

    async def refresh(self) -> bool:
        """Bring what is new to the page; whether anything was."""
        if not await run.io_bound(self.load):
            return False
        await self._show()
        return True

    def addresses(self) -> list[str]:
        """Every metric that any of the sources reported."""
        return list(dict.fromkeys(name for points in self._points for name in points))

    def _sources_now(self) -> list[Source]:
        """The sources as they are now: a k-fold run has more of them fold by fold."""
        first = self.sources[0]
        folder = first.folders[0]
        if not first.name:
            return find_sources(folder)
        if first.name == f"fold {folder.name}" and folder.parent.name == layout.FOLDS:
            return find_sources(folder.parent.parent)
        return self.sources

    def _fill_legend(self) -> None:
        self._legend.clear()
        with self._legend:
            if len(self.sources) > 1:
                for number, source in enumerate(self.sources):
                    legend_entry(source.name, number)
                if any(address.startswith("train/") for address in self.addresses()):
                    ui.label("dashed: train").classes("small muted")

    def _make_controls(self) -> None:
        self._search = ui.input(placeholder="Filter the charts", on_change=self._filter).props(
            'dense outlined clearable debounce=200 aria-label="Filter the charts"'
        )
        with ui.element("label").classes("charts-slider"):
            ui.label("Smoothing")
            slider("Smoothing", 0, 0.99, 0.01, 0, self._smooth)
        self._log = ui.switch("Logarithmic", on_change=self._scale)

    async def _smooth(self, event: GenericEventArguments) -> None:
        self.view = ChartView(min(max(float(event.args or 0), 0.0), 0.99), self.view.log)
        await self._look()

    async def _scale(self, event: ValueChangeEventArguments[Any]) -> None:
        self.view = ChartView(self.view.smoothing, bool(event.value))
        await self._look()

    async def _filter(self, event: ValueChangeEventArguments[Any]) -> None:
        self._filter_text = str(event.value or "").lower()
        await self._show()

    async def _show_more(self) -> None:
        self._wanted += 2 * _AT_FIRST
        await self._show()

    async def _look(self) -> None:
        for chart in self._charts.values():
            await chart.update(view=self.view)

    async def _show(self) -> None:
        if self._outdated:
            self._outdated = False
            for chart in self._charts.values():
                chart.element.delete()
            self._charts = {}
            self._fill_legend()
        new = [panel for panel in self._chosen() if self._is_new(panel)]
        if new:
            drawn = await run.io_bound(lambda: {p.title: draw(self._lines(p), self.view) for p in new})
            self._drawings = drawn or {}
        with self._grid:
            self._arrange()
        for panel in self._chosen():
            there = self._charts.get(panel.title)  # none where other charts were asked for meanwhile
            if panel not in new and there is not None:
                await there.update(self._lines(panel))

    def _matching(self) -> list[Panel]:
        found = group_panels(self.addresses(), len(self.sources))
        return [
            one
            for one in found
            if not self._filter_text or any(self._filter_text in a.lower() for a in one.addresses)
        ]

    def _chosen(self) -> list[Panel]:
        return self._matching()[: self._wanted]

    def _is_new(self, panel: Panel) -> bool:
        return panel.title not in self._charts

    def _arrange(self) -> None:
        """Make the charts that are missing, take those away that are not wanted, and put them in order."""
        matching = self._matching()
        chosen = matching[: self._wanted]
        titles = [panel.title for panel in chosen]
        for title in [title for title in self._charts if title not in titles]:
            self._charts.pop(title).element.delete()
        with self._grid:
            for place, panel in enumerate(chosen):
                if self._is_new(panel):
                    chart = Chart(
                        panel.title,
                        self._lines(panel),
                        self.view,
                        legend=len(self.sources) == 1,
                        drawing=self._drawings.pop(panel.title, None),
                    )
                    self._charts[panel.title] = chart
                    if place < len(self._charts) - 1:
                        chart.element.move(self._grid, place)
        left = len(matching) - len(chosen)
        self._more.text = f"Show more charts ({left} more)"
        self._more.set_visibility(left > 0)
        self._nothing.set_visibility(not chosen)
        self._nothing.text = "No charts match." if self._filter_text else "No metrics yet."
        self._controls.set_visibility(bool(chosen) or bool(self._filter_text))
        self._search.set_visibility(len(matching) > 4 or bool(self._filter_text))

    def _lines(self, panel: Panel) -> list[ChartLine]:
        """The panel's lines: coloured by metric, or, of several sources, by source."""
        alone = len(self.sources) == 1
        lines = []
        for number, (source, points) in enumerate(zip(self.sources, self._points, strict=True)):
            for place, address in enumerate(panel.addresses):
                if address not in points:
                    continue
                name = line_name(address, panel)
                lines.append(
                    ChartLine(name, points[address], place)
                    if alone
                    else ChartLine(
                        f"{source.name} {name}" if len(panel.addresses) > 1 else source.name,
                        points[address],
                        number,
                        dashed=len(panel.addresses) > 1 and name == "train",
                    )
                )
        units = {line.points.unit for line in lines}
        return lines if len(units) < 2 else [line for line in lines if line.points.unit == "step"]


_FIRST = ("loss", "miou", "mdice", "map", "accuracy", "pixel_accuracy", "lr")
_MANY = 12  # lines of classes in one chart; more of them are beyond telling apart


@dataclass(frozen=True)
class Panel:
    """One chart.

    Attributes:
        title: what it shows: ``loss``, ``val/iou per class``.
        addresses: the metrics that are drawn in it.
        detail: whether it is about single classes, which stand behind everything else.
    """

    title: str
    addresses: tuple[str, ...]
    detail: bool = False


def group_panels(addresses: Iterable[str], runs: int = 1) -> list[Panel]:
    """Charts for these metrics: what training and validation report under one name shares a chart, and of a
    single run the classes of one score do.

    Args:
        addresses: of all metrics, such as ``val/iou/road``.
        runs: how many runs are drawn over one another.
    """
    whole: dict[str, list[str]] = {}
    classes: dict[str, list[str]] = {}
    for address in dict.fromkeys(addresses):
        kind, _, name = address.partition("/")
        score, _, title = name.partition("/")
        if title and runs == 1:
            classes.setdefault(f"{kind}/{score}", []).append(address)
        elif title:
            classes.setdefault(address, []).append(address)
        else:
            whole.setdefault(name, []).append(address)
    found = [Panel(name, tuple(sorted(whole[name]))) for name in sorted(whole, key=_rank(list(whole)))]
    for name, several in sorted(classes.items(), key=lambda pair: not pair[0].startswith("val/")):
        parts = [several[begin : begin + _MANY] for begin in range(0, len(several), _MANY)]
        for number, part in enumerate(parts, 1):
            which = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
            title = f"{name} per class{which}" if runs == 1 else name
            found.append(Panel(title, tuple(part), detail=True))
    return found


def line_name(address: str, panel: Panel) -> str:
    """How a metric is called among the lines of its chart: ``val``, or the class."""
    kind, _, name = address.partition("/")
    return name.partition("/")[2] if panel.detail and "/" in name else kind


def _rank(names: Sequence[str]) -> Callable[[str], tuple[int, int]]:
    def rank(name: str) -> tuple[int, int]:
        known = _FIRST.index(name) if name in _FIRST else len(_FIRST)
        return known, names.index(name)

    return rank
