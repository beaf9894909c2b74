"""Curves as a chart of text (braille dots, eight to a character), and as a PNG."""

from __future__ import annotations

import itertools
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

from ravenml.common.extras import install_command
from ravenml.common.io import atomic_open
from ravenml.errors import RavenError
from ravenml.runs.curves import Curve

_COLOURS = (34, 33, 32, 35, 36, 31)  # ANSI: blue, yellow, green, magenta, cyan, red
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille character: row, column
_BLANK = 0x2800
LETTERS = string.ascii_uppercase


def draw(curves: Sequence[Curve | None], width: int, height: int = 12, coloured: bool = False) -> list[str]:
    """Several curves in one chart.  Each has a letter, A first, behind its last point, and a colour.

    Args:
        curves: None stands for a run without this metric.
        width: columns, the axis' labels included.
        height: rows, without those for the axis.
        coloured: whether the terminal shows colours.

    Returns:
        Lines; none where nothing can be drawn.
    """
    points = [curve.finite() if curve is not None else [] for curve in curves]
    every = [point for one in points for point in one]
    if not every:
        return []
    left, right = _span([x for x, _ in every])
    bottom, top = _span([y for _, y in every])
    labels = [f"{value:.4g}" for value in (top, (top + bottom) / 2, bottom)]
    margin = max(map(len, labels))
    columns = max(8, width - margin - 4)
    cells = [[_BLANK] * columns for _ in range(height)]
    owner = [[-1] * columns for _ in range(height)]
    ends: dict[int, str] = {}
    for number, line in enumerate(points):
        dots = [
            (
                round((x - left) / (right - left) * (2 * columns - 1)),
                round((top - y) / (top - bottom) * (4 * height - 1)),
            )
            for x, y in line
        ]
        for column, row in _connect(dots):
            cells[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
            owner[row // 4][column // 2] = number
        if dots:
            row = dots[-1][1] // 4
            ends[row] = ends.get(row, "") + LETTERS[number % 26]
    beside = {0: labels[0], height // 2: labels[1], height - 1: labels[2]}
    lines = []
    for row in range(height):
        text = "".join(
            _colorize(chr(cell), who, coloured) if cell != _BLANK else " "
            for cell, who in zip(cells[row], owner[row], strict=True)
        )
        lines.append(f"{beside.get(row, ''):>{margin}} ┤{text} {ends.get(row, '')}".rstrip())
    unit = next(curve.unit for curve in curves if curve is not None)
    first, last = f"{left:g}", f"{right:g} {unit}"
    lines.append(f"{'':{margin}} └{'─' * columns}")
    lines.append(f"{'':{margin}}  {first}{last:>{columns - len(first)}}")
    return lines


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    around = 0.1 * abs(low) or 0.5  # of a flat line
    return (low, high) if high > low else (low - around, high + around)


def _connect(dots: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The dots, and those on the straight lines between them."""
    found = list(dots[:1])
    for (x0, y0), (x1, y1) in itertools.pairwise(dots):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        found += [
            (round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps))
            for step in range(1, steps + 1)
        ]
    return found


def _colorize(character: str, number: int, coloured: bool) -> str:
    if not coloured or number < 0:
        return character
    return f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{character}\x1b[0m"


def write_png(path: Path, names: Sequence[str], metrics: Mapping[str, Sequence[Curve | None]]) -> None:
    """Draw each metric's curves, one panel below the other.

    Args:
        path: the picture.
        names: the runs, as the legend names them.
        metrics: by address, a curve for each run; None for a run without it.

    Raises:
        RavenError: matplotlib is not installed, or the file may not be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RavenError(
            f"--png needs matplotlib, which is not installed; install it with: {install_command('charts')}"
        ) from None
    figure = Figure(figsize=(8, 0.8 + 3.2 * len(metrics)), dpi=120, layout="constrained")
    panels = figure.subplots(len(metrics), 1, squeeze=False)[:, 0]
    for panel, (address, several) in zip(panels, metrics.items(), strict=True):
        for name, curve in zip(names, several, strict=True):
            if curve is not None:
                few = len(curve.x) <= 30
                panel.plot(curve.x, curve.y, label=name, marker="o" if few else None, markersize=3)
        panel.set_ylabel(address)
        panel.set_xlabel(next(curve.unit for curve in several if curve is not None))
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize="small")
    with atomic_open(path) as file:
        figure.savefig(file, format="png")
