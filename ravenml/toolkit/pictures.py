"""Charts of an evaluation, drawn by matplotlib into memory: no display and no global state is used.

matplotlib is the plugin's requirement, or the extra ``ravenml[charts]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ravenml.renamed import former_names

__getattr__ = former_names(
    __name__,
    {"confusion_picture": "plot_confusion", "curves_picture": "plot_curves", "drawn": "render_figure"},
)

DPI = 100
LEGIBLE = 24  # with more classes than this, the cells' numbers are left out


def plot_confusion(confusion: NDArray[np.int64], titles: Sequence[str]) -> NDArray[np.uint8]:
    """A confusion matrix whose rows, the true classes, add up to 100 %: uint8 RGB.

    Args:
        confusion: pixels or objects, ``(C, C)``, truth in rows.
        titles: the classes' names.
    """
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    count = len(titles)
    side = min(16.0, 3.0 + 0.45 * count)
    figure = Figure(figsize=(side + 0.8, side), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shown, ax=axes, shrink=0.8, label="share of the true class")
    small = 8 if count <= LEGIBLE else 5
    axes.set_xticks(range(count), titles, rotation=60, ha="right", rotation_mode="anchor", fontsize=small)
    axes.set_yticks(range(count), titles, fontsize=small)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if count <= LEGIBLE:
        for row, column in np.ndindex(count, count):
            share = shares[row, column]
            if share >= 0.005:
                colour = "white" if share > 0.6 else "black"
                axes.text(
                    column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=7
                )
    return render_figure(figure)


def plot_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]], scores: Sequence[str]
) -> NDArray[np.uint8]:
    """Losses, scores and learning rate over the epochs, side by side: uint8 RGB.

    Args:
        curves: ``(epoch, value)`` by the metric's address (``val/miou`` …).
        scores: the validation's metrics to show, without ``val/``.
    """
    figure = Figure(figsize=(13, 4), dpi=DPI, layout="constrained")
    panels = (
        ("loss", ["train/loss", "val/loss"]),
        ("scores of the validation", [f"val/{name}" for name in scores]),
        ("learning rate", ["train/lr"]),
    )
    for number, (title, names) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, 3, number)
        for name in names:
            points = curves.get(name, [])
            if points:
                marker = "o" if len(points) < 30 else ""
                axes.plot(*zip(*points, strict=True), label=name, marker=marker, markersize=3)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if title.startswith("scores"):
            axes.set_ylim(0, 1)
        if axes.lines:
            axes.legend()
    return render_figure(figure)


def render_figure(figure: Figure) -> NDArray[np.uint8]:
    """The figure's pixels: uint8 RGB."""
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
