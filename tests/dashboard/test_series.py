"""A run's metrics as columns: read as they come, remembered, taken back where a training goes back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nicegui", reason="the extra `dashboard` is not installed")

from ravenml.dashboard import metric_cache as module
from ravenml.dashboard.metric_cache import MetricCache, RunMetrics
from ravenml.dashboard.widgets.charts import Charts, find_sources
from ravenml.runs.curves import curves


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder in a home of its own."""
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(tmp_path))
    (tmp_path / "runs" / "one").mkdir(parents=True)
    return tmp_path / "runs" / "one"


def event(kind: str = "METRICS", **fields: Any) -> str:
    return json.dumps({"message": "", "event_type": f"EventType.{kind}", "attempt": 1, **fields}) + "\n"


def metric(epoch: float, value: Any, step: int, attempt: int = 1, name: str = "loss") -> str:
    return event(type="train", epoch=epoch, step=step, attempt=attempt, metrics={name: value})


def add(folder: Path, *lines: str) -> None:
    with (folder / "events.jsonl").open("a") as file:
        file.write("".join(lines))


def shown(series: RunMetrics, name: str = "train/loss") -> tuple[list[float], list[float]]:
    series.refresh()
    points = series.points()[name]
    return points.x.tolist(), points.y.tolist()


def test_what_is_added_is_read_and_nothing_twice(folder: Path) -> None:
    series = RunMetrics(folder)
    assert series.refresh() == 0
    add(folder, metric(1, 0.5, 10), metric(2, 0.4, 20))
    assert shown(series) == ([1, 2], [0.5, 0.4])
    add(folder, metric(3, "NaN", 30), event("PROGRESS", subtask="Epoch", current=3, total=4))
    x, y = shown(series)
    assert x == [1, 2, 3]
    assert np.isnan(y[2])


def test_the_version_tells_whether_anything_is_new(folder: Path) -> None:
    series = RunMetrics(folder)
    add(folder, metric(1, 0.5, 10))
    first = series.refresh()
    add(folder, event("PROGRESS", subtask="Epoch", current=1, total=4))
    assert series.refresh() == first
    add(folder, metric(2, 0.5, 20))
    assert series.refresh() > first


def test_a_torn_line_waits_for_its_end(folder: Path) -> None:
    whole = metric(2, 0.4, 20)
    add(folder, metric(1, 0.5, 10), whole[:30])
    series = RunMetrics(folder)
    assert shown(series)[0] == [1]
    add(folder, whole[30:])
    assert shown(series)[0] == [1, 2]


def test_a_resumed_training_takes_back_what_earlier_attempts_said_of_later_steps(folder: Path) -> None:
    series = RunMetrics(folder)
    add(folder, *(metric(e, float(e), 10 * e) for e in range(1, 6)))
    before = shown(series)
    add(folder, event("RESUMED", step=30, epoch=3, attempt=2), metric(4, 40.0, 40, attempt=2))
    assert shown(series) == ([1, 2, 3, 4], [1, 2, 3, 40.0])
    assert before[0] == [1, 2, 3, 4, 5]


def test_points_that_were_given_away_do_not_change(folder: Path) -> None:
    series = RunMetrics(folder)
    add(folder, *(metric(e, float(e), 10 * e) for e in range(1, 6)))
    series.refresh()
    given = series.points()["train/loss"]
    add(folder, event("RESUMED", step=10, attempt=2), *(metric(e, -1.0, 10 * e, 2) for e in range(2, 200)))
    series.refresh()
    assert given.y.tolist() == [1, 2, 3, 4, 5]


def test_it_agrees_with_the_curves_of_the_command_line(folder: Path) -> None:
    add(folder, *(metric(e / 4, 1 / e, e) for e in range(1, 500)))
    add(folder, *(metric(e, e / 99, 4 * e, name="lr") for e in range(1, 99)))
    add(folder, event("RESUMED", step=300, attempt=2), *(metric(e / 4, 2 / e, e, 2) for e in range(301, 400)))
    series = RunMetrics(folder)
    series.refresh()
    expected = curves(folder)
    assert list(series.points()) == list(expected)
    for name, points in series.points().items():
        assert points.x.tolist() == expected[name].x
        assert points.y.tolist() == expected[name].y


