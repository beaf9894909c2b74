"""A k-fold run: its scores fold by fold, and how far they spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from nicegui import ui

from ravenml.common.formatting import format_number
from ravenml.common.io import JsonObject
from ravenml.dashboard.runs.state import State
from ravenml.dashboard.widgets.controls import link, table
from ravenml.runs.curves import COLOURS
from ravenml.runs.events import as_number
from ravenml.runs.tables import select_metrics

_BOXES = 16  # metrics that are drawn


def values_of(summary: JsonObject, name: str) -> list[float]:
    """A metric's finite values over the folds that have it."""
    found = (as_number((one.get("metrics") or {}).get(name)) for one in summary.get("folds") or ())
    return [value for value in found if value is not None and np.isfinite(value)]


def build(state: State) -> None:
    """Put it on the page."""
    summary = state.summary or {}
    folds: Sequence[JsonObject] = summary.get("folds") or ()
    names = select_metrics(summary.get("mean") or {})
    if not names:
        ui.label("No scores from the folds yet.").classes("muted")
        return
    out = {f"val/{name}": value for name, value in (summary.get("out_of_fold") or {}).items()}
    whole = [name for name in names if name.count("/") < 2]
    shares = [n for n in whole if all(0 <= value <= 1 for value in values_of(summary, n)) and n != "val/loss"]
    others = [name for name in whole if name not in shares]
    with ui.element("div").classes("charts-grid"):
        if shares:
            _boxes("Scores", summary, shares[:_BOXES], out)
        for name in others[:3]:
            _boxes(name, summary, [name], out)
    head = ["", *(f"fold {one.get('fold')}" for one in folds), "mean", "std", "out of fold"]
    rows: list[list[object]] = []
    for name in names:
        cells = [format_number((one.get("metrics") or {}).get(name)) for one in folds]
        spread = [format_number((summary.get(kind) or {}).get(name)) for kind in ("mean", "std")]
        rows.append([name, *cells, *spread, format_number(out.get(name))])
    table(head, rows)
    missing = summary.get("out_of_fold_missing")
    if missing:
        ui.label(f"No out-of-fold score: {missing}.").classes("muted small")
    elif summary.get("out_of_fold"):
        ui.label(
            f"Out of fold: {summary.get('out_of_fold_images')} images, each predicted once, by the model "
            "that was not trained on it."
        ).classes("muted small")


def links(state: State, count: int) -> None:
    """A link to each fold's own page."""
    with ui.element("nav").classes("line").props('aria-label="Folds"'):
        ui.label("Single folds:").classes("muted small")
        for fold in range(count):
            link(f"fold {fold}", f"/runs/{state.id}?fold={fold}", "small")


def _boxes(title: str, summary: JsonObject, names: Sequence[str], out: JsonObject) -> None:
    """Box plots with every fold's own value, and the out-of-fold score as a diamond."""
    several = [values_of(summary, name) for name in names]
    boxes = [np.quantile(v, [0, 0.25, 0.5, 0.75, 1]).tolist() if v else [None] * 5 for v in several]
    points = [[place, value] for place, found in enumerate(several) for value in found]
    diamonds = [
        [place, out[name]] for place, name in enumerate(names) if as_number(out.get(name)) is not None
    ]
    muted = "getComputedStyle(document.body).getPropertyValue('--muted').trim()"
    rule = "getComputedStyle(document.body).getPropertyValue('--line').trim()"
    spread_text = "; ".join(
        f"{name}: {min(found):.4g} to {max(found):.4g}"
        for name, found in zip(names, several, strict=True)
        if found
    )
    with ui.element("figure").classes("chart"):
        with ui.element("figcaption").classes("chart-head"):
            ui.label(title).classes("strong")
        box = ui.element("div").classes("chart-plot").props("role=img")
        box.props["aria-label"] = f"Spread over the folds. {spread_text}."
        with box:
            ui.echart(
                {
                    "animation": False,
                    "textStyle": {"fontFamily": "inherit"},
                    "grid": {"left": 8, "right": 14, "top": 10, "bottom": 8, "containLabel": True},
                    "tooltip": {"trigger": "item", "confine": True, "renderMode": "richText"},
                    "xAxis": {
                        "type": "category",
                        "data": [name.removeprefix("val/") for name in names],
                        "axisLabel": {":color": muted, "fontSize": 11, "rotate": 30 if len(names) > 3 else 0},
                        "axisLine": {"lineStyle": {":color": rule}},
                    },
                    "yAxis": {
                        "type": "value",
                        "scale": True,
                        "axisLabel": {":color": muted, "fontSize": 11},
                        "splitLine": {"lineStyle": {":color": rule}},
                    },
                    "series": [
                        {
                            "type": "boxplot",
                            "name": "spread",
                            "data": boxes,
                            "boxWidth": [8, 26],
                            "itemStyle": {"color": "transparent", "borderColor": COLOURS[0]},
                        },
                        {
                            "type": "scatter",
                            "name": "a fold",
                            "data": points,
                            "symbolSize": 7,
                            "itemStyle": {"color": COLOURS[0], "opacity": 0.6},
                        },
                        {
                            "type": "scatter",
                            "name": "out of fold",
                            "data": diamonds,
                            "symbol": "diamond",
                            "symbolSize": 11,
                            "itemStyle": {"color": COLOURS[1]},
                        },
                    ],
                }
            )
