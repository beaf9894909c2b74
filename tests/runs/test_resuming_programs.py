"""A program that was preempted goes on in the same run, and what it says again counts once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from as_user import Raven

from ravenml.runs.curves import curves
from ravenml.runs.events import effective_metrics, read_events
from ravenml.runs.record import read_record, status
from ravenml.runs.run import Run

PREEMPTED = """
import json, os, sys
first, last, ends = map(int, sys.argv[1:4])
for step in range(first, last + 1):
    for kind, at in (("train", step), ("val", step // 10)):
        if kind == "train" or step % 10 == 0:
            event = {"event_type": "EventType.METRICS", "type": kind, "step": at}
            print(json.dumps({**event, "metrics": {"loss": step + float(sys.argv[4])}}), flush=True)
sys.exit(ends)
"""


def steps(folder: Path, address: str) -> list[tuple[int | None, object]]:
    events = effective_metrics(folder / "events.jsonl")
    return [(event.step, event.values[address]) for event in events if address in event.values]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "fit.py"
    path.write_text(PREEMPTED)
    return path


def test_a_preempted_program_goes_on_in_the_same_run_and_steps_done_again_count_once(
    raven: Raven, script: Path
) -> None:
    words = ["--", sys.executable, script]
    assert raven("run", "--name", "lanes", *words, "1", "30", "3", "0").returncode == 3
    (run,) = raven.runs()
    raven.ok("run", "--resume", run.name[:15], *words, "21", "50", "0", "0.5")
    assert raven.runs() == [run]
    record = read_record(run)
    assert (status(run, record), len(record["attempts"]), record["name"]) == ("completed", 2, "lanes")
    assert record["command"][-4:] == ["21", "50", "0", "0.5"] and "--resume" not in record["command"]
    expected = [(n, n + (0.5 if n > 20 else 0.0)) for n in range(1, 51)]
    assert steps(run, "train/loss") == expected
    # Validation counts otherwise: what the first attempt said of 30 is said again, and nothing else.
    assert steps(run, "val/loss") == [(1, 10.0), (2, 20.0), (3, 30.5), (4, 40.5), (5, 50.5)]
    assert len(curves(run)["train/loss"].y) == 50
    assert record["parameters"] == {"arguments": ["21", "50", "0", "0.5"]}


def test_one_that_starts_over_replaces_all_it_had_said(tmp_path: Path) -> None:
    for attempt in range(2):
        run = Run.begin(tmp_path / "run", "run", {"kind": "program"})
        for step in range(3):
            event = {"event_type": "EventType.METRICS", "type": "train", "step": step}
            run.relay({**event, "metrics": {"loss": attempt}})
        run.finish("failed")
    assert steps(tmp_path / "run", "train/loss") == [(0, 1), (1, 1), (2, 1)]


def test_one_that_counts_epochs_alone_goes_on_behind_those_that_were_done(tmp_path: Path) -> None:
    for epochs in (range(1, 6), range(4, 8)):
        run = Run.begin(tmp_path / "run", "run", {"kind": "program"})
        for epoch in epochs:
            event = {"event_type": "EventType.METRICS", "type": "val", "epoch": epoch}
            run.relay({**event, "metrics": {"loss": epoch}})
        run.finish("failed")
    assert steps(tmp_path / "run", "val/loss") == [(n, n) for n in range(1, 8)]


def test_what_comes_late_from_an_earlier_step_takes_back_more(tmp_path: Path) -> None:
    for reported in ([1, 2, 3, 4, 5], [4, 5, 2, 3]):
        run = Run.begin(tmp_path / "run", "run", {"kind": "program"})
        for step in reported:
            event = {"event_type": "EventType.METRICS", "type": "train", "step": step}
            run.relay({**event, "metrics": {"loss": len(reported)}})
        run.finish("failed")
    assert sorted(steps(tmp_path / "run", "train/loss")) == [(1, 5), (2, 4), (3, 4), (4, 4), (5, 4)]
    resumed = read_events(tmp_path / "run" / "events.jsonl", "RESUMED")
    assert [event.step for event in resumed] == [3, 1]


def test_only_a_program_that_has_ended_goes_on(raven: Raven, script: Path, home: Path) -> None:
    words = ["--", sys.executable, script, "1", "1", "0", "0"]
    refused = raven("run", "--resume", "2026", *words)
    assert refused.returncode == 2
    place, other = (home / "runs" / name for name in ("20260101-000000-aaaaaa", "20260102-000000-bbbbbb"))
    running = Run.begin(place, place.name, {"kind": "program"})
    assert "is running; stop it first" in raven("run", "--resume", "20260101", *words).stderr
    running.finish("interrupted")
    other.mkdir()
    record = json.loads((place / "run.json").read_text()) | {"id": other.name, "kind": None}
    (other / "run.json").write_text(json.dumps(record))
    assert "raven runs resume 20260102" in raven("run", "--resume", "20260102", *words).stderr
    assert raven("run", "--resume", "20260101", "--", "no-such-program").returncode == 127
    assert place.exists()