def test_a_program_without_epochs_is_drawn_over_its_steps(folder: Path) -> None:
    add(folder, event(type="train", step=7, metrics={"loss": 1.0}))
    series = RunMetrics(folder)
    assert shown(series)[0] == [7]
    assert series.points()["train/loss"].unit == "step"


def test_another_file_in_its_place_is_read_from_the_beginning(folder: Path) -> None:
    series = RunMetrics(folder)
    add(folder, metric(1, 0.5, 10), metric(2, 0.5, 20))
    assert shown(series)[0] == [1, 2]
    (folder / "events.jsonl").unlink()
    add(folder, metric(9, 0.1, 90))
    assert shown(series)[0] == [9]


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short files are remembered, too."""
    monkeypatch.setattr(module, "_REMEMBERED", 1)


@pytest.mark.usefixtures("remembering")
def test_what_was_read_is_remembered_and_read_on_from_there(folder: Path, tmp_path: Path) -> None:
    add(folder, *(metric(e, e / 2, e) for e in range(1, 300)))
    first = RunMetrics(folder)
    first.refresh()
    assert list((tmp_path / "cache" / "series").iterdir())
    add(folder, metric(300, 150.0, 300))
    second = RunMetrics(folder)
    x, y = shown(second)
    assert x == list(range(1, 301))
    assert y == [e / 2 for e in range(1, 301)]
    add(folder, event("RESUMED", step=5, attempt=2))
    assert shown(second)[0] == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("remembering")
def test_a_cache_that_does_not_fit_is_passed_over(folder: Path, tmp_path: Path) -> None:
    add(folder, *(metric(e, 1.0, e) for e in range(1, 300)))
    RunMetrics(folder).refresh()
    (cached,) = (tmp_path / "cache" / "series").iterdir()
    content = cached.read_bytes()
    for damage in (b"", b"{}\n", content[:-3], content.replace(b'"format":1', b'"format":9')):
        cached.write_bytes(damage)
        assert len(shown(RunMetrics(folder))[0]) == 299
    cached.write_bytes(content)
    text = (folder / "events.jsonl").read_text().replace("1.0", "2.0")
    (folder / "events.jsonl").write_text(text)  # the same inode and size, other content
    assert set(shown(RunMetrics(folder))[1]) == {2.0}


def test_one_shelf_gives_everybody_the_same_series_and_forgets_the_oldest(
    folder: Path, tmp_path: Path
) -> None:
    add(folder, *(metric(e, 1.0, e) for e in range(1, 100)))
    shelf = MetricCache(limit=1000)
    first = shelf.get(folder)
    first.refresh()
    assert shelf.get(folder) is first
    shelf.get(tmp_path / "b")
    assert shelf.get(folder) is not first


def test_100_000_events_are_read_within_seconds_and_then_in_a_moment(folder: Path) -> None:
    add(folder, *(metric(e / 1000, 1 / e, e) for e in range(1, 100_001)))
    begin = time.process_time()
    RunMetrics(folder).refresh()
    cold = time.process_time() - begin
    begin = time.process_time()
    again = RunMetrics(folder)
    again.refresh()
    warm = time.process_time() - begin
    assert len(again.points()["train/loss"]) == 100_000
    assert cold < 5
    assert warm < 0.2
    print(f"100,000 events: {cold:.2f} s, from the cache {1000 * warm:.0f} ms")


def test_sources_and_their_points_change_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page looks at both while a thread reads what is new."""
    for fold in ("0", "1"):
        (folder / "folds" / fold).mkdir(parents=True)
        add(folder / "folds" / fold, metric(1, 0.5, 10))
    charts = Charts(find_sources(folder))
    assert charts.load() and len(charts.sources) == len(charts._points) == 2
    (folder / "folds" / "2").mkdir()
    seen: list[tuple[int, int]] = []
    refresh = RunMetrics.refresh

    def look(series: RunMetrics) -> int:
        seen.append((len(charts.sources), len(charts._points)))
        return refresh(series)

    monkeypatch.setattr(RunMetrics, "refresh", look)
    assert charts.load() and len(charts.sources) == len(charts._points) == 3
    assert set(seen) == {(2, 2)}
