"""Charts in a real browser: fluent with 100,000 points, in full detail where one zooms in, by keyboard."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from as_user import wait_for, within
from browsing import Dashboard, Tab, drawn, of_chart
from growing import grow

sys.path.append(str(Path(__file__).parents[1] / "runs"))
from many_runs import events_of, write_run


def option(page: Any, number: int = 0) -> dict[str, Any]:
    """What a chart draws: its points by series, and its axis; waits while the chart is made anew."""
    found: dict[str, Any] = of_chart(
        page,
        """(chart) => {
          const all = chart.getOption();
          const points = all.series.map((one) => Array.from(one.data ?? []));
          return { points, min: all.xAxis[0].min, max: all.xAxis[0].max, zoom: all.dataZoom[1],
                   type: all.yAxis[0].type };
        }""",
        number,
    )
    return found


@pytest.fixture
def run(raven: Any) -> Path:
    """A run with a few epochs."""
    folder = write_run(raven.home, "20261121-060000-abcdef", status=None)
    events_of(
        folder, {"train/loss": [3.0, 2.0, 1.0], "val/loss": [3.5, 2.5, 2.0], "val/miou": [0.1, 0.2, 0.3]}
    )
    return folder


def test_what_a_training_reports_is_drawn_within_a_second(
    run: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go(f"/runs/{run.name}")
    drawn(page)
    assert option(page)["points"][1] == [1, 3, 2, 2, 3, 1]
    page.wait_for_timeout(500)
    with within(1.5):  # a second, and what asking takes
        with (run / "events.jsonl").open("a") as file:
            file.write('{"event_type":"EventType.METRICS","type":"train","epoch":4,"step":40,"attempt":1,')
            file.write('"metrics":{"loss":0.5}}\n')
        wait_for(lambda: option(page)["points"][1][-2:] == [4, 0.5])
    assert option(page)["max"] == 4


@pytest.mark.parametrize("late", [False, True])
def test_a_page_opened_before_the_first_metric_gets_the_legend_and_the_curves_that_come_later(
    late: bool, raven: Any, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    """``late``: timers are slow, as in a tab in the background, and charts are made when more has come."""
    folder = write_run(raven.home, "20261121-060000-abcdef", status=None)
    tab = browse(dashboard)
    if late:
        tab.page.add_init_script(
            "const now = setTimeout; window.setTimeout = (f, ms, ...a) => now(f, ms || 3000, ...a);"
        )
    page = tab.go(f"/runs/{folder.name}")
    page.get_by_text("No metrics yet.").wait_for()
    append(folder, "train", 1, loss=3)  # what a training says first
    page.get_by_role("img", name="train: 3 at epoch 1").wait_for()
    append(folder, "val", 1, loss=4)
    page.get_by_role("img", name="val: 4 at epoch 1").wait_for()
    append(folder, "train", 2, loss=2)
    append(folder, "val", 2, loss=3)
    wait_for(lambda: [p for p in option(page)["points"] if p] == [[1, 3, 2, 2], [1, 4, 2, 3]])
    figure = page.locator("figure", has=page.get_by_role("img", name="Chart of loss over epoch"))
    assert figure.locator(".chart-key").all_inner_texts() == ["train", "val"]
    series = of_chart(page, "(chart) => chart.getOption().series.map((one) => [one.type, one.name])")
    assert series == [["line", "train"], ["line", "train"], ["line", "val"], ["line", "val"]]


def append(folder: Path, kind: str, epoch: int, **metrics: float) -> None:
    """Write what a training reports at the end of an epoch."""
    event = {"event_type": "EventType.METRICS", "type": kind, "epoch": epoch, "step": epoch, "attempt": 1}
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps({**event, "metrics": metrics}) + "\n")


def test_smoothing_and_a_logarithmic_axis(
    run: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go(f"/runs/{run.name}")
    drawn(page)
    page.get_by_role("slider", name="Smoothing").focus()
    page.keyboard.press("PageUp")
    wait_for(lambda: len(option(page)["points"][0]) == 6)  # as measured, pale, beside the smooth one
    assert option(page)["points"][1] != option(page)["points"][0]
    page.get_by_role("switch", name="Logarithmic").click()
    wait_for(lambda: option(page)["type"] == "log")


def test_the_chart_is_told_in_words_and_zoomed_by_keys(
    run: Path, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    page = browse(dashboard).go(f"/runs/{run.name}")
    drawn(page)
    chart = page.get_by_role("img", name="Chart of loss over epoch")
    assert "train: 1 at epoch 3, lowest 1, highest 3" in chart.get_attribute("aria-label")
    chart.focus()
    page.keyboard.press("+")
    wait_for(lambda: option(page)["zoom"]["end"] - option(page)["zoom"]["start"] < 51)
    page.keyboard.press("0")
    wait_for(lambda: option(page)["zoom"]["end"] - option(page)["zoom"]["start"] > 99)


def test_folds_join_the_chart_as_they_begin(
    raven: Any, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    folder = write_run(raven.home, "20261121-060000-abcdef", status=None)
    page = browse(dashboard).go(f"/runs/{folder.name}")
    page.get_by_text("No metrics yet.").wait_for()
    for fold in (0, 1):
        place = folder / "folds" / str(fold)
        place.mkdir(parents=True)
        events_of(place, {"val/miou": [0.1, 0.2 + fold]})
        drawn(page)
    wait_for(lambda: [p for p in option(page)["points"] if p] == [[1, 0.1, 2, 0.2], [1, 0.1, 2, 1.2]])


def test_zooming_into_100_000_points_brings_every_one_in_sight(
    raven: Any, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    folder = write_run(raven.home, "20261121-060000-abcdef", status=None)
    grow(folder, 0, 100_000)
    page = browse(dashboard).go(f"/runs/{folder.name}")
    drawn(page)
    assert 1900 < len(option(page)["points"][1]) / 2 <= 2000
    page.get_by_role("img", name="Chart of loss").focus()
    for _ in range(8):  # at once: none may be lost
        page.keyboard.press("+")

    def seen() -> bool:
        drawn = option(page)
        begin, end = drawn["zoom"]["startValue"], drawn["zoom"]["endValue"]
        inside = [x for x in drawn["points"][1][::2] if begin <= x <= end]
        return end - begin < 0.5 and abs(len(inside) - (end - begin) * 1000) < 3

    wait_for(seen)


def test_what_somebody_zoomed_to_stays_while_the_axis_grows(
    raven: Any, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    folder = write_run(raven.home, "20261121-060000-abcdef", status=None)
    grow(folder, 0, 20_000)
    page = browse(dashboard).go(f"/runs/{folder.name}")
    drawn(page)
    page.get_by_role("img", name="Chart of loss").focus()
    grow(folder, 20_000, 24_000)
    for _ in range(3):
        page.keyboard.press("+")
    zoom = option(page)["zoom"]
    wait_for(lambda: option(page)["max"] > 23.9)
    grow(folder, 24_000, 28_000)
    wait_for(lambda: option(page)["max"] > 27.9)
    now = option(page)["zoom"]
    assert (now["startValue"], now["endValue"]) == pytest.approx(
        (zoom["startValue"], zoom["endValue"]), abs=0.01
    )
    for _ in range(40):  # up to the newest point
        page.keyboard.press("ArrowRight")
    grow(folder, 28_000, 30_000)
    wait_for(lambda: option(page)["max"] > 29.9)
    assert option(page)["zoom"]["endValue"] == pytest.approx(option(page)["max"], abs=0.01)


@pytest.mark.slow
def test_no_task_takes_50_ms_while_100_000_points_grow(
    raven: Any, dashboard: Dashboard, browse: Callable[..., Tab]
) -> None:
    folder = write_run(raven.home, "20261121-060000-abcdef", status=None)
    grow(folder, 0, 100_000)
    page = browse(dashboard).go(f"/runs/{folder.name}")
    drawn(page)
    page.wait_for_timeout(2000)
    browser = page.context.browser
    browser.start_tracing(page=page, categories=["toplevel"])
    before = option(page)["max"]
    for second in range(10):
        grow(folder, 100_000 + 500 * second, 100_500 + 500 * second)
        page.wait_for_timeout(1000)
    tasks = tasks_of_the_page(browser.stop_tracing())
    assert option(page)["max"] > before + 4
    print(f"\n{len(tasks)} tasks in 10 s, the longest {max(tasks):.0f} ms; load {os.getloadavg()[0]:.1f}")
    assert len(tasks) > 300 and max(tasks) < 50


def tasks_of_the_page(trace: bytes) -> list[float]:
    """Milliseconds of processor time that each task of the page's main thread took.

    Not those that passed: a busy machine takes the processor away in the middle of a task.
    """
    events = json.loads(trace)["traceEvents"]
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    return [
        e["tdur"] / 1000
        for e in events
        if threads.get((e["pid"], e["tid"])) == "CrRendererMain"
        and e["name"].endswith("RunTask")
        and "tdur" in e
    ]
