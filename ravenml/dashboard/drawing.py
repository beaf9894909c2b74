"""What a browser is told to draw: curves as a few thousand pairs of numbers.  Plain work for a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from ravenml.dashboard.downsample import downsample_visible, smooth
from ravenml.dashboard.metric_column import Numbers, Points

_DIGITS = 6  # of a drawn value: more than any screen shows
_PLACES = 10  # of where it is drawn: steps are counted in millions, and zoomed into


@dataclass(frozen=True)
class ChartLine:
    """A curve in a chart.

    Attributes:
        name: what it is called beside others.
        colour: its place among :data:`ravenml.runs.curves.COLOURS`.
        dashed: whether it is drawn so, beside another one of the same colour.
    """

    name: str
    points: Points
    colour: int = 0
    dashed: bool = False


@dataclass(frozen=True)
class ChartView:
    """How curves are looked at.

    Attributes:
        smoothing: the weight of what was, 0 up to less than 1.
        log: whether values are drawn by their logarithms; what is not positive is left out then.
        window: the visible range of ``x``; None for all of it.
    """

    smoothing: float = 0.0
    log: bool = False
    window: tuple[float, float] | None = None


@dataclass(frozen=True)
class DrawnCurve:
    """What of a line is drawn.

    Attributes:
        script: makes a ``Float64Array`` of x and y in turn, which a browser need not look into before it
            draws; pairs in lists cost it ten times as much.
        count: of points.
    """

    script: str
    count: int


@dataclass(frozen=True)
class Drawing:
    """A chart's content.

    Attributes:
        curves: two for each line: what was measured, pale, where it is smoothed; and what is drawn.
        extent: the first and the last ``x`` of all lines; None where there is nothing to draw.
        left_out: how many values are not finite, or not positive where that is needed.
        description: the chart in words, for those who do not see it.
    """

    curves: list[DrawnCurve]
    extent: tuple[float, float] | None
    left_out: int
    description: str


def find_extent(lines: Sequence[ChartLine]) -> tuple[float, float] | None:
    """The first and the last ``x`` of these lines; None where there is nothing to draw."""
    ends = [end for line in lines if len(line.points) for end in line.points.x[[0, -1]].tolist()]
    return (min(ends), max(ends)) if ends else None


def draw(lines: Sequence[ChartLine], view: ChartView) -> Drawing:
    """Smooth, thin and write down curves."""
    curves: list[DrawnCurve] = []
    left_out = 0
    for line in lines:
        x, y = line.points.x, line.points.y
        usable = np.isfinite(y) & (y > 0) if view.log else np.isfinite(y)
        left_out += int(len(y) - usable.sum())
        y = np.where(usable, y, np.nan)
        curves.append(_curve(x, y, view) if view.smoothing else DrawnCurve("[]", 0))
        curves.append(_curve(x, smooth(y, view.smoothing), view))
    extent = find_extent(lines)
    return Drawing(
        curves,
        extent,
        left_out,
        "; ".join(_describe(line) for line in lines),
    )


def _curve(x: Numbers, y: Numbers, view: ChartView) -> DrawnCurve:
    begin, end = view.window or (-np.inf, np.inf)
    chosen = downsample_visible(x, y, begin, end)
    pairs = np.stack((_short(x[chosen], _PLACES), _short(y[chosen], _DIGITS)), axis=1)
    numbers = orjson.dumps(pairs.ravel(), option=orjson.OPT_SERIALIZE_NUMPY).decode().replace("null", "NaN")
    return DrawnCurve(f"new Float64Array({numbers})", len(chosen))


def _short(values: Numbers, digits: int) -> Numbers:
    """Rounded to so many digits, so that their texts are short: half of what would be sent."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        magnitude = np.floor(np.log10(np.abs(values)))
        places = np.where(np.isfinite(magnitude), digits - 1 - magnitude, 0)
        large = places < 0
        factor = 10.0 ** np.abs(places)
        rounded = np.where(large, np.round(values / factor) * factor, np.round(values * factor) / factor)
    return np.where(np.isfinite(rounded), rounded, values)


def _describe(line: ChartLine) -> str:
    x, y = line.points.x, line.points.y
    known = np.isfinite(y)
    if not known.any():
        return f"{line.name}: no values"
    low, high = float(y[known].min()), float(y[known].max())
    last, at = float(y[known][-1]), float(x[known][-1])
    return f"{line.name}: {last:.4g} at {line.points.unit} {at:.4g}, lowest {low:.4g}, highest {high:.4g}"
