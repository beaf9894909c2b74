"""Plots and texts that a program reported are drawn on its run's page."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsing import Dashboard, Tab

sys.path.append(str(Path(__file__).parents[1] / "runs"))
from many_runs import events_of, write_run

RUN = "20261121-050000-aaaaaa"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def folder(raven: Any) -> Path:
    """A run with every kind of plot, each by the name of its kind; one of them is broken."""
    folder = write_run(raven.home, RUN)
    events_of(folder, {"train/loss": [3.0, 2.0]})
    reported: dict[str, Any] = {
        "histogram": {"data": [1, 2, 3], "xlabels": ["a", "b", "c"]},
        "vector": {"values": [[1, 2], [3, 4]], "labels": ["one", "two"]},
        "confusion_matrix": {"matrix": [[9, 1], [2, 8]], "xlabels": [HOSTILE, "sky"]},
        "surface": {"data": [[0.1, 0.2], [0.3, "NaN"]]},
        "scatter2d": {"scatter": [[0, 1], [1, 2]], "mode": "markers", "series": "s"},
        "scatter3d": {"data": [[0, 1, 2], [1, 2, 3]]},
        "line_plot": {"series": [{"name": "one", "data": [[0, 1], [1, 3]]}]},
        "plotly": {"data": [{"type": "scatter", "y": [1, 2], ":formatter": "alert(1)"}]},
        "matrix": {"matrix": "none"},
    }
    for kind, data in reported.items():
        place = folder / "artifacts" / kind / "title"
        place.mkdir(parents=True)
        (place / f"{kind}_000003.json").write_text(json.dumps({"title": "title", "iteration": 3, **data}))
    table = folder / "artifacts" / "table" / "title"
    table.mkdir(parents=True)
    (table / "table_000000.csv").write_text(f"class,iou\nroad,0.7\n{HOSTILE}\n")
    events = [
        *(
            {"kind": "histogram", "name": "weights", "step": step, "data": {"values": [0, 1, 2, 3, 4, 5, 6]}}
            for step in (1, 2)
        ),
        {"kind": "pr_curve", "name": "road", "step": 2, "data": {"x": [1, 0.5], "y": [0.5, 1]}},
    ]
    with (folder / "events.jsonl").open("a") as file:
        for event in events:
            file.write(json.dumps({"event_type": "EventType.PLOT", "message": "plot", **event}) + "\n")
        text = {"event_type": "EventType.TEXT", "message": HOSTILE, "name": "notes", "step": 2}
        file.write(json.dumps(text) + "\n")
    return folder


def test_every_kind_of_plot_is_drawn(folder: Path, dashboard: Dashboard, browse: Callable[..., Tab]) -> None:
    page = browse(dashboard).go(f"/runs/{RUN}")
    section = page.locator("section", has=page.get_by_role("heading", name="Plots"))
    section.wait_for()
    figures = section.locator("figure")
    assert figures.count() == 12
    drawn = [
        figures.nth(at).locator(".strong").inner_text() for at in range(12) if _is_drawn(figures.nth(at))
    ]
    assert sorted(name.removeprefix("title/") for name in drawn) == [
        *("confusion_matrix", "histogram", "line_plot", "plotly", "road", "scatter2d", "scatter3d"),
        *("surface", "vector", "weights"),
    ]
    assert section.locator("table td").all_inner_texts()[:2] == ["road", "0.7"]
    assert section.get_by_text("This plot cannot be drawn here").count() == 1  # the broken one
    assert page.get_by_text(HOSTILE).count() >= 2  # a text, and nothing of the page


def _is_drawn(figure: Any) -> bool:
    figure.scroll_into_view_if_needed()
    if not figure.locator(".chart-plot").count():
        return False
    figure.locator("canvas").first.wait_for()
    return True
