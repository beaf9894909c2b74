"""How long a training will take, alone and as one of several folds."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest

from ravenml.runs.display import Display
from ravenml.runs.events import read_event
from ravenml.runs.progress import RunProgress, Series
from ravenml.runs.run import Run


def test_the_whole_counts_the_folds_that_have_not_begun(tmp_path: Path) -> None:
    now = time.monotonic()
    ended, half = RunProgress("fold 0", tmp_path), RunProgress("fold 1", tmp_path)
    ended.ended = True
    event = {"event_type": "EventType.PROGRESS", "subtask": "Epoch", "current": 1, "total": 2}
    half._take(read_event(event))
    whole = Series("all folds", 5, began=now - 30)
    assert whole.seconds_left([]) is None
    left = whole.seconds_left([ended, half])  # 1.5 of 5 folds took 30 s
    assert left is not None and abs(left - 70) < 1
    ended.ended = half.ended = True
    assert Series("all folds", 2, began=now - 30).seconds_left([ended, half]) == 0


def test_the_estimate_falls_between_two_reports_of_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch of an hour whose iterations are not reported must not seem to take longer and longer."""
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    run = RunProgress("", tmp_path, began=1000.0)
    clock[0] = 1100.0
    run._take(read_event({"event_type": "EventType.PROGRESS", "subtask": "Epoch", "current": 0, "total": 10}))
    assert run.seconds_left() is None
    run._take(read_event({"event_type": "EventType.PROGRESS", "subtask": "Epoch", "current": 1, "total": 10}))
    assert run.seconds_left() == 900
    clock[0] = 1150.0
    assert run.seconds_left() == 850
    clock[0] = 9000.0
    assert run.seconds_left() == 0


def test_lines_of_a_pipe_name_the_time_left_for_all_folds(tmp_path: Path) -> None:
    shown = io.StringIO()
    run = Run.begin(tmp_path / "f0", "f0", {})
    with Display(shown) as display:
        display.expect(Series("all folds", 4, began=time.monotonic() - 60))
        display.watch(RunProgress("fold 0", run.path))
        run.progress("Epoch", 1, 2)
    run.finish("completed")
    (line,) = shown.getvalue().splitlines()
    # One of eight halves took a minute, and what this process needed until it was shown.
    assert re.fullmatch(r"fold 0  epoch 1/2.*all folds: 7:[0-2]\d min left", line), line
